// The lab's web page: the simulated workspace in a browser, for people. It acts only through the twin's actors, so a
// person on the page can do exactly what a member of the workspace could do. It never talks to the product, loads nothing
// from any network, and says on every screen that this Slack is simulated.
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { ActorError } from '../slack/actor.ts';
import { items, str, type Json } from '../slack/json.ts';
import type { SlackTwin } from '../slack/twin.ts';
import type { UserDefinition } from '../slack/workspace.ts';
import { loadBlockDrawer, type BlockDrawer } from './draw-blocks.ts';
import { Guard } from './guard.ts';
import { HTML } from './page-html.ts';
import { SCRIPT } from './page-script.ts';
import { STYLE } from './page-style.ts';
import { snapshotFor } from './snapshot.ts';

export interface PageOptions {
  slack: SlackTwin;
  /** The secret of this run; whoever opens `url` has it. */
  token: string;
  /** Default 7007; 0 picks a free one. */
  port?: number;
  /** Who is acted as and which channel shows at first. Default: the first member and channel. */
  first?: { user?: string; channel?: string };
  /** Lines about the running scenario for the sidebar; asked at every refresh. */
  info?: () => readonly string[];
}

export interface LabPage {
  /** With the token: for the terminal, to be opened once. */
  url: string;
  origin: string;
  close: () => Promise<void>;
}

const BODY_BYTES_MAX = 64 * 1024;
const KEEP_ALIVE_MS = 20_000;

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

// The library binds its style sheet to one id; a page holds many messages, so three classes stand in for its weight.
const BLOCK_ROOT = '.slack_blocks_to_jsx'.repeat(3);

/** The library's style sheet, bound to a class instead of an id. */
async function blockStyle(): Promise<string> {
  const path = createRequire(import.meta.url).resolve('slack-blocks-to-jsx/dist/style.css');
  return (await readFile(path, 'utf8')).replaceAll('#slack_blocks_to_jsx', BLOCK_ROOT);
}

async function readJson(request: IncomingMessage): Promise<Json | undefined> {
  let text = '';
  for await (const chunk of request as AsyncIterable<Buffer>) {
    text += chunk.toString('utf8');
    if (text.length > BODY_BYTES_MAX) return undefined;
  }
  try {
    const parsed = JSON.parse(text) as unknown;
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Json)
      : undefined;
  } catch {
    return undefined;
  }
}

function choiceOf(value: unknown): string | string[] | undefined {
  if (typeof value === 'string') return value;
  return Array.isArray(value) ? value.map(str) : undefined;
}

class Page {
  private readonly options: PageOptions;
  private readonly draw: BlockDrawer;
  private readonly style: string;
  private readonly guard: Guard;
  private readonly streams = new Set<ServerResponse>();
  private readonly seen = new Map<string, Map<string, number>>();
  private readonly stopListening: () => void;
  readonly server: Server;

  constructor(options: PageOptions, draw: BlockDrawer, style: string) {
    this.options = options;
    this.draw = draw;
    this.style = style;
    this.server = createServer((request, response) => {
      this.serve(request, response).catch((error: unknown) => {
        if (!response.headersSent) this.answer(response, 500, { error: 'the lab page failed' });
        response.destroy(error instanceof Error ? error : undefined);
      });
    });
    this.guard = new Guard(options.token, () => (this.server.address() as AddressInfo).port);
    this.stopListening = options.slack.store.onChange(() => this.tick());
  }

  close(): Promise<void> {
    this.stopListening();
    for (const stream of this.streams) stream.end();
    this.server.closeAllConnections();
    return new Promise((resolve) => {
      this.server.close(() => resolve());
    });
  }

  private tick(): void {
    for (const stream of this.streams) stream.write('data: changed\n\n');
  }

  private send(response: ServerResponse, status: number, type: string, body: string): void {
    response.writeHead(status, { ...HEADERS, 'content-type': type });
    response.end(body);
  }

  private answer(response: ServerResponse, status: number, body: Json): void {
    this.send(response, status, 'application/json', JSON.stringify(body));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refused = this.guard.checkHost(request);
    if (refused) return this.send(response, refused.status, 'text/plain; charset=utf-8', refused.reason);
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const cookie = this.guard.cookieFor(url.searchParams.get('token'));
    if (request.method === 'GET' && url.pathname === '/' && cookie !== undefined) {
      response.writeHead(303, { ...HEADERS, 'set-cookie': cookie, location: '/' });
      response.end();
      return undefined;
    }
    const stranger = this.guard.checkSession(request);
    if (stranger) return this.send(response, stranger.status, 'text/plain; charset=utf-8', stranger.reason);
    if (request.method === 'GET') return this.serveGet(url, request, response);
    if (request.method !== 'POST') return this.answer(response, 405, { error: 'GET or POST' });
    const foreign = this.guard.checkOrigin(request);
    if (foreign) return this.answer(response, foreign.status, { error: foreign.reason });
    return this.servePost(url, request, response);
  }

  private serveGet(url: URL, request: IncomingMessage, response: ServerResponse): void {
    switch (url.pathname) {
      case '/':
        return this.send(response, 200, 'text/html; charset=utf-8', HTML);
      case '/page.css':
        return this.send(response, 200, 'text/css; charset=utf-8', `${this.style}\n${STYLE}`);
      case '/page.js':
        return this.send(response, 200, 'text/javascript; charset=utf-8', SCRIPT);
      case '/changes':
        return this.stream(request, response);
      case '/state':
        return this.state(url, response);
      default:
        return this.answer(response, 404, { error: 'no such page' });
    }
  }

  private stream(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream' });
    response.write('data: hello\n\n');
    this.streams.add(response);
    const beat = setInterval(() => response.write(': still here\n\n'), KEEP_ALIVE_MS);
    request.on('close', () => {
      clearInterval(beat);
      this.streams.delete(response);
    });
  }

  private memberOf(wanted: string | null): UserDefinition | undefined {
    const { slack, first } = this.options;
    const people = slack.workspace.definition.users;
    return slack.workspace.findUser(wanted || first?.user || people[0]?.id || '');
  }

  private state(url: URL, response: ServerResponse): void {
    const { slack, first, info } = this.options;
    const user = this.memberOf(url.searchParams.get('as'));
    if (!user) return this.answer(response, 404, { error: 'nobody has that id' });
    const wanted = url.searchParams.get('channel');
    const open = [...slack.workspace.channels.values()].filter((each) => each.members.includes(user.id));
    const fallback = open.find((each) => each.name === first?.channel?.replace(/^#/, '')) ?? open[0];
    const channel = wanted === 'home' ? undefined : (open.find((each) => each.id === wanted) ?? fallback);
    const seen = this.seen.get(user.id) ?? new Map<string, number>();
    this.seen.set(user.id, seen);
    if (channel) seen.set(channel.id, slack.store.now());
    const thread_ts = url.searchParams.get('thread') ?? undefined;
    const shown = { twin: slack, draw: this.draw, user, channel, thread_ts, seen, info: info?.() ?? [] };
    return this.answer(response, 200, snapshotFor(shown));
  }

  private async servePost(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readJson(request);
    if (!body) return this.answer(response, 400, { error: 'a JSON object is needed' });
    try {
      const result = await this.act(url.pathname, body);
      return result
        ? this.answer(response, 200, result)
        : this.answer(response, 404, { error: 'no such action' });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const status = error instanceof ActorError ? 409 : 400;
      return this.answer(response, status, { error: error.message });
    }
  }

  private async act(path: string, body: Json): Promise<Json | undefined> {
    const actor = this.options.slack.as(str(body['as']));
    const channel = str(body['channel']);
    const text = str(body['text']).trim();
    const thread = str(body['thread']) || undefined;
    switch (path) {
      case '/say':
        if (text === '') throw new ActorError('There is nothing to send.');
        if (text.startsWith('/')) {
          if (thread) throw new ActorError('Slack has no slash commands in threads. Mention @aegis instead.');
          await actor.command(text, channel);
        } else await actor.say(channel, text, thread);
        return { ok: true };
      case '/click':
        return this.click(actor, body);
      case '/submit': {
        const values = Object.fromEntries(
          items(body['values']).map((each) => [str(each['name']), choiceOf(each['value']) ?? '']),
        );
        const { accepted } = await actor.submit(values, str(body['view_id']));
        return { ok: true, accepted };
      }
      case '/close':
        await actor.closeView(str(body['view_id']));
        return { ok: true };
      case '/home':
        await actor.openHome();
        return { ok: true };
      default:
        return undefined;
    }
  }

  private async click(actor: ReturnType<SlackTwin['as']>, body: Json): Promise<Json> {
    const view_id = str(body['view_id']);
    const choice = choiceOf(body['choice']);
    const result = await actor.click({
      ...(view_id === '' ? { channel: str(body['channel']), ts: str(body['ts']) } : { view_id }),
      action_id: str(body['action_id']),
      block_id: str(body['block_id']),
      ...(choice === undefined ? {} : { choice }),
    });
    return { ok: true, status: result.attempt?.status ?? null };
  }
}

/** Serves the page on 127.0.0.1; the returned `url` carries the token. */
export async function startPage(options: PageOptions): Promise<LabPage> {
  const [draw, style] = await Promise.all([loadBlockDrawer(), blockStyle()]);
  const page = new Page(options, draw, style);
  await new Promise<void>((resolve, reject) => {
    page.server.once('error', reject);
    page.server.listen(options.port ?? 7007, '127.0.0.1', resolve);
  });
  const origin = `http://127.0.0.1:${(page.server.address() as AddressInfo).port}`;
  return {
    origin,
    url: `${origin}/?token=${encodeURIComponent(options.token)}`,
    close: () => page.close(),
  };
}
