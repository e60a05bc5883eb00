// The Web API door: reads the call, checks token, limits and scope in Slack's order, runs the method, writes the log.
// What the twin does not know is `unknown_method` and a log line, never an empty success.
import { str, type Json } from './json.ts';
import type { Core } from './core.ts';
import type { Fault, Faults } from './faults.ts';
import { ApiRefusal, Args, scopeFor, type Method } from './method.ts';
import { chatMethods } from './methods/chat.ts';
import { conversationMethods } from './methods/conversations.ts';
import { Files } from './methods/files.ts';
import { peopleMethods } from './methods/people.ts';
import { validateMethods } from './methods/validate.ts';
import { viewMethods } from './methods/views.ts';
import type { RateLimiter } from './rate-limits.ts';

export interface LoggedCall {
  at_ms: number;
  method: string;
  /** Arguments without the token. */
  args: Json;
  status: number;
  ok: boolean;
  error?: string;
  fault?: Fault['kind'];
}

export interface HttpCall {
  method: string;
  content_type: string;
  authorization: string | undefined;
  query: URLSearchParams;
  body: Buffer;
}

/** `undefined` means: break the connection without an answer. */
export type HttpAnswer = { status: number; headers: Record<string, string>; body: string } | undefined;

export interface TokenState {
  bot_token: string;
  revoked: boolean;
  scopes: Set<string>;
}

function fromForm(form: URLSearchParams): Json {
  return Object.fromEntries(form.entries());
}

/** The arguments, or Slack's word for a body that cannot be read. */
function argumentsOf(call: HttpCall): Json | string {
  const query = fromForm(call.query);
  if (call.body.length === 0) return query;
  const type = call.content_type.split(';')[0]!.trim();
  if (type === 'application/x-www-form-urlencoded') {
    return { ...query, ...fromForm(new URLSearchParams(call.body.toString('utf8'))) };
  }
  if (type !== 'application/json') return 'invalid_post_type';
  try {
    const parsed = JSON.parse(call.body.toString('utf8')) as unknown;
    if (typeof parsed !== 'object' || parsed === null) return 'json_not_object';
    return Array.isArray(parsed) ? 'json_not_object' : { ...query, ...(parsed as Json) };
  } catch {
    return 'invalid_json';
  }
}

function answer(body: Json, status = 200, headers: Record<string, string> = {}): NonNullable<HttpAnswer> {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(body),
  };
}

function ratelimited(retry_after_s: number): NonNullable<HttpAnswer> {
  return answer({ ok: false, error: 'ratelimited' }, 429, { 'retry-after': String(retry_after_s) });
}

export class WebApi {
  readonly log: LoggedCall[] = [];
  readonly files = new Files();
  readonly token: TokenState;
  private readonly core: Core;
  private readonly limiter: RateLimiter;
  private readonly faults: Faults;
  private readonly methods: ReadonlyMap<string, Method>;

  constructor(core: Core, token: TokenState, limiter: RateLimiter, faults: Faults) {
    this.core = core;
    this.token = token;
    this.limiter = limiter;
    this.faults = faults;
    this.methods = new Map(
      Object.entries({
        ...chatMethods,
        ...conversationMethods,
        ...peopleMethods,
        ...validateMethods,
        ...viewMethods,
        ...this.files.methods(),
      }),
    );
  }

  async handle(call: HttpCall): Promise<HttpAnswer> {
    const fault = this.faults.take(call.method);
    const parsed = argumentsOf(call);
    const result = this.before(fault) ?? this.carryOut(call, parsed);
    this.write(call.method, parsed, result, fault);
    if (fault?.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, fault.delay_ms));
    return fault?.kind === 'drop_after' || fault?.kind === 'drop_before' ? undefined : result;
  }

  private before(fault: Fault | undefined): NonNullable<HttpAnswer> | undefined {
    if (fault?.kind === 'drop_before') return answer({ ok: false, error: 'dropped' }, 0);
    if (fault?.kind === 'http') return { status: fault.status, headers: {}, body: '' };
    if (fault?.kind === 'ratelimit') return ratelimited(fault.retry_after_s);
    if (fault?.kind === 'error') return answer({ ok: false, error: fault.error });
    return undefined;
  }

  private carryOut(call: HttpCall, parsed: Json | string): NonNullable<HttpAnswer> {
    const method = this.methods.get(call.method);
    if (!method) return answer({ ok: false, error: 'unknown_method', req_method: call.method });
    if (typeof parsed === 'string') return answer({ ok: false, error: parsed });
    const refused = this.checkToken(call, parsed);
    if (refused) return answer({ ok: false, error: refused });
    const args = new Args(parsed);
    // One bucket per channel, however the call names it.
    const named = str(parsed['channel']);
    const channel = this.core.workspace.findChannel(named)?.id ?? named;
    const wait_s = this.limiter.take(call.method, method.tier, channel);
    if (wait_s > 0) return ratelimited(wait_s);
    const needed = scopeFor(this.core, method.scope, args);
    const provided = [...this.token.scopes].join(',');
    const headers = { 'x-oauth-scopes': provided, ...(needed ? { 'x-accepted-oauth-scopes': needed } : {}) };
    if (needed && !this.token.scopes.has(needed)) {
      return answer({ ok: false, error: 'missing_scope', needed, provided }, 200, headers);
    }
    try {
      return answer(method.run(this.core, args), 200, headers);
    } catch (error) {
      if (error instanceof ApiRefusal) return answer(error.body, 200, headers);
      throw error;
    }
  }

  // A token in a JSON body is not read by Slack: it must be in the header then.
  private checkToken(call: HttpCall, args: Json): string | undefined {
    const bearer = /^Bearer (.+)$/i.exec(call.authorization ?? '')?.[1];
    const in_form = call.content_type.startsWith('application/json') ? undefined : args['token'];
    const token = bearer ?? in_form;
    if (typeof token !== 'string' || token === '') return 'not_authed';
    if (token !== this.token.bot_token) return 'invalid_auth';
    return this.token.revoked ? 'token_revoked' : undefined;
  }

  private write(
    method: string,
    parsed: Json | string,
    result: NonNullable<HttpAnswer>,
    fault: Fault | undefined,
  ): void {
    const { token: _token, ...args } = typeof parsed === 'string' ? { unreadable: parsed } : parsed;
    const body = result.body === '' ? {} : (JSON.parse(result.body) as Json);
    this.log.push({
      at_ms: this.core.clock(),
      method,
      args,
      status: result.status,
      ok: body['ok'] === true,
      ...(typeof body['error'] === 'string' ? { error: body['error'] } : {}),
      ...(fault ? { fault: fault.kind } : {}),
    });
  }
}
