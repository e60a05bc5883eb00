/**
 * L0, the Slack room: people talk to Aegis here and see what it does. It examines what comes in, writes acts down through
 * intake before it acknowledges them, reads through inspect with the reader's rights, and turns desired card states from
 * the outbox into messages. It decides nothing, runs nothing, and believes no message: only its own store and Slack's
 * signature count.
 */
import type { HttpRequest, HttpResponse, HttpRoute } from '../contract/http.ts';
import type { Clock, Log } from '../contract/ports.ts';
import type { Secret } from '../contract/secret.ts';
import type { Settings } from '../contract/settings.ts';
import type { Inspect } from '../harness/inspect.ts';
import type { Intake } from '../harness/intake.ts';
import type { InboxStore, OutboxStore } from '../store/store.ts';
import { createAccounts } from './accounts.ts';
import { boltLogger } from './bolt-logger.ts';
import { BoltReceiver } from './bolt-receiver.ts';
import { wireListeners } from './bolt-wiring.ts';
import { admit, BODY_BYTES_MAX, type GuardOptions } from './ingress-guard.ts';
import { LISTENERS } from './listeners/index.ts';
import type { ListenerTools } from './listeners/listener.ts';
import { OutboxWorker } from './outbox.ts';
import { SendLimiter } from './send-limiter.ts';
import { createSlackApi, type SlackApi } from './slack-api.ts';

export interface SlackRoomOptions {
  readonly settings: Pick<Settings['slack'], 'workspace' | 'api_url' | 'fallback_channel'>;
  readonly bot_token: Secret;
  readonly signing_secret: Secret;
  readonly inbox: Pick<InboxStore, 'rememberOnce'>;
  readonly outbox: OutboxStore;
  readonly intake: Intake;
  readonly inspect: Inspect;
  /** The product's redaction; the last filter before a text leaves for Slack. */
  readonly redact: (text: string) => string;
  readonly clock: Clock;
  readonly log: Log;
  /** Addresses are stand-ins (`unsafe_endpoints`): every card says SIMULATED. */
  readonly simulated: boolean;
}

export interface SlackRoom {
  routes(): HttpRoute[];
  /** Resolves when Bolt is loaded (or could not be): loading it later would hold up the first alert. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** False while Slack does not answer or does not accept our token. */
  healthy(): boolean;
  /** Call after a commit: new cards leave now. */
  wake(): void;
}

const API_TIMEOUT_MS = 5_000;
/** How long a request may wait for Bolt to load, out of Slack's three seconds. */
const READY_WAIT_MS = 2_500;
const IDENTITY_RETRY_MS = 15_000;

/** What Slack says about ourselves: our user id, to ignore ourselves and know our posts; our address, for links. */
interface SelfFacts {
  bot_user_id: string | null;
  bot_id: string | null;
  url: string | null;
}

export function createSlackRoom(options: SlackRoomOptions): SlackRoom {
  const { settings, clock, log, inbox } = options;
  const api = createSlackApi({
    bot_token: options.bot_token,
    api_url: settings.api_url,
    timeout_ms: API_TIMEOUT_MS,
    log,
  });
  const self: SelfFacts = { bot_user_id: null, bot_id: null, url: null };
  const tools = toolsOf(options, api, self);
  const worker = workerOf(options, api, self);
  const guard: GuardOptions = { signing_secret: options.signing_secret, workspace: settings.workspace };
  let receiver: Promise<BoltReceiver> | undefined;
  let identity: NodeJS.Timeout | undefined;
  let stopped = false;
  const ingress: Ingress = { guard, inbox, clock, log, receiver: () => receiver };

  async function learnSelf(): Promise<void> {
    if (await askSelf(api, self, settings.workspace, log)) worker.wake();
    else if (!stopped) identity = setTimeout(() => void learnSelf(), IDENTITY_RETRY_MS);
  }

  return {
    routes: () => [
      {
        method: 'POST',
        path: '/slack/events',
        body_bytes_max: BODY_BYTES_MAX,
        handle: (request) => receive(request, ingress),
      },
    ],
    async start() {
      stopped = false;
      receiver = loadBolt(options, self, tools);
      const loaded = receiver.catch((error: unknown) =>
        log.error(
          { room: 'slack', error: String(error) },
          'Bolt could not be loaded; Slack requests are refused',
        ),
      );
      void learnSelf();
      await Promise.all([worker.start(), loaded]);
    },
    async stop() {
      stopped = true;
      clearTimeout(identity);
      receiver = undefined;
      await worker.stop();
    },
    healthy: () => worker.healthy(),
    wake: () => worker.wake(),
  };
}

function toolsOf(options: SlackRoomOptions, api: SlackApi, self: SelfFacts): ListenerTools {
  const { intake, inspect, inbox, redact, clock, log, simulated } = options;
  const accounts = createAccounts(api, clock);
  const workspace_url = (): string | null => self.url;
  return { api, accounts, intake, inspect, inbox, redact, clock, log, simulated, workspace_url };
}

function workerOf(options: SlackRoomOptions, api: SlackApi, self: SelfFacts): OutboxWorker {
  const { outbox, inspect, redact, clock, log, simulated } = options;
  return new OutboxWorker({
    outbox,
    api,
    limiter: new SendLimiter(),
    fallback_channel: options.settings.fallback_channel,
    simulated,
    redact,
    person: (principal) => inspect.person(principal),
    clock,
    log,
    workspace_url: () => self.url,
    bot_user_id: () => self.bot_user_id,
  });
}

interface Ingress {
  readonly guard: GuardOptions;
  readonly inbox: Pick<InboxStore, 'rememberOnce'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly receiver: () => Promise<BoltReceiver> | undefined;
}

/** One request from Slack. Whatever cannot be checked is refused; a refusal says no more than its code. */
async function receive(request: HttpRequest, ingress: Ingress): Promise<HttpResponse> {
  try {
    const admission = await admit(request, ingress.guard, ingress.inbox, ingress.clock.now());
    if (admission.is === 'refused') {
      ingress.log.warn(
        { room: 'slack', code: admission.code, reason: admission.reason },
        'a request to /slack/events was refused',
      );
      return { status: admission.status, body: admission.code };
    }
    if (admission.is === 'challenge')
      return {
        status: 200,
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        body: admission.challenge,
      };
    const receiver = await ready(ingress.receiver());
    return receiver === null ? { status: 503, body: 'starting' } : await receiver.handle(admission);
  } catch (error) {
    ingress.log.error(
      { room: 'slack', error: String(error) },
      'a request to /slack/events could not be handled',
    );
    return { status: 503, body: 'not recorded' };
  }
}

async function ready(receiver: Promise<BoltReceiver> | undefined): Promise<BoltReceiver | null> {
  if (receiver === undefined) return null;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), READY_WAIT_MS);
  });
  try {
    return await Promise.race([receiver, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Bolt takes more than half a second to import, so it loads beside the start and not before it. */
async function loadBolt(
  options: SlackRoomOptions,
  self: SelfFacts,
  tools: ListenerTools,
): Promise<BoltReceiver> {
  const { App } = await import('@slack/bolt');
  const receiver = new BoltReceiver(options.log);
  const { api_url } = options.settings;
  const app = new App({
    receiver,
    convoStore: false,
    logger: boltLogger(options.log),
    clientOptions: {
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      ...(api_url === undefined ? {} : { slackApiUrl: api_url }),
    },
    authorize: async () => ({
      botToken: options.bot_token.reveal(),
      ...(self.bot_user_id === null ? {} : { botUserId: self.bot_user_id }),
      ...(self.bot_id === null ? {} : { botId: self.bot_id }),
    }),
  });
  wireListeners(app, LISTENERS, tools);
  return receiver;
}

/** True once Slack has said who we are. A token of another workspace is reported: its cards would go nowhere good. */
async function askSelf(api: SlackApi, self: SelfFacts, workspace: string, log: Log): Promise<boolean> {
  const answer = await api.call('auth.test', {});
  if (!answer.ok) return false;
  const { user_id, bot_id, url, team_id } = answer.body;
  if (team_id !== workspace)
    log.error(
      { room: 'slack', team: team_id, configured: workspace },
      'the bot token belongs to another workspace than aegis.yaml names',
    );
  if (typeof user_id === 'string') self.bot_user_id = user_id;
  if (typeof bot_id === 'string') self.bot_id = bot_id;
  if (typeof url === 'string' && /^https?:\/\/[^\s<>|]+\/$/.test(url)) self.url = url;
  return self.bot_user_id !== null;
}
