import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { GitRepository } from '../../contract/system-git.ts';
import { runChild, type ChildRequest, type ChildResult } from '../child-process.ts';
import type { Credential } from '../credentials/credential.ts';
import { addressProblem, isForbiddenAddress } from '../egress.ts';
import { UpstreamError, type UpstreamErrorInfo } from '../upstream-error.ts';

/**
 * The git program, hardened: no configuration, hook, filter, helper, pager or editor of this machine or of a
 * repository takes part, only the protocol of the configured remote is allowed, and the credential travels in the
 * environment of the one child that needs it, never among its arguments.
 */
export interface GitRun {
  readonly args: readonly string[];
  readonly git_dir: string;
  readonly home: string;
  readonly config: readonly (readonly [string, string])[];
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  readonly timeout_ms: number;
  readonly stdout_bytes_max: number;
  readonly signal?: AbortSignal | undefined;
  readonly exceeds?: ChildRequest['exceeds'];
}

/** Where programs of the system are installed; nothing of our own PATH is passed on. */
export const SYSTEM_PATH = '/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin';

const HARDENED: readonly (readonly [string, string])[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.attributesFile', '/dev/null'],
  ['core.excludesFile', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.sshCommand', '/bin/false'],
  ['core.gitProxy', '/bin/false'],
  ['core.alternateRefsCommand', '/bin/false'],
  ['core.protectHFS', 'true'],
  ['core.protectNTFS', 'true'],
  ['credential.helper', ''],
  ['http.followRedirects', 'false'],
  ['http.proxy', ''],
  ['protocol.allow', 'never'],
  ['submodule.recurse', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  ['fetch.uriProtocols', ''],
  ['transfer.bundleURI', 'false'],
  ['transfer.credentialsInUrl', 'die'],
  ['push.gpgSign', 'false'],
  ['commit.gpgSign', 'false'],
  ['log.showSignature', 'false'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
];

export function runGit(run: GitRun): Promise<ChildResult> {
  const config = [...HARDENED, ...run.config];
  const settings = Object.fromEntries(
    config.flatMap(([key, value], n) => [
      [`GIT_CONFIG_KEY_${n}`, key],
      [`GIT_CONFIG_VALUE_${n}`, value],
    ]),
  ) as Record<string, string>;
  return runChild({
    program: 'git',
    args: ['--no-replace-objects', '--literal-pathspecs', ...run.args],
    cwd: run.home,
    env: {
      PATH: SYSTEM_PATH,
      HOME: run.home,
      LC_ALL: 'C',
      TZ: 'UTC',
      GIT_DIR: run.git_dir,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: '/bin/false',
      SSH_ASKPASS: '/bin/false',
      GIT_SSH_COMMAND: '/bin/false',
      GIT_EDITOR: '/bin/false',
      GIT_PAGER: 'cat',
      GIT_OPTIONAL_LOCKS: '0',
      GIT_NO_LAZY_FETCH: '1',
      GIT_PROTOCOL_FROM_USER: '0',
      // The protocols that may be spoken at all; what reads the mirror speaks none.
      GIT_ALLOW_PROTOCOL: 'none',
      ...run.env,
      GIT_CONFIG_COUNT: String(config.length),
      ...settings,
    },
    ...(run.input === undefined ? {} : { input: run.input }),
    timeout_ms: run.timeout_ms,
    stdout_bytes_max: run.stdout_bytes_max,
    signal: run.signal,
    ...(run.exceeds === undefined ? {} : { exceeds: run.exceeds }),
  });
}

/** What a git child needs to reach the remote: its protocol, the checked address, the credential. */
export interface RemoteAccess {
  readonly config: readonly (readonly [string, string])[];
  readonly env: Readonly<Record<string, string>>;
}

/** @throws UpstreamError `blocked` for an address that no company system has. */
export async function remoteAccess(
  repository: GitRepository,
  credential: Credential | null,
  unsafe_endpoints: boolean,
): Promise<RemoteAccess> {
  const { remote } = repository;
  if (remote.startsWith('/')) return { config: [], env: { GIT_ALLOW_PROTOCOL: 'file' } };
  const problem = addressProblem(remote, unsafe_endpoints);
  if (problem !== null) throw neverSent('blocked', `${problem}; set unsafe_endpoints only in a lab`);
  const url = new URL(remote);
  const config: [string, string][] = [];
  if (repository.ca_file !== undefined) config.push(['http.sslCAInfo', repository.ca_file]);
  const host = url.hostname.replaceAll(/^\[|\]$/g, '');
  if (isIP(host) === 0) config.push(['http.curloptResolve', await pinned(url, host, unsafe_endpoints)]);
  if (credential !== null)
    config.push([
      `http.${url.origin}/.extraHeader`,
      `Authorization: ${authorization(repository, credential)}`,
    ]);
  return { config, env: { GIT_ALLOW_PROTOCOL: url.protocol.slice(0, -1) } };
}

/** The address is looked up and checked here, and git dials exactly this one. */
async function pinned(url: URL, host: string, unsafe_endpoints: boolean): Promise<string> {
  let address: string;
  try {
    ({ address } = await lookup(host));
  } catch (error) {
    throw neverSent('unreachable', `${host} cannot be resolved (${(error as { code?: string }).code ?? ''})`);
  }
  if (!unsafe_endpoints && isForbiddenAddress(address))
    throw neverSent('blocked', `${host} resolves to a forbidden address`);
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return `${host}:${port}:${isIP(address) === 6 ? `[${address}]` : address}`;
}

/** Git hosts take a token as the password of a fixed user. */
function authorization({ forge }: GitRepository, credential: Credential): string {
  const basic = (user: string, password: string): string =>
    `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  if (credential.kind === 'password') return basic(credential.username, credential.password.reveal());
  if (credential.kind !== 'bearer')
    throw neverSent('blocked', 'this kind of credential does not open a git repository');
  const token = credential.token.reveal();
  if (forge?.kind === 'github') return basic('x-access-token', token);
  return forge?.kind === 'gitlab' ? basic('oauth2', token) : `Bearer ${token}`;
}

/** Words of git for a request that the other side never accepted: nothing can have been written. */
const REFUSED: readonly (readonly [RegExp, UpstreamErrorInfo['problem']])[] = [
  [/could not resolve host|failed to connect|connection refused|couldn't connect/i, 'unreachable'],
  [/authentication failed|could not read (?:username|password)|returned error: 401/i, 'unauthorized'],
  [/returned error: 403|permission denied|access denied/i, 'forbidden'],
  [
    /repository .*not found|returned error: 404|does not appear to be a git repository|no such file/i,
    'not-found',
  ],
  [/returned error: 429/i, 'throttled'],
  [/ssl certificate|certificate verif|unable to access .*ssl/i, 'unreachable'],
  [/protocol '.*' (?:not supported|not allowed)|transport '.*' not allowed/i, 'blocked'],
  [/unable to update url base from redirection|redirect/i, 'redirect'],
];

/** What a git child that failed says about the remote. */
export function gitFailure(result: ChildResult, doing: string): UpstreamError {
  if (result.ended === 'timeout') return failure('timeout', 'maybe', `${doing} took too long`);
  if (result.ended === 'aborted') return failure('aborted', 'maybe', `${doing} was aborted`);
  if (result.ended === 'too-large') return failure('too-large', 'maybe', `${doing} is larger than its limit`);
  if (result.ended === 'not-started')
    return failure('unreachable', 'no', `git cannot be started here (${result.stderr.slice(0, 100)})`);
  const words = result.stderr
    .split('\n')
    .filter((line) => /^(?:fatal|error|remote):/.test(line))
    .join('; ')
    .slice(0, 300);
  // Once the request itself is under way ("RPC failed") no words prove anything.
  const under_way = /rpc failed|hung up|early eof|unexpected disconnect/i.test(result.stderr);
  const refused = under_way ? undefined : REFUSED.find(([pattern]) => pattern.test(result.stderr));
  if (refused !== undefined) return failure(refused[1], 'no', `${doing} was refused: ${words}`);
  return failure('failed', 'maybe', `${doing} failed: ${words}`);
}

/** Commands on the mirror send nothing, however they end. */
export function notSent(error: UpstreamError): UpstreamError {
  return new UpstreamError({ ...error.info, sent: 'no' });
}

export function neverSent(problem: UpstreamErrorInfo['problem'], message: string): UpstreamError {
  return failure(problem, 'no', message);
}

function failure(
  problem: UpstreamErrorInfo['problem'],
  sent: UpstreamErrorInfo['sent'],
  message: string,
): UpstreamError {
  return new UpstreamError({ problem, sent, status: null, message });
}
