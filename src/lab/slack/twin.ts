// The strict Slack twin: one workspace on loopback that speaks Slack's Web API, signs what it sends, refuses what Slack
// refuses, and remembers everything so that tests and the demo can look. It imports nothing of the product and no Bolt:
// its worth is that it was written from Slack's side. FIDELITY.md says what is documented, measured or from memory.
import type { Json } from './json.ts';
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Actor, ActorError } from './actor.ts';
import type { Core } from './core.ts';
import { Deliveries, type Attempt } from './deliveries.ts';
import { Faults } from './faults.ts';
import { plainText } from './plain-text.ts';
import { eventEnvelope } from './payloads.ts';
import { DOCUMENTED_LIMITS, RateLimiter, type RateLimits } from './rate-limits.ts';
import { useResponseUrl } from './respond.ts';
import { isResponsePath, ResponseUrls, Triggers } from './short-lived.ts';
import { SlackStore, type StoreEvents } from './store.ts';
import { WebApi } from './web-api.ts';
import { Workspace, type WorkspaceDefinition } from './workspace.ts';

const BODY_BYTES_MAX = 12 * 1024 * 1024;

/** The scopes of the product's manifest, optional ones included. */
export const DEFAULT_SCOPES: readonly string[] =
  'commands chat:write app_mentions:read channels:read groups:read users:read usergroups:read im:history assistant:write channels:history groups:history files:write pins:write reactions:read users:read.email'.split(
    ' ',
  );

export const DEFAULT_BOT_EVENTS: readonly string[] =
  'app_home_opened app_mention message.im app_uninstalled tokens_revoked subteam_members_changed member_joined_channel channel_archive'.split(
    ' ',
  );

export interface SlackTwinOptions {
  signing_secret: string;
  bot_token: string;
  workspace: WorkspaceDefinition;
  /** Milliseconds since the epoch. Default the wall clock. */
  clock?: () => number;
  /** 0 (default) picks a free port. */
  port?: number;
  limits?: Partial<RateLimits>;
  /** How long a person waits for the app. Default 3000. */
  ack_timeout_ms?: number;
  /** Waits before the retries of an event. Default at once, 1 min, 5 min. */
  event_retry_delays_ms?: readonly number[];
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Slack takes the bytes as the raw body or as the one file of a form. */
async function uploadedBytes(request: IncomingMessage, body: Buffer): Promise<Buffer> {
  const content_type = request.headers['content-type'] ?? '';
  if (!content_type.startsWith('multipart/form-data')) return body;
  const form = await new Response(new Uint8Array(body), {
    headers: { 'content-type': content_type },
  }).formData();
  for (const part of form.values()) {
    if (typeof part !== 'string') return Buffer.from(await part.arrayBuffer());
  }
  return Buffer.alloc(0);
}

export class SlackTwin {
  readonly workspace: Workspace;
  readonly store: SlackStore;
  readonly deliveries: Deliveries;
  readonly faults = new Faults();
  readonly api: WebApi;
  readonly limiter: RateLimiter;
  private readonly core: Core;
  private server: Server | undefined;
  private port = 0;

  constructor(options: SlackTwinOptions) {
    const clock = options.clock ?? Date.now;
    this.workspace = new Workspace(options.workspace);
    this.store = new SlackStore(clock);
    this.deliveries = new Deliveries({
      signing_secret: options.signing_secret,
      clock,
      ack_timeout_ms: options.ack_timeout_ms ?? 3_000,
      event_retry_delays_ms: options.event_retry_delays_ms ?? [0, 60_000, 300_000],
    });
    this.core = {
      workspace: this.workspace,
      store: this.store,
      deliveries: this.deliveries,
      triggers: new Triggers(clock),
      response_urls: new ResponseUrls(clock, () => this.url),
      clock,
      up: () => this.server !== undefined,
      base_url: () => this.url,
      verification_token: randomBytes(12).toString('hex'),
      bot_events: options.workspace.bot_events ?? DEFAULT_BOT_EVENTS,
      commands: options.workspace.commands ?? ['/aegis'],
    };
    this.limiter = new RateLimiter({ ...DOCUMENTED_LIMITS, ...options.limits }, clock);
    const scopes = new Set(options.workspace.scopes ?? DEFAULT_SCOPES);
    const token = { bot_token: options.bot_token, revoked: false, scopes };
    this.api = new WebApi(this.core, token, this.limiter, this.faults);
    this.port = options.port ?? 0;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** For `slackApiUrl`: ends in `/api/`. */
  get api_url(): string {
    return `${this.url}/api/`;
  }

  /** Tells Slack where the app listens, e.g. `http://127.0.0.1:3000/slack/events`. */
  connectApp(events_url: string): void {
    this.deliveries.app_url = events_url;
  }

  /** A person of the workspace, by id or name. `force` lets even a deactivated member or a bot act. */
  as(user: string, how: { force?: boolean } = {}): Actor {
    const found = this.workspace.findUser(user);
    if (!found) throw new ActorError(`the workspace has no member "${user}"`);
    if (!how.force && found.role === 'deactivated') {
      throw new ActorError(`${found.name} is deactivated and cannot act in Slack`);
    }
    return new Actor(this.core, found);
  }

  on<K extends keyof StoreEvents>(kind: K, listener: (what: StoreEvents[K]) => void): () => void {
    return this.store.on(kind, listener);
  }

  /** Any other event of the workspace, e.g. `subteam_members_changed`. */
  event(event: Json): Promise<Attempt> {
    return this.deliveries.send('event', eventEnvelope(this.core, event));
  }

  plainText(message: { text: string; blocks: readonly Json[] }, time_zone?: string): string {
    return plainText(message, { workspace: this.workspace, ...(time_zone ? { time_zone } : {}) });
  }

  revokeToken(): void {
    this.api.token.revoked = true;
  }

  restoreToken(): void {
    this.api.token.revoked = false;
  }

  setScopes(scopes: readonly string[]): void {
    this.api.token.scopes = new Set(scopes);
  }

  async start(): Promise<void> {
    if (this.server) return;
    const server = createServer((request, response) => {
      this.serve(request, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : undefined);
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.port, '127.0.0.1', resolve);
    });
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
    this.deliveries.setReachable(true);
  }

  /** Slack goes away; everything it knew stays. `start()` brings it back on the same port. */
  async stop(): Promise<void> {
    const server = this.server;
    this.server = undefined;
    this.deliveries.setReachable(false);
    if (!server) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    const body = await readBody(request);
    if (body === undefined) return this.reply(response, 413, {}, '');
    if (isResponsePath(url.pathname) && request.method === 'POST') {
      const used = useResponseUrl(this.core, url.pathname, body);
      return this.reply(response, used.status, {}, used.body);
    }
    const upload = /^\/upload\/v1\/(F[A-Z0-9]+)$/.exec(url.pathname)?.[1];
    if (upload !== undefined) {
      const taken = this.api.files.receive(upload, await uploadedBytes(request, body));
      return this.reply(response, taken ? 200 : 400, {}, taken ? `OK - ${body.length}` : 'bad upload');
    }
    const method = /^\/api\/([\w.]+)$/.exec(url.pathname)?.[1];
    if (method === undefined) return this.reply(response, 404, {}, 'the Slack twin has no such path');
    const answer = await this.api.handle({
      method,
      content_type: request.headers['content-type'] ?? '',
      authorization: request.headers.authorization,
      query: url.searchParams,
      body,
    });
    if (answer === undefined) {
      request.socket.destroy();
      return undefined;
    }
    return this.reply(response, answer.status, answer.headers, answer.body);
  }

  private reply(
    response: ServerResponse,
    status: number,
    headers: Record<string, string>,
    body: string,
  ): void {
    response.writeHead(status, headers);
    response.end(body);
  }
}

/** Starts a workspace on loopback and gives its handle. */
export async function startSlackTwin(options: SlackTwinOptions): Promise<SlackTwin> {
  const twin = new SlackTwin(options);
  await twin.start();
  return twin;
}
