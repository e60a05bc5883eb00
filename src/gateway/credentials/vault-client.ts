import type { Settings } from '../../contract/settings.ts';
import { Secret } from '../../contract/secret.ts';
import type { Egress } from '../egress.ts';
import { UpstreamError } from '../upstream-error.ts';
import { VaultError, type VaultProblem } from './vault-error.ts';

/**
 * A hardened face of node-vault. Its own transport is replaced by the gateway's egress client, because node-vault has
 * no default timeout, ignores AbortSignal, reads proxies and tokens from the environment and puts the token into its
 * errors. Only its generic read and write are used, with names that are checked here.
 */
export type VaultConfig = NonNullable<Settings['vault']>;

export interface VaultCall {
  readonly method: 'read' | 'write';
  /** Path parts; each must be a plain name. */
  readonly path: readonly string[];
  readonly data?: Readonly<Record<string, unknown>>;
  readonly token: Secret | null;
  readonly signal?: AbortSignal | undefined;
  /** `always`: safe to repeat. `unsent`: only when Vault certainly did not act, for requests that create something. */
  readonly retry: 'always' | 'unsent';
}

export interface VaultClient {
  /** @throws VaultError */
  call(call: VaultCall): Promise<Readonly<Record<string, unknown>>>;
}

const NAME = /^[A-Za-z0-9_.-]+$/;
const TRIES_MAX = 3;
const PAUSE_MS = 150;
const ANSWER_BYTES_MAX = 1024 * 1024;

interface TransportOptions {
  readonly method: string;
  readonly uri: string;
  readonly headers: Record<string, string>;
  readonly json?: unknown;
  readonly signal?: AbortSignal;
}

export async function createVaultClient(config: VaultConfig, egress: Egress): Promise<VaultClient> {
  const { default: NodeVault } = await import('node-vault');
  const client = NodeVault({
    apiVersion: 'v1',
    endpoint: config.address,
    debug: () => {},
    'request-promise': { defaults: () => (options: TransportOptions) => transport(config, egress, options) },
  });
  // node-vault takes these from VAULT_TOKEN, VAULT_PREFIX and VAULT_NAMESPACE when they are missing.
  Object.assign(client, { token: '', pathPrefix: '', namespace: config.namespace ?? '' });
  return { call: (call) => callWithRetries(client, call) };
}

type NodeVaultClient = ReturnType<typeof import('node-vault')>;

async function callWithRetries(
  client: NodeVaultClient,
  call: VaultCall,
): Promise<Readonly<Record<string, unknown>>> {
  const operation = call.path.join('/');
  if (!call.path.every((part) => NAME.test(part) && part !== '.' && part !== '..'))
    throw new VaultError('rejected', 'a name with unexpected characters', null, false);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await callOnce(client, call, operation);
    } catch (error) {
      const mapped = mapError(error, operation);
      const temporary = ['sealed', 'throttled', 'failed', 'unreachable'].includes(mapped.problem);
      const safe = call.retry === 'always' || !mapped.may_have_acted;
      if (!temporary || !safe || attempt >= TRIES_MAX || call.signal?.aborted === true) throw mapped;
      await pause(PAUSE_MS * attempt * (0.5 + Math.random()));
    }
  }
}

async function callOnce(
  client: NodeVaultClient,
  call: VaultCall,
  operation: string,
): Promise<Record<string, unknown>> {
  const headers: Record<string, string> = { 'X-Vault-Request': 'true' };
  if (call.token !== null) headers['X-Vault-Token'] = call.token.reveal();
  const options = { headers, ...(call.signal === undefined ? {} : { signal: call.signal }) } as never;
  const answer: unknown =
    call.method === 'read'
      ? await client.read(operation, options)
      : await client.write(operation, { ...call.data }, options);
  return typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
}

/** What node-vault calls instead of axios. */
async function transport(config: VaultConfig, egress: Egress, options: TransportOptions): Promise<object> {
  const url = new URL(options.uri);
  const base = new URL(config.address);
  const answer = await egress.request(
    { url: base.origin, ca_file: config.ca_file },
    {
      method: options.method,
      path: url.pathname,
      query: {},
      headers: { ...options.headers, 'content-type': 'application/json', accept: 'application/json' },
      body: options.json === undefined || options.json === true ? null : JSON.stringify(options.json),
      timeout_ms: config.timeout_ms,
      bytes_max: ANSWER_BYTES_MAX,
      signal: options.signal,
    },
  );
  // 202 is a success that node-vault rejects (revocations that go on in the background).
  const status = answer.status === 202 ? 204 : answer.status;
  return { statusCode: status, body: parseBody(answer.text), request: { path: url.pathname } };
}

function parseBody(text: string): unknown {
  try {
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

const TRANSPORT_PROBLEMS: Readonly<Record<string, VaultProblem>> = {
  timeout: 'timeout',
  aborted: 'aborted',
  unreachable: 'unreachable',
  dropped: 'unreachable',
};

function mapError(error: unknown, operation: string): VaultError {
  if (error instanceof VaultError) return error;
  if (error instanceof UpstreamError && error.info.problem === 'redirect')
    return new VaultError('standby', operation, error.info.status, false);
  if (error instanceof UpstreamError)
    return new VaultError(
      TRANSPORT_PROBLEMS[error.info.problem] ?? 'failed',
      operation,
      null,
      error.info.sent !== 'no',
    );
  const response = (error as { response?: { statusCode?: number; body?: { errors?: unknown } } }).response;
  const status = response?.statusCode ?? null;
  if (status === null) return new VaultError('malformed', operation, null, true);
  if (status === 403) return new VaultError('denied', operation, status, false);
  if (status === 404) return new VaultError('missing', operation, status, false);
  // 473: a performance standby whose active node is not known yet.
  if (status === 429 || status === 473) return new VaultError('throttled', operation, status, false);
  if (status === 503)
    return new VaultError(
      isSealed(response?.body) ? 'sealed' : 'failed',
      operation,
      status,
      !isSealed(response?.body),
    );
  return new VaultError(status >= 500 ? 'failed' : 'rejected', operation, status, status >= 500);
}

function isSealed(body: { errors?: unknown } | undefined): boolean {
  return (
    Array.isArray(body?.errors) && body.errors.some((text) => String(text).toLowerCase().includes('sealed'))
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
