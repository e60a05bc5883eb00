import type { HttpRequest, HttpResponse } from '../../contract/http.ts';
import type { Clock } from '../../contract/ports.ts';
import { isRefusal } from '../../contract/verdict.ts';
import type { TokenGrant, TokenStore } from '../../store/authority.ts';
import { authenticate } from '../pipeline/authenticate.ts';

/** Whoever knocks at an MCP door over HTTP: from where (403), and who (401), before anything else of a request is read. */
export interface Visitor {
  readonly token: string;
  readonly grant: TokenGrant;
}

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];
/** Addresses to listen on that are nobody's name; a browser takes them for this machine. */
const WILDCARDS = ['0.0.0.0', '::'];
const TOKEN = /^Bearer ([\w.~+/=-]{1,200})$/i;
const HOST = /^([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** @param listening_on the address that Aegis listens on: the one name besides loopback under which it may be called. */
export function visitors(
  listening_on: string,
  tokens: TokenStore,
  clock: Clock,
): (request: HttpRequest) => Promise<Visitor | HttpResponse> {
  const bound = listening_on.toLowerCase();
  const hosts = new Set(WILDCARDS.includes(bound) ? LOOPBACK : [...LOOPBACK, bound]);
  return async (request) => {
    const foreign = foreignProblem(request, hosts);
    if (foreign !== null) return answer(403, foreign);
    const token = TOKEN.exec(request.headers['authorization'] ?? '')?.[1];
    if (token === undefined)
      return unauthorized('send a token in the Authorization header: Bearer <token>', '');
    const grant = await authenticate(tokens, clock, token);
    if (isRefusal(grant)) return unauthorized(grant.reason, ', error="invalid_token"');
    return { token, grant };
  };
}

export function isVisitor(value: Visitor | HttpResponse): value is Visitor {
  return 'grant' in value;
}

/** A page in somebody's browser can reach loopback under a name of its own; its Host or its Origin gives it away. */
function foreignProblem({ headers }: HttpRequest, hosts: ReadonlySet<string>): string | null {
  const host = HOST.exec(headers['host'] ?? '')?.[1]?.toLowerCase();
  if (host === undefined || !hosts.has(host))
    return 'this Host is not served; let the proxy in front pass the address that Aegis listens on';
  const origin = headers['origin'];
  if (origin === undefined) return null;
  const url = URL.canParse(origin) ? new URL(origin) : null;
  return url !== null && /^https?:$/.test(url.protocol) && hosts.has(url.hostname)
    ? null
    : 'this Origin may not ask; pages of other sites get nothing';
}

function unauthorized(error: string, more: string): HttpResponse {
  const { status, body } = answer(401, error);
  return { status, body: body ?? '', headers: { 'www-authenticate': `Bearer realm="aegis"${more}` } };
}

function answer(status: number, error: string): HttpResponse {
  return { status, body: JSON.stringify({ error }) };
}
