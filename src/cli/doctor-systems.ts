import { z } from 'zod';
import type { LoadedConfig } from '../config.ts';
import { isoTime, type Log } from '../contract/ports.ts';
import type { Environment, OwnedSystem, Settings } from '../contract/settings.ts';
import { isRefusal } from '../contract/verdict.ts';
import { Egress } from '../gateway/egress.ts';
import type { CredentialProof, Gateway } from '../gateway/gateway.ts';
import { createSlackApi } from '../slack/slack-api.ts';
import type { Store } from '../store/store.ts';
import { systemClock, systemIds } from '../system-ports.ts';
import type { Check } from './doctor.ts';
import { localUser } from './freeze.ts';

/** One question to a system waits this long at most. */
const TIMEOUT_MS = 8000;
/** A lease with its read, its end and the second look at it. */
const PROOF_MS = 30_000;
const TOKEN_TTL_MS = 120_000;
/** Time window of the question to Loki. */
const WINDOW_MS = 300_000;

/** What a mount needs of the outside, asked once for each system and tenant. */
interface Question {
  readonly check: string;
  readonly team: string;
  readonly env: string;
  readonly tool: string;
  readonly target: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** A dry run instead of a read: what a read cannot tell is whether a change would be let through. */
  readonly is_preview?: true;
}

/** Reads through the gateway: the same door, policies, credentials and limits as an investigation. */
export async function systemChecks(config: LoadedConfig, gateway: Gateway, store: Store): Promise<Check[]> {
  const questions = questionsOf(config.settings);
  const asked = await Promise.all(questions.map((question) => ask(question, gateway, store)));
  return [...asked, ...unmounted(config.settings)];
}

async function ask(question: Question, gateway: Gateway, store: Store): Promise<Check> {
  const { check, team, env, tool, target, args } = question;
  const token = systemIds.secret(32);
  const token_id = systemIds.next('tok');
  const expires_at_ms = systemClock.now() + TOKEN_TTL_MS;
  await store.tokens.mint(
    { token_id, principal: localUser(), incident_id: null, team, env, action_class: 'read', expires_at_ms },
    token,
  );
  try {
    const started = systemClock.now();
    const why = 'aegis doctor';
    const request = { token, tool, target, why };
    const took = (): string => `(${systemClock.now() - started} ms, ${team}/${env})`;
    if (question.is_preview === true) {
      const rehearsal = { ...request, params: args, change_id: 'CHG-0' };
      const answer = await gateway.preview(rehearsal, AbortSignal.timeout(TIMEOUT_MS));
      if (isRefusal(answer)) return { check, status: 'failed', detail: answer.reason, next: answer.remedy };
      return { check, status: 'ok', detail: `${tool} would be let through (dry run) ${took()}` };
    }
    const proof = await gateway.proveCredential({ ...request, args }, AbortSignal.timeout(PROOF_MS));
    if (isRefusal(proof)) return { check, status: 'failed', detail: proof.reason, next: proof.remedy };
    const found = proofCheck(check, proof);
    return { ...found, detail: `${found.detail} ${took()}` };
  } finally {
    await store.tokens.revoke(token_id);
  }
}

/** Minted, used, revoked, and refused afterwards; what cannot be revoked is said. */
function proofCheck(check: string, { engine, revocable, revoked, afterwards }: CredentialProof): Check {
  if (engine === 'none') return { check, status: 'ok', detail: 'answers; it asks for no credential' };
  if (!revocable)
    return {
      check,
      status: 'ok',
      detail: `answers; its credential (${engine}) cannot be revoked by Aegis, and cards say so`,
    };
  const leased = `answers; a credential was leased (${engine})`;
  if (!revoked)
    return {
      check,
      status: 'failed',
      detail: `${leased} and could not be revoked`,
      next: 'check that Aegis may revoke (Vault: auth/token/revoke-accessor; Kubernetes: delete on secrets)',
    };
  if (afterwards === 'accepted')
    return {
      check,
      status: 'failed',
      detail: `${leased} and revoked, and the system still accepts it`,
      next: 'a lease must end with its revocation: let Vault create accounts or users of its own instead of lending one that stays',
    };
  const refused = afterwards === 'refused' ? 'and is refused since' : 'and whether it is refused is unclear';
  return { check, status: 'ok', detail: `${leased}, revoked, ${refused}` };
}

function questionsOf(settings: Settings): Question[] {
  const questions = new Map<string, Question>();
  for (const [team, { environments }] of Object.entries(settings.teams))
    for (const [env, { mounts, systems }] of Object.entries(environments))
      for (const asked of [
        ...mounts.flatMap((mount) => [
          questionOf(mount, settings),
          ...auditQuestion(mount, settings),
          ...nodeQuestion(mount),
        ]),
        ...systems.flatMap(databaseQuestion),
      ]) {
        const question = { team, env, ...asked };
        const key = [question.check, team, env].join(' ');
        if (!questions.has(key)) questions.set(key, question);
      }
  return [...questions.values()];
}

/** The role is judged at each use: one that could do too much is refused here as it would be at night. */
function databaseQuestion({ system, name, namespaces }: OwnedSystem): Omit<Question, 'team' | 'env'>[] {
  if (system !== 'pg' || namespaces[0] === undefined) return [];
  return [
    {
      check: `database ${name}`,
      tool: 'pg.schema',
      target: `mcp://pg/${name}/${namespaces[0]}/schema/-`,
      args: { limit: 1 },
    },
  ];
}

/** Does the source of the cluster's audit log answer? Whether lines arrive there is not asked: nobody may have acted. */
function auditQuestion(
  mount: Environment['mounts'][number],
  { clusters }: Settings,
): Omit<Question, 'team' | 'env'>[] {
  if (mount.kind !== 'kubernetes' || clusters[mount.cluster]?.audit === undefined) return [];
  const now_ms = systemClock.now();
  return [
    {
      check: `audit log of ${mount.cluster}`,
      tool: 'k8s.audit_log',
      target: `mcp://k8s/${mount.cluster}/${mount.namespaces[0] as string}/auditlog/-`,
      args: { since: isoTime(now_ms - WINDOW_MS), until: isoTime(now_ms) },
    },
  ];
}

/** Would a cordon be let through? Asked by the server's dry run, for the first node that the mount names in full. */
function nodeQuestion(mount: Environment['mounts'][number]): Omit<Question, 'team' | 'env'>[] {
  const node =
    mount.kind === 'kubernetes' ? mount.nodes?.find((pattern) => !pattern.endsWith('*')) : undefined;
  if (mount.kind !== 'kubernetes' || node === undefined) return [];
  return [
    {
      check: `nodes of ${mount.cluster}`,
      tool: 'k8s.cordon',
      target: `mcp://k8s/${mount.cluster}/-/node/${node}`,
      args: { changes: [{ path: '/spec/unschedulable', value: true }] },
      is_preview: true,
    },
  ];
}

function questionOf(
  mount: Environment['mounts'][number],
  settings: Settings,
): Omit<Question, 'team' | 'env'> {
  const namespace = mount.namespaces[0] as string;
  if (mount.kind === 'kubernetes' || mount.kind === 'jobs') {
    return {
      check: `cluster ${mount.cluster}`,
      tool: 'k8s.list',
      target: `mcp://k8s/${mount.cluster}/${namespace}/pod/-`,
      args: { limit: 1 },
    };
  }
  const query = { target: `${mount.source}/${namespace}/query/-` };
  if (mount.kind === 'metrics') {
    return {
      check: `prometheus ${mount.source}`,
      tool: 'prom.query',
      ...query,
      target: `mcp://prometheus/${query.target}`,
      args: { query: 'up', time_s: systemClock.now() / 1000 },
    };
  }
  const label = settings.sources.loki[mount.source]?.namespace_label ?? 'namespace';
  const now_ms = systemClock.now();
  return {
    check: `loki ${mount.source}`,
    tool: 'loki.query_range',
    ...query,
    target: `mcp://loki/${query.target}`,
    args: {
      query: `{${label}=${JSON.stringify(namespace)}}`,
      start_ns: `${now_ms - WINDOW_MS}000000`,
      end_ns: `${now_ms}000000`,
      limit: 1,
    },
  };
}

/** Systems that nobody can see: configured, but in no environment's mounts. */
function unmounted(settings: Settings): Check[] {
  const mounts = Object.values(settings.teams).flatMap((t) =>
    Object.values(t.environments).flatMap((e) => e.mounts),
  );
  const used = new Set(
    mounts.map((m) => ('cluster' in m ? `cluster ${m.cluster}` : `${m.kind} ${m.source}`)),
  );
  const audits = new Set(Object.values(settings.clusters).map(({ audit }) => audit?.source));
  const all = [
    ...Object.keys(settings.clusters).map((name) => ({ check: `cluster ${name}`, key: `cluster ${name}` })),
    ...Object.keys(settings.sources.loki)
      .filter((name) => !audits.has(name))
      .map((name) => ({ check: `loki ${name}`, key: `logs ${name}` })),
    ...Object.keys(settings.sources.prometheus).map((name) => ({
      check: `prometheus ${name}`,
      key: `metrics ${name}`,
    })),
  ];
  const next = 'add a mount for it under teams.<team>.environments.<env>.mounts, or remove it';
  return all
    .filter(({ key }) => !used.has(key))
    .map(({ check }) => ({ check, status: 'skipped', detail: 'no environment mounts it', next }));
}

const AuthTest = z.object({ team_id: z.string(), team: z.string(), user: z.string() });

/** Who the bot token belongs to: the right workspace, and a bot. */
export async function slackCheck(config: LoadedConfig, log: Log): Promise<Check> {
  const check = 'slack';
  const { workspace, bot_token, api_url } = config.settings.slack;
  const api = createSlackApi({ bot_token: config.secrets(bot_token), api_url, timeout_ms: TIMEOUT_MS, log });
  const answer = await api.call('auth.test', {});
  if (!answer.ok) {
    const next =
      answer.kind === 'refused'
        ? 'take the bot token (xoxb-) of the installed app; reinstall it if it was revoked'
        : 'check that this machine reaches slack.com; alerts are kept meanwhile and cards are sent later';
    return { check, status: 'failed', detail: `auth.test: ${answer.error}`, next };
  }
  const { team_id, team, user } = AuthTest.parse(answer.body);
  if (team_id !== workspace)
    return {
      check,
      status: 'failed',
      detail: `the bot token belongs to workspace ${team_id}, aegis.yaml names ${workspace}`,
      next: 'correct slack.workspace, or use the token of the right workspace',
    };
  return { check, status: 'ok', detail: `${user} in ${team}` };
}

/** Vault's own word about itself; it needs no login and is given while sealed. */
export async function vaultCheck(settings: Settings): Promise<Check | null> {
  if (settings.vault === undefined) return null;
  const check = 'vault';
  const next = 'check vault.address and that Vault is up; nothing is written while it is away';
  const egress = new Egress(settings.unsafe_endpoints);
  const base = new URL(settings.vault.address);
  try {
    const answer = await egress.request(
      { url: base.origin, ca_file: settings.vault.ca_file },
      {
        method: 'GET',
        path: '/v1/sys/health',
        query: { standbyok: 'true', sealedcode: '200', uninitcode: '200' },
        headers: {},
        body: null,
        timeout_ms: settings.vault.timeout_ms,
        bytes_max: 65_536,
        signal: undefined,
      },
    );
    const health = JSON.parse(answer.text) as { sealed?: boolean; initialized?: boolean; version?: string };
    if (health.sealed === true)
      return {
        check,
        status: 'failed',
        detail: 'Vault is sealed',
        next: 'unseal Vault; Aegis goes on by itself',
      };
    if (answer.status !== 200 || health.initialized !== true)
      return { check, status: 'failed', detail: `Vault answers ${answer.status} and is not ready`, next };
    return { check, status: 'ok', detail: `unsealed, version ${health.version ?? 'unknown'}` };
  } catch (error) {
    return { check, status: 'failed', detail: (error as Error).message, next };
  } finally {
    await egress.close();
  }
}
