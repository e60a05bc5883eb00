import { lookup as dnsLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import type { Readable } from 'node:stream';
import type { Dispatcher, Pool } from 'undici';
import { UpstreamError, type UpstreamErrorInfo } from './upstream-error.ts';

/**
 * The one way out over HTTP. It speaks only to origins from the configuration, never follows a redirect, checks the
 * address that a name resolves to when it dials, and reads no more bytes than the caller can use.
 */
export interface EgressRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly timeout_ms: number;
  readonly bytes_max: number;
  readonly signal: AbortSignal | undefined;
}

export interface EgressResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Headers have come, the body follows at the upstream's pace; whoever reads it bounds what it takes. */
export interface EgressStream {
  readonly status: number;
  readonly headers: EgressResponse['headers'];
  readonly body: Readable;
}

export interface EgressOrigin {
  readonly url: string;
  readonly ca_file?: string | undefined;
}

const CONNECT_TIMEOUT_MS = 5000;
const CONNECTIONS_MAX = 32;
/** Event streams hold a connection for as long as they last, so they never share the pool of short calls. */
const STREAMS_MAX = 256;
const KEEP_ALIVE_MS = 30_000;

/** Addresses that no company system has: this machine, link-local (cloud metadata), unspecified, multicast. */
const NOT_OUTSIDE = new BlockList();
NOT_OUTSIDE.addSubnet('127.0.0.0', 8, 'ipv4');
NOT_OUTSIDE.addSubnet('169.254.0.0', 16, 'ipv4');
NOT_OUTSIDE.addSubnet('0.0.0.0', 8, 'ipv4');
NOT_OUTSIDE.addSubnet('224.0.0.0', 3, 'ipv4');
NOT_OUTSIDE.addAddress('::1', 'ipv6');
NOT_OUTSIDE.addAddress('::', 'ipv6');
NOT_OUTSIDE.addSubnet('fe80::', 10, 'ipv6');
NOT_OUTSIDE.addSubnet('ff00::', 8, 'ipv6');
NOT_OUTSIDE.addSubnet('::ffff:127.0.0.0', 104, 'ipv6');
NOT_OUTSIDE.addSubnet('::ffff:169.254.0.0', 112, 'ipv6');
// The same behind a NAT64, and what clouds answer instances at outside of the link-local range: AWS, Alibaba, Oracle, Azure.
NOT_OUTSIDE.addSubnet('64:ff9b::7f00:0', 104, 'ipv6');
NOT_OUTSIDE.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6');
NOT_OUTSIDE.addSubnet('::ffff:0.0.0.0', 104, 'ipv6');
NOT_OUTSIDE.addAddress('fd00:ec2::254', 'ipv6');
NOT_OUTSIDE.addAddress('100.100.100.200', 'ipv4');
NOT_OUTSIDE.addAddress('192.0.0.192', 'ipv4');
NOT_OUTSIDE.addAddress('168.63.129.16', 'ipv4');

/** Why an address may not be called; null when it may. */
export function addressProblem(url: string, unsafe_endpoints: boolean): string | null {
  const { protocol, hostname } = new URL(url);
  if (unsafe_endpoints) return null;
  if (protocol !== 'https:') return `${url} is not encrypted (https)`;
  const host = hostname.replaceAll(/^\[|\]$/g, '');
  return isForbiddenAddress(host) || host === 'localhost'
    ? `${url} is on this machine or a link-local address`
    : null;
}

export function isForbiddenAddress(host: string): boolean {
  const version = isIP(host);
  return version !== 0 && NOT_OUTSIDE.check(host, version === 4 ? 'ipv4' : 'ipv6');
}

/** Holds one keep-alive pool per origin and CA; `close` ends all connections. */
export class Egress {
  readonly #unsafe: boolean;
  readonly #pools = new Map<string, Promise<Pool>>();
  #closed = false;

  constructor(unsafe_endpoints: boolean) {
    this.#unsafe = unsafe_endpoints;
  }

  /** @throws UpstreamError; `sent` tells whether the upstream can have seen the request. */
  async request(origin: EgressOrigin, request: EgressRequest): Promise<EgressResponse> {
    const guard = deadline(request.timeout_ms, request.signal);
    try {
      const answer = await this.#send(origin, request, guard, 'call');
      const text = await readCapped(answer.body, request.bytes_max);
      return { status: answer.statusCode, headers: answer.headers, text };
    } catch (error) {
      throw asUpstreamError(error, guard, request);
    } finally {
      guard.done();
    }
  }

  /**
   * For answers that are streams of events: `timeout_ms` bounds the wait for the headers, the signal the whole. An
   * error of the body is the undici error of a broken connection.
   *
   * @throws UpstreamError as `request` does.
   */
  async open(origin: EgressOrigin, request: Omit<EgressRequest, 'bytes_max'>): Promise<EgressStream> {
    const guard = deadline(request.timeout_ms, request.signal);
    try {
      const answer = await this.#send(origin, request, guard, 'stream');
      guard.headersCame();
      answer.body.once('close', () => guard.done());
      return { status: answer.statusCode, headers: answer.headers, body: answer.body };
    } catch (error) {
      guard.done();
      throw asUpstreamError(error, guard, request);
    }
  }

  async #send(
    origin: EgressOrigin,
    request: Omit<EgressRequest, 'bytes_max'>,
    guard: Deadline,
    use: PoolUse,
  ): Promise<Dispatcher.ResponseData> {
    const problem = addressProblem(origin.url, this.#unsafe);
    if (problem !== null) throw failure('blocked', 'no', `${problem}; set unsafe_endpoints only in a lab`);
    const pool = await this.#pool(origin, use);
    const answer = await pool.request({
      method: request.method,
      path: pathOf(origin.url, request),
      headers: { ...request.headers },
      body: request.body,
      signal: guard.signal,
      ...(use === 'stream' ? { bodyTimeout: 0 } : {}),
    });
    if (answer.statusCode < 300 || answer.statusCode >= 400) return answer;
    await answer.body.dump();
    throw failure(
      'redirect',
      'answered',
      `answered with a redirect (${answer.statusCode}), which is never followed`,
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    const pools = await Promise.allSettled(this.#pools.values());
    this.#pools.clear();
    for (const pool of pools) if (pool.status === 'fulfilled') await pool.value.destroy();
  }

  #pool(origin: EgressOrigin, use: PoolUse): Promise<Pool> {
    if (this.#closed) throw failure('unreachable', 'no', 'the gateway is closing');
    const key = `${use} ${new URL(origin.url).origin} ${origin.ca_file ?? ''}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = openPool(origin, this.#unsafe, use);
      this.#pools.set(key, pool);
      pool.catch(() => this.#pools.delete(key));
    }
    return pool;
  }
}

type PoolUse = 'call' | 'stream';

async function openPool(origin: EgressOrigin, unsafe: boolean, use: PoolUse): Promise<Pool> {
  const { Pool } = await import('undici');
  let ca: string | undefined;
  try {
    ca = origin.ca_file === undefined ? undefined : readFileSync(origin.ca_file, 'utf8');
  } catch (error) {
    throw failure(
      'unreachable',
      'no',
      `cannot read the CA file ${origin.ca_file}: ${(error as Error).message}`,
    );
  }
  return new Pool(new URL(origin.url).origin, {
    connections: use === 'call' ? CONNECTIONS_MAX : STREAMS_MAX,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: {
      timeout: CONNECT_TIMEOUT_MS,
      lookup: unsafe ? dnsLookup : checkedLookup,
      ...(ca === undefined ? {} : { ca }),
    },
  });
}

/** Refuses a name that resolves to this machine or to a link-local address, at the moment of dialling. */
const checkedLookup: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, options, (error, address, family) => {
    const addresses = (Array.isArray(address) ? address : [{ address, family }]) as { address: string }[];
    const bad = error === null ? addresses.find((found) => isForbiddenAddress(found.address)) : undefined;
    if (bad !== undefined) {
      const refused = Object.assign(new Error(`${hostname} resolves to a forbidden address`), {
        code: 'ENOTFOUND',
      });
      callback(refused, address, family);
    } else callback(error, address, family);
  });
};

function pathOf(url: string, request: Pick<EgressRequest, 'path' | 'query'>): string {
  const base = new URL(url).pathname.replace(/\/$/, '');
  const query = new URLSearchParams(request.query).toString();
  return `${base}${request.path}${query === '' ? '' : `?${query}`}`;
}

interface Deadline {
  readonly signal: AbortSignal;
  timed_out(): boolean;
  /** From now on only the caller's signal ends it. */
  headersCame(): void;
  done(): void;
}

/** One own controller per request, bridged once: listeners never pile up on a long-lived signal. */
function deadline(timeout_ms: number, outer: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  let timed_out = false;
  const timer = setTimeout(() => {
    timed_out = true;
    controller.abort();
  }, timeout_ms);
  const abort = (): void => controller.abort();
  if (outer?.aborted === true) abort();
  outer?.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    timed_out: () => timed_out,
    headersCame: () => clearTimeout(timer),
    done: () => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', abort);
    },
  };
}

async function readCapped(
  body: AsyncIterable<Uint8Array> & { destroy(): unknown },
  bytes_max: number,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > bytes_max) {
      body.destroy();
      throw failure('too-large', 'answered', `the answer is larger than ${bytes_max} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Codes of failures before the first byte of a request can have left. */
const NEVER_SENT =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT|EPROTO|ERR_TLS_.*|ERR_SSL_.*|CERT_.*|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_.*)$/;

function asUpstreamError(
  error: unknown,
  guard: Deadline,
  request: Pick<EgressRequest, 'timeout_ms'>,
): UpstreamError {
  if (error instanceof UpstreamError) return error;
  if (guard.timed_out()) return failure('timeout', 'maybe', `did not answer within ${request.timeout_ms} ms`);
  if (guard.signal.aborted) return failure('aborted', 'maybe', 'the call was aborted');
  const code = (error as { code?: string }).code ?? 'unknown';
  if (NEVER_SENT.test(code)) return failure('unreachable', 'no', `cannot be reached (${code})`);
  return failure('dropped', 'maybe', `the connection broke (${code})`);
}

function failure(
  problem: UpstreamErrorInfo['problem'],
  sent: UpstreamErrorInfo['sent'],
  message: string,
): UpstreamError {
  return new UpstreamError({ problem, sent, status: null, message });
}
