import type { Server } from '@modelcontextprotocol/sdk/server/index.js';
import type { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js';
import type {
  JSONRPCRequest,
  ServerNotification,
  ServerRequest,
  ServerResult,
} from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import type { HttpRequest, HttpResponse } from '../../contract/http.ts';
import type { McpUpstream } from '../../contract/system-mcp.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { Credential } from '../credentials/credential.ts';
import type { Visitor } from '../endpoint/visitor.ts';
import { isRefused } from '../pipeline/admit.ts';
import { authenticate } from '../pipeline/authenticate.ts';
import type { GatewayCore } from '../pipeline/core.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { Link, LinkAnswer, RpcParams } from '../upstreams/link.ts';
import { admitRelay } from './relay-admission.ts';
import { Backwards, type OpenRequest } from './relay-back.ts';
import { relayCall, type RelayAnswer } from './relay-call.ts';
import { relayDeadline, type RelayDeadline } from './relay-deadline.ts';
import {
  clientCapabilities,
  offeredCapabilities,
  RELAYED_METHODS,
  relayedParams,
  type ClientCapabilities,
  type OfferedCapabilities,
} from './relay-methods.ts';
import { relayScrub, type RelayScrub } from './relay-scrub.ts';
import { RelayTools } from './relay-tools.ts';
import { approvedParts, instructionsApproved, type ApprovedParts } from './relay-upstreams.ts';

export interface SessionSeed {
  readonly id: string;
  /** Name in `upstreams`. */
  readonly server: string;
  readonly visitor: Visitor;
  /** `params` of the client's `initialize`. */
  readonly hello: unknown;
  readonly onend: () => void;
}

/**
 * One client and one server, connected for a while. A session carries the protocol's state and nothing else: what may
 * be asked comes from the token of each request, and only the token that began it may go on with it.
 */
type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

/** All of one call, below the time that an answer may be streamed: the server's time and that of whoever is asked. */
const CALL_MS_MAX = 280_000;
const OPEN_REQUESTS_MAX = 32;
/** What the SDK needs to know of the request; the token is not among it. */
const HEADERS_PASSED = ['accept', 'content-type', 'mcp-protocol-version', 'mcp-session-id', 'last-event-id'];
const HEADERS_ANSWERED = ['content-type', 'mcp-session-id', 'x-accel-buffering'];

const Hello = z.object({ capabilities: z.unknown(), clientInfo: z.object({ name: z.string().max(200) }) });
const ServerHello = z.object({
  capabilities: z.unknown(),
  serverInfo: z.object({ name: z.string(), version: z.string() }),
  instructions: z.string().optional(),
});

export class RelaySession {
  readonly #core: GatewayCore;
  readonly #seed: SessionSeed;
  readonly #client: ClientCapabilities;
  readonly #scrub: RelayScrub;
  readonly #tools = new RelayTools();
  readonly #back: Backwards;
  #visitor: Visitor;
  #offered: OfferedCapabilities = {};
  #link: Link | null = null;
  #link_ended = false;
  #server: Server | null = null;
  #transport: WebStandardStreamableHTTPServerTransport | null = null;
  #closing: Promise<void> | null = null;

  constructor(core: GatewayCore, seed: SessionSeed) {
    this.#core = core;
    this.#seed = seed;
    this.#visitor = seed.visitor;
    this.#client = clientCapabilities(Hello.safeParse(seed.hello).data?.capabilities);
    this.#scrub = relayScrub(() => core.policies.redaction, core.recogniser);
    this.#back = new Backwards({
      scrub: this.#scrub,
      client: this.#client,
      tellClient: (notification) => this.#tellClient(notification as ServerNotification),
      alive: () => this.alive(),
      now_ms: () => core.clock.now(),
    });
  }

  get server(): string {
    return this.#seed.server;
  }

  get token_id(): string {
    return this.#seed.visitor.grant.token_id;
  }

  /** A request of the client is running. */
  get busy(): boolean {
    return this.#back.open > 0;
  }

  /** Whether the token of the newest request is still in force. */
  async alive(): Promise<boolean> {
    return !isRefusal(await authenticate(this.#core.store.tokens, this.#core.clock, this.#visitor.token));
  }

  /** Connects to the server, as a call like any other. Null: ready for `handle`. */
  async open(): Promise<Refusal | null> {
    const client = Hello.safeParse(this.#seed.hello).data?.clientInfo.name ?? 'unnamed';
    const answer = await relayCall(this.#core, {
      ...this.#requestOf(this.#seed.visitor, 'initialize', { client }, NOTHING_APPROVED),
      signal: undefined,
      send: (credential) => this.#connect(credential),
    });
    const failed = isRefusal(answer) ? answer : await this.#serve(answer);
    if (failed !== null) await this.close();
    return failed;
  }

  async handle(request: HttpRequest, message: unknown, visitor: Visitor): Promise<HttpResponse> {
    const transport = this.#transport;
    if (transport === null) throw new Error('the session is not open');
    this.#visitor = visitor;
    const headers = HEADERS_PASSED.flatMap((name): [string, string][] => {
      const value = request.headers[name];
      return value === undefined ? [] : [[name, value]];
    });
    const web = new Request('http://localhost/mcp', { method: request.method, headers });
    const response = await transport.handleRequest(web, {
      parsedBody: message,
      authInfo: { token: '', clientId: visitor.grant.token_id, scopes: [], extra: { visitor } },
    });
    return httpResponse(response);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#seed.onend();
      await this.#server?.close();
      await this.#link?.close();
    })();
    return this.#closing;
  }

  async #connect(credential: Credential | null): Promise<LinkAnswer> {
    try {
      const { upstreams } = this.#core;
      this.#scrub.learn(upstreams.standingSecrets(this.#seed.server));
      const link = await upstreams.openOwn(this.#seed.server, credential, {
        capabilities: this.#client,
        handlers: {
          onrequest: (method, params, signal) => this.#back.ask(method, params, signal),
          onnotification: (method, params) => {
            if (method === 'notifications/tools/list_changed') this.#tools.changed();
            this.#back.tell(method, params);
          },
          onclose: () => this.#linkEnded(),
        },
      });
      this.#link = link;
      this.#tools.read(await upstreams.stockOf(this.#seed.server, link, credential));
      const { instructions: _words, ...hello } = link.server.raw;
      const told = instructionsApproved(
        await approvedParts(this.#core, this.#seed.server),
        link.server.instructions,
      );
      return { ok: true, result: told ? link.server.raw : hello };
    } catch (error) {
      if (error instanceof UpstreamError) return { ok: false, error: error.info, rpc: null };
      throw error;
    }
  }

  /** The client is told what was running; then it has to begin anew. */
  #linkEnded(): void {
    this.#link_ended = true;
    this.#seed.onend();
    if (!this.busy) void this.close();
  }

  async #serve(answer: RelayAnswer): Promise<Refusal | null> {
    const hello = answer.ok ? ServerHello.safeParse(answer.result) : null;
    if (hello?.success !== true)
      return refuse(
        'upstream-malformed',
        `The MCP server ${this.#seed.server} did not introduce itself in a way that can be used.`,
        'Look at that server itself.',
      );
    const { serverInfo, capabilities, instructions } = hello.data;
    this.#offered = offeredCapabilities(capabilities);
    const [{ Server }, { WebStandardStreamableHTTPServerTransport }, { SetLevelRequestSchema }] =
      await Promise.all([
        import('@modelcontextprotocol/sdk/server/index.js'),
        import('@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'),
        import('@modelcontextprotocol/sdk/types.js'),
      ]);
    const words = instructions === undefined ? {} : { instructions };
    const server = new Server(serverInfo, { capabilities: this.#offered, ...words });
    // The SDK would answer this one by itself; the level is the server's business.
    if (this.#offered.logging !== undefined)
      server.setRequestHandler(SetLevelRequestSchema, (request, extra) => this.#relay(request, extra));
    server.fallbackRequestHandler = (request, extra) => this.#relay(request, extra);
    server.fallbackNotificationHandler = ({ method }) => this.#notified(method);
    server.onclose = () => void this.close();
    this.#transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => this.#seed.id,
    });
    await server.connect(this.#transport);
    this.#server = server;
    return null;
  }

  async #notified(method: string): Promise<void> {
    if (method === 'notifications/roots/list_changed' && this.#client.roots !== undefined)
      await this.#link?.notify(method);
  }

  async #tellClient(notification: ServerNotification): Promise<void> {
    await this.#server?.notification(notification);
  }

  async #relay(request: Pick<JSONRPCRequest, 'method' | 'params'>, extra: Extra): Promise<ServerResult> {
    const { method } = request;
    const needs = RELAYED_METHODS.get(method)?.needs ?? null;
    if (needs === null || this.#offered[needs] === undefined) throw new RpcFault(-32_601, 'Method not found');
    const params = relayedParams(method, request.params);
    if (params === null) throw new RpcFault(-32_602, `Invalid params of ${method}`);
    if (this.#back.open >= OPEN_REQUESTS_MAX)
      throw new RpcFault(-32_000, `More than ${OPEN_REQUESTS_MAX} requests at a time in one session`);
    const visitor = extra.authInfo?.extra?.['visitor'] as Visitor;
    const deadline = relayDeadline(this.#upstream().call_timeout_ms, extra.signal);
    const open = openRequest(extra, deadline);
    this.#back.begin(open);
    try {
      if (needs === 'tools' && this.#tools.stale) await this.#listTools(visitor, deadline);
      const approved = await approvedParts(this.#core, this.#seed.server);
      const token = extra._meta?.progressToken;
      const onprogress =
        token === undefined ? undefined : (progress: RpcParams) => this.#back.progress(open, token, progress);
      const answer = await this.#call(visitor, { method, params, approved }, { deadline, onprogress });
      return resultOf(method, answer);
    } finally {
      deadline.done();
      await this.#back.end(open);
      // The answer leaves in the turns after this one; a session whose server is gone ends behind it.
      if (this.#link_ended && !this.busy) setImmediate(() => void this.close());
    }
  }

  #call(
    visitor: Visitor,
    { method, params, approved }: { method: string; params: RpcParams; approved: ApprovedParts },
    {
      deadline,
      onprogress,
    }: { deadline: RelayDeadline; onprogress?: ((progress: RpcParams) => void) | undefined },
  ): Promise<RelayAnswer | Refusal> {
    return relayCall(this.#core, {
      ...this.#requestOf(visitor, method, params, approved),
      signal: deadline.signal,
      send: async (credential) => {
        const { signal } = deadline;
        const options = { signal, onprogress, timeout_ms: CALL_MS_MAX, credential };
        const answer = deadline.judge(await this.#linked().request(method, params, options));
        if (!answer.ok || method !== 'tools/list') return answer;
        const permitted = (name: string): boolean =>
          !isRefused(admitRelay(this.#core, this.#requestOf(visitor, 'tools/call', { name }, approved)));
        return { ok: true, result: this.#tools.page(answer.result, approved, permitted) };
      },
    });
  }

  /** Reads the server's whole list, so that a call is decided by what the server says now. */
  async #listTools(visitor: Visitor, deadline: RelayDeadline): Promise<void> {
    await relayCall(this.#core, {
      ...this.#requestOf(visitor, 'tools/list', {}, NOTHING_APPROVED),
      signal: deadline.signal,
      send: async (credential) => {
        try {
          this.#tools.read(await this.#core.upstreams.stockOf(this.#seed.server, this.#linked(), credential));
          return { ok: true, result: {} };
        } catch (error) {
          if (error instanceof UpstreamError) return { ok: false, error: error.info, rpc: null };
          throw error;
        }
      },
    });
  }

  #linked(): Link {
    if (this.#link === null) throw new Error('the session is not open');
    return this.#link;
  }

  #upstream(): McpUpstream {
    const upstream = this.#core.settings.upstreams[this.#seed.server];
    if (upstream === undefined) throw new Error('admission has let an unknown server pass');
    return upstream;
  }

  #requestOf(visitor: Visitor, method: string, params: RpcParams, approved: ApprovedParts) {
    const { grant, token } = visitor;
    const offers = (tool: string): boolean => this.#tools.offers(tool, approved);
    return { grant, token, server: this.#seed.server, method, params, offers, scrub: this.#scrub };
  }
}

const NOTHING_APPROVED: ApprovedParts = { tools: new Map(), instructions: null };

function resultOf(method: string, answer: RelayAnswer | Refusal): RpcParams {
  if (isRefusal(answer)) {
    const { code, reason, remedy } = answer;
    if (code === 'tool-unknown') throw new RpcFault(-32_602, reason);
    const words = `${reason} ${remedy}`.trim();
    if (method !== 'tools/call') throw new RpcFault(-32_000, words, { code });
    // So that the agent reads the reason and the next step instead of a broken protocol.
    return { isError: true, content: [{ type: 'text', text: words }] };
  }
  if (!answer.ok) throw new RpcFault(answer.rpc.code, answer.rpc.message, answer.rpc.data);
  return answer.result;
}

function openRequest(extra: Extra, deadline: RelayDeadline): OpenRequest {
  return {
    hold: () => deadline.hold(),
    tell: (notification) => extra.sendNotification(notification as ServerNotification),
    ask: (request, schema, options) => extra.sendRequest(request as ServerRequest, schema, options),
    asked: 0,
  };
}

/** An error that the SDK puts on the wire as it is. */
class RpcFault extends Error {
  readonly code: number;
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.name = 'RpcFault';
    this.code = code;
    this.data = data;
  }
}

async function httpResponse(response: Response): Promise<HttpResponse> {
  const headers: Record<string, string> = { 'cache-control': 'no-store' };
  for (const name of HEADERS_ANSWERED) {
    const value = response.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  const { status, body } = response;
  const streamed = headers['content-type'] === 'text/event-stream' && body !== null;
  return streamed ? { status, headers, stream: body } : { status, headers, body: await response.text() };
}
