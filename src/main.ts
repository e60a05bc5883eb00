import { Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { HttpRoute } from './contract/http.ts';
import { isoTime } from './contract/ports.ts';
import type { Clock, Ids, Log } from './contract/ports.ts';
import type { LoadedConfig } from './config.ts';
import { stepUpRoutes } from './console/step-up.ts';
import type { Gateway } from './gateway/gateway.ts';
import { skillCognition } from './cognition/cognition.ts';
import { createGateway } from './gateway/create-gateway.ts';
import { mcpRoute } from './gateway/endpoint.ts';
import { draftPostmortem } from './evolution/postmortem.ts';
import { createInspect } from './harness/create-inspect.ts';
import type { HarnessDeps } from './harness/deps.ts';
import { createIntake, createSignedIntake } from './harness/intake.ts';
import { readApprovalAs } from './harness/read-approval.ts';
import { recordRefusals } from './harness/refused-requests.ts';
import { Runner } from './harness/runner.ts';
import { stepUpGaps } from './harness/rule-gaps.ts';
import { startHttpServer } from './http-server.ts';
import type { RunningServer } from './http-server.ts';
import { policiesDir, skillsDir } from './package-paths.ts';
import { createSlackRoom } from './slack/app.ts';
import { AuditPost } from './store/audit-post.ts';
import type { Rewind } from './store/rewind.ts';
import type { Store } from './store/store.ts';
import { RETENTION_SWEEP_EVERY_MS, sweepRetention } from './store/sweep-retention.ts';
import { alertmanagerRoute } from './triggers/alertmanager.ts';
import { createVfs } from './vfs/vfs.ts';

/**
 * The composition root, the only file that knows everyone: `compose` wires the rooms over a given store, clock and ids;
 * `start` opens the doors. Tests compose the same product over a wrapped store.
 */
export interface Ports {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

export interface Aegis {
  readonly gateway: Gateway;
  start(): Promise<{ port: number }>;
  stop(): Promise<void>;
}

/** How often the policy files are looked at; two looks that agree exchange them. */
const POLICY_LOOK_EVERY_MS = 1000;
/** A checkpoint is made when something moved, at most this often. */
const CHECKPOINT_EVERY_MS = 60_000;

export async function compose(config: LoadedConfig, ports: Ports): Promise<Aegis> {
  const { store, log } = ports;
  const rooms = await wire(config, ports);
  const { gateway, runner, slack } = rooms;
  const checkpoint = checkpointing(ports, config, () => slack.wake());
  const chores = choresOf(rooms, ports, checkpoint);
  let server: RunningServer | null = null;
  let ready = false;
  const routes = [
    ...rooms.routes,
    ...healthRoutes(
      ports,
      () => ready,
      () => slack.healthy(),
    ),
  ];
  return {
    gateway,
    async start() {
      const rewind = await store.ledger.rewind();
      if (rewind !== null)
        log.error({ ...rewind }, 'no write happens: the database is not the one that is known');
      const guardrails = gateway.guardrails();
      const gaps = guardrails === null ? [] : stepUpGaps(config.settings, guardrails);
      if (gaps.length > 0)
        log.warn({ environments: gaps }, 'http.public_url is not set: nobody can give a step-up approval');
      server = await startHttpServer({ ...config.settings.http, routes, log });
      await store.outbox.rerenderOpen();
      await slack.start();
      await runner.start();
      await checkpoint('start');
      ready = true;
      chores.start();
      log.info({ port: server.port, unsafe_endpoints: config.settings.unsafe_endpoints }, 'Aegis is ready');
      return { port: server.port };
    },
    async stop() {
      chores.stop();
      await server?.close();
      await runner.stop();
      await slack.stop();
      await gateway.close();
      await checkpoint('stop');
    },
  };
}

type Checkpoint = (reason: string) => Promise<void>;

/** Makes a checkpoint and tells the audit channel, where there is one. */
function checkpointing(
  { store, clock, log }: Ports,
  { settings }: LoadedConfig,
  wake: () => void,
): Checkpoint {
  const { audit_channel } = settings.slack;
  const audit = audit_channel === undefined ? null : new AuditPost(audit_channel, clock);
  return async (reason) => {
    try {
      const entry = await store.ledger.checkpoint(reason);
      const card = entry === null ? null : (audit?.cardFor(entry, reason) ?? null);
      if (card === null) return;
      await store.outbox.put(card, null);
      wake();
    } catch (error) {
      log.error({ error: String(error) }, 'checkpoint failed');
    }
  };
}

/** What is done again and again while it runs, and what an earlier run left to do. */
function choresOf(
  { gateway, runner }: Awaited<ReturnType<typeof wire>>,
  { store, clock, log }: Ports,
  checkpoint: Checkpoint,
): { start(): void; stop(): void } {
  const lookAtPolicies = () =>
    gateway
      .refreshPolicies()
      .then((change) => (change === null ? undefined : runner.policiesChanged()))
      .catch((error: unknown) => log.error({ error: String(error) }, 'policies could not be looked at'));
  const sweepOld = () =>
    sweepRetention({ ledger: store.ledger, clock, log }, gateway.retention()).catch((error: unknown) =>
      log.error({ error: String(error) }, 'old incidents could not be taken out'),
    );
  const sweepLeases = async () => {
    const swept = await gateway.sweepLeases();
    if (swept.revoked + swept.failed > 0) log.warn(swept, 'leases of an earlier run were swept');
  };
  let timers: NodeJS.Timeout[] = [];
  return {
    start() {
      void sweepLeases();
      void sweepOld();
      timers = [
        setInterval(() => void lookAtPolicies(), POLICY_LOOK_EVERY_MS),
        setInterval(() => void checkpoint('interval'), CHECKPOINT_EVERY_MS),
        setInterval(() => void sweepOld(), RETENTION_SWEEP_EVERY_MS),
      ];
    },
    stop: () => timers.forEach((timer) => clearInterval(timer)),
  };
}

/** Connects the rooms. Nothing runs yet. */
async function wire(config: LoadedConfig, ports: Ports) {
  const { settings, secrets } = config;
  const { store, clock, log } = ports;
  const policies_dir = policiesDir(settings);
  const skills_dir = skillsDir(settings);
  const gateway = await createGateway({ ...ports, settings, secrets, policies_dir });
  const vfs = createVfs({
    ...ports,
    gateway,
    settings,
    skills_dir,
    redaction_marks: () => gateway.redactionMarks(),
    retention: () => gateway.retention(),
  });
  const names = Object.fromEntries(settings.identity.map((i) => [i.principal, i.name]));
  // Slack and runner wake each other; each exists before the first wake.
  const deps: HarnessDeps = {
    ...ports,
    gateway,
    vfs,
    cognition: skillCognition(),
    settings,
    notify: () => slack.wake(),
    review: (entries) => draftPostmortem(entries, { names }),
  };
  const runner = new Runner(deps);
  const intake = createIntake(store.inbox, () => runner.wake());
  const slack = createSlackRoom({
    settings: settings.slack,
    bot_token: secrets(settings.slack.bot_token),
    signing_secret: secrets(settings.slack.signing_secret),
    inbox: store.inbox,
    outbox: store.outbox,
    intake,
    inspect: createInspect(deps),
    redact: (text) => gateway.redactText(text),
    clock,
    log,
    simulated: settings.unsafe_endpoints,
  });
  const senders = settings.triggers.map((trigger) => ({
    settings: trigger,
    secret: secrets(trigger.secret),
  }));
  const doors = [
    ...slack.routes(),
    alertmanagerRoute(senders, intake, log),
    mcpRoute({ ...ports, gateway, settings }),
    ...gateway.relayRoutes(settings.http.host),
    ...stepUp(deps, runner, names),
  ];
  const routes = doors.map((route) => recordRefusals(route, { ledger: store.ledger, clock, log }));
  return { gateway, runner, slack, routes };
}

/** The page on which people approve outside Slack; without an address that they can reach there is none. */
function stepUp(deps: HarnessDeps, runner: Runner, names: Readonly<Record<string, string>>): HttpRoute[] {
  const { store, gateway, settings, clock, ids } = deps;
  const { public_url } = settings.http;
  if (public_url === undefined) return [];
  return stepUpRoutes({
    public_url,
    persons: store.persons,
    read: (principal, approval_id) => readApprovalAs(deps, principal, approval_id),
    intake: createSignedIntake(store.inbox, () => runner.wake()),
    nameOf: (principal) => names[principal] ?? principal,
    redact: (text) => gateway.redactText(text),
    clock,
    ids,
  });
}

function healthRoutes(
  { store, clock }: Pick<Ports, 'store' | 'clock'>,
  is_ready: () => boolean,
  slack_healthy: () => boolean,
): HttpRoute[] {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  leaseGauge(registry, store);
  budgetGauge(registry, store, clock);
  const get = (path: string, handle: HttpRoute['handle']): HttpRoute => ({
    method: 'GET',
    path,
    body_bytes_max: 0,
    handle,
  });
  return [
    get('/healthz', async () => ({ status: 200, body: JSON.stringify({ ok: true }) })),
    get('/readyz', async () => ({
      status: is_ready() ? 200 : 503,
      body: JSON.stringify({
        ready: is_ready(),
        slack: slack_healthy() ? 'ok' : 'not reachable; cards are kept and sent later',
        writes: writesOf(await store.ledger.rewind()),
      }),
    })),
    get('/metrics', async () => ({
      status: 200,
      headers: { 'content-type': registry.contentType },
      body: await registry.metrics(),
    })),
  ];
}

/** It goes on reading and answering, so it is ready all the same. */
function writesOf(rewind: Rewind | null): string {
  return rewind === null ? 'ok' : `stopped: ${rewind.what} ${rewind.remedy}`;
}

/** What was spent today of the budgets that incidents share. */
function budgetGauge(registry: Registry, store: Store, clock: Clock): void {
  registry.registerMetric(
    new Gauge({
      name: 'aegis_budget_spent_today',
      help: 'Spent since midnight UTC of the budgets of teams, triggers and all of Aegis, by account and unit',
      labelNames: ['account', 'unit'],
      registers: [],
      async collect() {
        this.reset();
        for (const { key, spent } of await store.budgets.daySpent(isoTime(clock.now()).slice(0, 10)))
          for (const unit of ['investigations', 'calls', 'tokens', 'cost_usd'] as const)
            this.set({ account: key, unit }, spent[unit]);
      },
    }),
  );
}

/** Credentials that are out at this moment; one that stays for long was not revoked. */
function leaseGauge(registry: Registry, store: Store): void {
  registry.registerMetric(
    new Gauge({
      name: 'aegis_leases_outstanding',
      help: 'Leased credentials that are not known to be revoked, by engine; vault_login is Aegis itself',
      labelNames: ['engine'],
      registers: [],
      async collect() {
        this.reset();
        for (const { engine } of await store.leases.outstanding()) this.inc({ engine });
      },
    }),
  );
}
