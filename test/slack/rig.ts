// The Slack room on loopback between a real store and the strict twin, with a recording intake and a scripted inspect.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HttpRequest, HttpRoute } from '../../src/contract/http.ts';
import type { Log, LogFields } from '../../src/contract/ports.ts';
import { Secret } from '../../src/contract/secret.ts';
import type { Inspect, StatusView, EvidenceView } from '../../src/harness/inspect.ts';
import type { Intake, PersonAct, RefusedPress } from '../../src/harness/intake.ts';
import type { ApprovalNotice } from '../../src/contract/notice.ts';
import type { Refusal } from '../../src/contract/verdict.ts';
import { startSlackTwin, type SlackTwin } from '../../src/lab/slack/twin.ts';
import type { WorkspaceDefinition } from '../../src/lab/slack/workspace.ts';
import { createSlackRoom, type SlackRoom } from '../../src/slack/app.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { NewCard, OutboxStore, Store } from '../../src/store/store.ts';

const SIGNING = 'test-signing-secret';
const TOKEN = 'xoxb-test-token';
export const CHANNEL = 'C0DATA';
export const FALLBACK = 'C0OPS';

export const WORKSPACE: WorkspaceDefinition = {
  team: { id: 'T0ACME', name: 'Acme', domain: 'acme' },
  app_id: 'A0AEGIS',
  bot: { user_id: 'U0BOT', bot_id: 'B0BOT', name: 'aegis' },
  users: [
    { id: 'U0MAYA', name: 'maya' },
    { id: 'U0DAN', name: 'dan' },
    { id: 'U0GUEST', name: 'gus', role: 'guest' },
    { id: 'U0FOREIGN', name: 'fay', role: 'foreign', team_id: 'T0OTHER' },
  ],
  channels: [
    {
      id: CHANNEL,
      name: 'data-oncall',
      members: ['U0MAYA', 'U0DAN', 'U0GUEST', 'U0FOREIGN', 'U0BOT'],
    },
    { id: FALLBACK, name: 'ops', members: ['U0MAYA', 'U0DAN', 'U0BOT'] },
    { id: 'C0ELSE', name: 'elsewhere', members: ['U0MAYA'] },
  ],
};

interface LoggedLine extends LogFields {
  readonly level: string;
  readonly message: string;
}

function recordingLog(lines: LoggedLine[]): Log {
  const at = (level: string) => (fields: LogFields, message: string) => {
    lines.push({ ...fields, level, message });
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

interface FakeIntake extends Intake {
  readonly acts: { act: PersonAct; key: string }[];
  readonly presses: RefusedPress[];
  broken: boolean;
  slow_ms: number;
}

function fakeIntake(): FakeIntake {
  const keys = new Set<string>();
  const intake: FakeIntake = {
    acts: [],
    presses: [],
    broken: false,
    slow_ms: 0,
    async person(act, key) {
      if (intake.slow_ms > 0) await new Promise((resolve) => setTimeout(resolve, intake.slow_ms));
      if (intake.broken) throw new Error('disk full');
      const duplicate = keys.has(key);
      keys.add(key);
      if (!duplicate) intake.acts.push({ act, key });
      return { inbox_id: key, duplicate };
    },
    async refused(press) {
      intake.presses.push(press);
    },
    async alerts() {
      return [];
    },
  };
  return intake;
}

interface FakeInspect extends Inspect {
  view: EvidenceView | Refusal | null;
  notice: ApprovalNotice | Refusal | null;
  overview: StatusView | Refusal;
  thread_incident: string | null;
  broken: boolean;
}

const NAMES = new Map([
  ['maya', { name: 'Maya', slack_user: 'U0MAYA' }],
  ['dan', { name: 'Dan', slack_user: 'U0DAN' }],
]);

export function personOf(principal: string): { name: string; slack_user: string | null } {
  return NAMES.get(principal) ?? { name: principal, slack_user: null };
}

function fakeInspect(): FakeInspect {
  const given = <T>(value: T | null): T => {
    if (inspect.broken || value === null) throw new Error('store unreachable');
    return value;
  };
  const inspect: FakeInspect = {
    view: null,
    notice: null,
    overview: { incidents: [], freezes: [] },
    thread_incident: null,
    broken: false,
    evidence: async () => given(inspect.view),
    approval: async () => given(inspect.notice),
    status: async () => given(inspect.overview),
    incidentOfThread: async () => {
      if (inspect.broken) throw new Error('store unreachable');
      return inspect.thread_incident;
    },
    person: personOf,
  };
  return inspect;
}

export interface Rig {
  readonly twin: SlackTwin;
  readonly store: Store;
  readonly intake: FakeIntake;
  readonly inspect: FakeInspect;
  readonly log: LoggedLine[];
  room: SlackRoom;
  readonly url: string;
  /** Puts a card as the harness would, and wakes the room. */
  want(card: NewCard, incident_id: string | null): Promise<void>;
  /** Ends this room and starts another over the same store, as a restart does. */
  restart(outbox?: OutboxStore): Promise<void>;
  close(): Promise<void>;
}

export interface RigOptions {
  readonly workspace?: WorkspaceDefinition;
  readonly scopes?: readonly string[];
  readonly inbox?: Pick<Store['inbox'], 'rememberOnce'>;
  readonly simulated?: boolean;
  readonly limits_enforced?: boolean;
  readonly event_retry_delays_ms?: readonly number[];
}

export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const home = mkdtempSync(join(tmpdir(), 'aegis-slack-'));
  const clock = { now: () => Date.now() };
  const store = await openStore({ home, clock });
  const twin = await startSlackTwin({
    signing_secret: SIGNING,
    bot_token: TOKEN,
    workspace: {
      ...(options.workspace ?? WORKSPACE),
      ...(options.scopes ? { scopes: [...options.scopes] } : {}),
    },
    limits: { enforced: options.limits_enforced ?? true },
    event_retry_delays_ms: options.event_retry_delays_ms ?? [0, 60_000, 300_000],
  });
  const log: LoggedLine[] = [];
  const intake = fakeIntake();
  const inspect = fakeInspect();
  const build = (outbox: OutboxStore): SlackRoom =>
    createSlackRoom({
      settings: { workspace: 'T0ACME', api_url: twin.api_url, fallback_channel: FALLBACK },
      bot_token: new Secret(TOKEN),
      signing_secret: new Secret(SIGNING),
      inbox: options.inbox ?? store.inbox,
      outbox,
      intake,
      inspect,
      redact: (text) => text.replaceAll('hunter2', '[REDACTED_PASSWORD]'),
      clock,
      log: recordingLog(log),
      simulated: options.simulated ?? true,
    });
  let room = build(store.outbox);
  const server = await serve(() => room.routes());
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/slack/events`;
  twin.connectApp(url);
  await room.start();
  const rig: Rig = {
    twin,
    store,
    intake,
    inspect,
    log,
    room,
    url,
    async want(card, incident_id) {
      await store.outbox.put(card, incident_id);
      rig.room.wake();
    },
    async restart(outbox) {
      await rig.room.stop();
      room = build(outbox ?? store.outbox);
      rig.room = room;
      await room.start();
    },
    async close() {
      await rig.room.stop();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await twin.stop();
      await store.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
  return rig;
}

async function serve(routes: () => HttpRoute[]): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const request: HttpRequest = {
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        headers: incoming.headers as Record<string, string>,
        body: Buffer.concat(chunks),
      };
      const route = routes().find((each) => each.method === request.method && each.path === request.path);
      const answer = route === undefined ? Promise.resolve({ status: 404 }) : route.handle(request);
      void answer.then((response) => {
        outgoing.writeHead(response.status, 'headers' in response ? { ...(response.headers as object) } : {});
        outgoing.end('body' in response ? response.body : '');
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

export async function until<T>(
  what: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  timeout_ms = 8_000,
): Promise<T> {
  const end = Date.now() + timeout_ms;
  for (;;) {
    const found = await what();
    if (found !== undefined && found !== null && found !== false) return found;
    if (Date.now() > end) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
