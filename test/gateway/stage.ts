import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Ids, Log } from '../../src/contract/ports.ts';
import { Secret } from '../../src/contract/secret.ts';
import { createGateway, type GatewayDeps } from '../../src/gateway/create-gateway.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import { startKubernetesTwin, type KubernetesTwin } from '../../src/lab/kubernetes/kubernetes-twin.ts';
import { startLokiTwin, type LokiTwin } from '../../src/lab/loki/loki-twin.ts';
import { startPrometheusTwin, type PrometheusTwin } from '../../src/lab/prometheus/prometheus-twin.ts';
import { startVaultTwin, type VaultTwin } from '../../src/lab/vault/vault-twin.ts';
import { prod1, type Prod1Options } from '../../src/lab/world/prod-1.ts';
import { World } from '../../src/lab/world/world.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';

/** A whole stage: world, Kubernetes, Vault, Loki, Prometheus, a store in a temporary home, and a gateway over them. */
export interface Stage {
  readonly home: string;
  readonly world: World;
  readonly kubernetes: KubernetesTwin;
  readonly vault: VaultTwin;
  readonly loki: LokiTwin;
  readonly prometheus: PrometheusTwin;
  readonly store: Store;
  readonly gateway: Gateway;
  readonly settings: GatewaySettings;
  /** Values of the secrets that the settings name. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly clock: TestClock;
  readonly ids: Ids;
  readonly log_lines: string[];
  token(grant?: {
    team?: string;
    env?: string;
    action_class?: 'read' | 'write';
    incident_id?: string | null;
    ttl_ms?: number;
  }): Promise<string>;
  /** A second gateway over the same systems, with other policies or a store in front of the stage's own. */
  beside(other: { policies_dir?: string; store?: Store }): Promise<Stage>;
  close(): Promise<void>;
}

const INCIDENT = 'INC-2026-1123-001';
export const JOB = 'mcp://k8s/prod-1/spark-jobs/sparkapplication/nightly-settlement';
export const POLICIES_DIR = join(import.meta.dirname, '../../policies');

interface TestClock extends Clock {
  /** Moves time forward without waiting. */
  skip(ms: number): void;
}

export interface StageOptions {
  /** More of the world's objects and images. */
  readonly world?: Prod1Options;
  /** The world's own time; the controllers of one that stands still do nothing. */
  readonly world_clock?: () => number;
  readonly policies_dir?: string;
  readonly credentials?: 'vault' | 'token';
  readonly wrapStore?: (store: Store) => Store;
  readonly settings?: (settings: GatewaySettings) => GatewaySettings;
  /** Values of further secret references, by the name of their variable. */
  readonly secrets?: Readonly<Record<string, string>>;
}

const READ_RULES = [
  {
    verbs: ['get', 'list', 'watch'],
    apiGroups: ['', 'apps', 'batch', 'sparkoperator.k8s.io', 'events.k8s.io'],
    resources: [
      'pods',
      'pods/log',
      'events',
      'configmaps',
      'services',
      'resourcequotas',
      'deployments',
      'replicasets',
      'jobs',
      'sparkapplications',
      'nodes',
      'namespaces',
    ],
  },
];
const WRITE_RULES = [
  ...READ_RULES,
  {
    verbs: ['patch', 'update'],
    apiGroups: ['sparkoperator.k8s.io', 'apps'],
    resources: ['sparkapplications', 'deployments'],
  },
];

/** What cordon and drain need, across the cluster. */
const NODE_RULES = [
  { verbs: ['get', 'patch'], apiGroups: [''], resources: ['nodes'], namespaces: ['*'] },
  { verbs: ['list'], apiGroups: [''], resources: ['pods'], namespaces: ['*'] },
  { verbs: ['create'], apiGroups: [''], resources: ['pods/eviction'], namespaces: ['*'] },
];

/** Settings whose Vault may take its time: a machine that many share is slow, not ill. */
export function patient(settings: GatewaySettings): GatewaySettings {
  const { vault } = settings;
  return vault === undefined ? settings : { ...settings, vault: { ...vault, timeout_ms: 30_000 } };
}

export async function startStage(options: StageOptions = {}): Promise<Stage> {
  const home = mkdtempSync(join(tmpdir(), 'aegis-gateway-'));
  const clock = testClock();
  const world = new World({
    definition: prod1(options.world),
    clock: options.world_clock ?? (() => Date.now()),
    seed: 'gateway',
  });
  const kubernetes = await startKubernetesTwin({ world });
  const ca_file = join(home, 'ca.pem');
  writeFileSync(ca_file, kubernetes.ca_pem);
  const vault = await startVaultTwin({ kubernetes: issuer(kubernetes) });
  const role = configureVault(vault);
  const loki = await startLokiTwin({ telemetry: world });
  const prometheus = await startPrometheusTwin({ telemetry: world });
  const standing = kubernetes.issueToken({
    serviceAccount: 'standing',
    namespace: 'spark-jobs',
    rules: [...WRITE_RULES, ...NODE_RULES],
  }).token;
  const base = stageSettings({
    kubernetes,
    vault,
    loki,
    prometheus,
    ca_file,
    credentials: options.credentials ?? 'vault',
    home: join(home, 'state'),
  });
  const settings = options.settings?.(base) ?? base;
  const log_lines: string[] = [];
  const opened = await openStore({ home: join(home, 'state'), clock });
  const store = options.wrapStore?.(opened) ?? opened;
  const ids = testIds();
  const secrets: Record<string, string> = {
    ROLE_ID: role.role_id,
    SECRET_ID: role.secret_id,
    STANDING: standing,
    ...options.secrets,
  };
  const deps: GatewayDeps = {
    store,
    settings,
    secrets: (ref) => {
      const text = 'env' in ref ? secrets[ref.env] : undefined;
      if (text === undefined) throw new Error('no such secret');
      return new Secret(text);
    },
    policies_dir: options.policies_dir ?? POLICIES_DIR,
    clock,
    ids,
    log: collectingLog(log_lines),
  };
  const gateway = await createGateway(deps);
  const close = async (): Promise<void> => {
    await gateway.close();
    await store.close();
    await Promise.all([kubernetes.close(), vault.close(), loki.close(), prometheus.close()]);
    rmSync(home, { recursive: true, force: true });
  };
  const stage: Stage = {
    home,
    world,
    kubernetes,
    vault,
    loki,
    prometheus,
    store,
    gateway,
    settings,
    clock,
    ids,
    log_lines,
    secrets,
    token: minter(store, clock, ids),
    beside: async (other) => {
      const second = await createGateway({ ...deps, ...other });
      const over = other.store ?? store;
      return {
        ...stage,
        gateway: second,
        store: over,
        token: minter(over, clock, ids),
        close: () => second.close(),
      };
    },
    close,
  };
  return stage;
}

/** Mints tokens into one store. */
function minter(store: Store, clock: Clock, ids: Ids): Stage['token'] {
  return async (grant = {}) => {
    const text = `agt_${ids.secret(24)}`;
    await store.tokens.mint(
      {
        token_id: ids.next('tok'),
        principal: 'aegis',
        incident_id: grant.incident_id === undefined ? INCIDENT : grant.incident_id,
        team: grant.team ?? 'data',
        env: grant.env ?? 'prod',
        action_class: grant.action_class ?? 'write',
        expires_at_ms: clock.now() + (grant.ttl_ms ?? 900_000),
      },
      text,
    );
    return text;
  };
}

function issuer(kubernetes: KubernetesTwin): Parameters<typeof startVaultTwin>[0]['kubernetes'] {
  return {
    issueToken: ({ service_account, namespace, role, ttl_s }) => {
      const rules = role === 'aegis-nodes' ? NODE_RULES : role === 'aegis-write' ? WRITE_RULES : READ_RULES;
      const { token } = kubernetes.issueToken({
        serviceAccount: service_account,
        namespace,
        rules,
        ttl_ms: ttl_s * 1000,
      });
      return { token, revoke: () => void kubernetes.deleteServiceAccount(namespace, service_account) };
    },
  };
}

function configureVault(vault: VaultTwin): { role_id: string; secret_id: string } {
  vault.addPolicy('aegis', {
    path: {
      'auth/token/create/aegis-call': { capabilities: ['update'] },
      'auth/token/revoke-accessor': { capabilities: ['update'] },
    },
  });
  vault.addPolicy('aegis-call', { path: { 'kubernetes/creds/+': { capabilities: ['update'] } } });
  vault.addTokenRole('aegis-call', {
    allowed_policies: ['aegis-call'],
    token_explicit_max_ttl: 900,
    renewable: false,
  });
  for (const role of ['aegis-read', 'aegis-write'])
    vault.addKubernetesRole(role, {
      allowed_kubernetes_namespaces: ['spark-jobs'],
      kubernetes_role_name: role,
      token_max_ttl_s: 900,
    });
  vault.addKubernetesRole('aegis-nodes', {
    allowed_kubernetes_namespaces: ['spark-jobs'],
    kubernetes_role_name: 'aegis-nodes',
    kubernetes_role_type: 'ClusterRole',
    token_max_ttl_s: 900,
  });
  return vault.addAppRole({ name: 'aegis', token_policies: ['aegis'], token_ttl_s: 1200 });
}

function stageSettings(parts: {
  kubernetes: KubernetesTwin;
  vault: VaultTwin;
  loki: LokiTwin;
  prometheus: PrometheusTwin;
  ca_file: string;
  credentials: 'vault' | 'token';
  home: string;
}): GatewaySettings {
  const source = (url: string) => ({
    url,
    credentials: { engine: 'none' as const },
    namespace_label: 'namespace',
    ingest_interval_s: 1,
  });
  const environment = (namespaces: string[]) => ({
    tier: 'tier1' as const,
    autonomy: 'approve' as const,
    activation: 'button' as const,
    channel: 'C0123',
    on_call: [],
    approval_policy: 'default',
    budget: { tokens_max: 1, tool_calls_max: 100, cost_usd_max: 1, minutes_max: 60 },
    change_window: null,
    systems: [],
    mounts: [
      { kind: 'kubernetes' as const, cluster: 'prod-1', namespaces },
      { kind: 'logs' as const, source: 'main', namespaces, files: {} },
      { kind: 'metrics' as const, source: 'main', namespaces },
    ],
  });
  return {
    home: parts.home,
    unsafe_endpoints: true,
    identity: ['ana', 'bo', 'cy'].map((principal) => ({
      principal,
      name: principal,
      slack: [],
      roles: ['oncall', 'lead'].map((role) => ({ team: 'data', env: 'prod', role })),
    })),
    databases: {},
    repositories: {},
    terraform: {},
    aws: {},
    upstreams: {},
    vault: {
      address: parts.vault.url,
      auth: {
        method: 'approle',
        mount: 'approle',
        role_id: { env: 'ROLE_ID' },
        secret_id: { env: 'SECRET_ID' },
      },
      timeout_ms: 2000,
    },
    clusters: {
      'prod-1': {
        server: parts.kubernetes.url,
        ca_file: parts.ca_file,
        credentials:
          parts.credentials === 'token'
            ? { engine: 'token', token: { env: 'STANDING' } }
            : {
                engine: 'vault_kubernetes',
                mount: 'kubernetes',
                read_role: 'aegis-read',
                write_role: 'aegis-write',
                node_role: 'aegis-nodes',
                token_role: 'aegis-call',
                ttl_s: 600,
              },
      },
    },
    sources: { loki: { main: source(parts.loki.url) }, prometheus: { main: source(parts.prometheus.url) } },
    teams: {
      data: { environments: { prod: environment(['spark-jobs']) } },
      fraud: { environments: { prod: environment(['fraud']) } },
    },
    services: [],
  };
}

function testClock(): TestClock {
  let offset = 0;
  return {
    now: () => Date.now() + offset,
    skip: (ms) => {
      offset += ms;
    },
  };
}

function testIds(): Ids {
  return {
    next: (prefix) => `${prefix}_${randomBytes(16).toString('base64url')}`,
    secret: (bytes) => randomBytes(bytes).toString('base64url'),
  };
}

function collectingLog(lines: string[]): Log {
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push(JSON.stringify({ level, message, ...fields }));
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
