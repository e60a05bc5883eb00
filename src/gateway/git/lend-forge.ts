import type { GitRepository } from '../../contract/system-git.ts';
import { parseJsonText } from '../../contract/parse.ts';
import type { DriverForge } from '../drivers/driver-git.ts';
import type { Egress } from '../egress.ts';
import { refusedBy } from '../transport.ts';
import { UpstreamError } from '../upstream-error.ts';
import { malformed, type ForgeCall, type ForgeSession } from './forge-session.ts';
import { githubForge } from './forge-github.ts';
import { gitlabForge } from './forge-gitlab.ts';
import { isProtected } from './branch-names.ts';
import { neverSent } from './git-program.ts';
import type { LendGitOptions } from './git-session.ts';

type Forge = NonNullable<GitRepository['forge']>;

const ACCEPT: Readonly<Record<Forge['kind'], string>> = {
  github: 'application/vnd.github+json',
  gitlab: 'application/json',
};
const GITHUB_API_VERSION = '2022-11-28';

/** Only the write mode sends anything that changes, and only for the branch of the target. */
export function lendForge(options: LendGitOptions & { readonly egress: Egress }): DriverForge | null {
  const { forge, ca_file } = options.repository;
  const { branch } = options;
  if (forge === undefined || branch === null) return null;
  const deadline_at = performance.now() + options.timeout_ms;
  const request = async (call: ForgeCall): Promise<unknown> => {
    refuseCall(options, branch, call);
    const answer = await options.egress.request(
      { url: forge.url, ca_file },
      {
        method: call.method,
        path: call.path,
        query: call.query ?? {},
        headers: headersOf(forge, options, call),
        body: call.body === undefined ? null : JSON.stringify(call.body),
        timeout_ms: Math.max(1, Math.ceil(deadline_at - performance.now())),
        bytes_max: options.bytes_max,
        signal: call.method === 'GET' ? options.signal : undefined,
      },
    );
    if (answer.status < 200 || answer.status >= 300) throw forgeError(answer);
    const parsed = parseJsonText(answer.text, {
      bytes_max: options.bytes_max,
      depth_max: 40,
      keys_max: 200_000,
    });
    if (!parsed.ok) throw malformed(parsed.reason);
    return parsed.value;
  };
  const session: ForgeSession = { project: forge.project, branch, request };
  return forge.kind === 'github' ? githubForge(session) : gitlabForge(session);
}

function refuseCall({ mode, repository }: LendGitOptions, branch: string, { method }: ForgeCall): void {
  if (method === 'GET') return;
  if (mode !== 'write') throw neverSent('blocked', 'only an approved write changes a request');
  if (isProtected(repository.protected, branch))
    throw neverSent('blocked', `${branch} is a protected branch`);
}

function headersOf(forge: Forge, { credential }: LendGitOptions, call: ForgeCall): Record<string, string> {
  const headers: Record<string, string> = { accept: ACCEPT[forge.kind], 'user-agent': 'aegis' };
  if (forge.kind === 'github') headers['x-github-api-version'] = GITHUB_API_VERSION;
  if (call.body !== undefined) headers['content-type'] = 'application/json';
  if (credential?.kind === 'bearer') headers['authorization'] = `Bearer ${credential.token.reveal()}`;
  else if (credential?.kind === 'password')
    // Forges take the token that is the password; the user name is git's affair.
    headers['authorization'] = `Bearer ${credential.password.reveal()}`;
  return headers;
}

interface ForgeAnswer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** GitHub answers an exhausted quota with 403 as well as 429; only the headers tell it from a missing right. */
function forgeError({ status, text, headers }: ForgeAnswer): UpstreamError {
  const error = refusedBy(status, explained(text), headers['retry-after']);
  const exhausted = headers['x-ratelimit-remaining'] === '0' || headers['retry-after'] !== undefined;
  return status === 403 && exhausted ? new UpstreamError({ ...error.info, problem: 'throttled' }) : error;
}

/** The sentence inside of the error shapes of GitHub (`errors[].message`) and GitLab (`message` as list or object). */
function explained(text: string): string {
  const parsed = parseJsonText(text);
  if (!parsed.ok || typeof parsed.value !== 'object' || parsed.value === null) return text;
  const { message, errors } = parsed.value as { message?: unknown; errors?: unknown };
  const words: unknown[] = [
    typeof message === 'string' || message === undefined ? message : JSON.stringify(message),
  ];
  if (Array.isArray(errors))
    for (const error of errors)
      words.push(typeof error === 'string' ? error : (error as { message?: unknown } | null)?.message);
  return words.filter((word) => typeof word === 'string').join(': ') || text;
}
