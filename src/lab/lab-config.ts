import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { AUDIT_CHANNEL, DATA_CHANNEL, labIdentity, TEAM_ID } from './people.ts';
import { AUDIT_LABELS, type Twins } from './twins.ts';

/**
 * An ordinary aegis.yaml for the simulated world: the same keys that a real company writes. `unsafe_endpoints` is on,
 * since the twins are no real Slack and listen on loopback; every card therefore says SIMULATED.
 */
export interface LabFiles {
  readonly dir: string;
  readonly config: string;
  readonly home: string;
  readonly kubeconfig: string;
  /** Bearer secret of the Alertmanager trigger. */
  readonly webhook_secret: string;
}

/** Makes the secrets that both sides need before the twins start. */
export function labSecrets(): { signing_secret: string; bot_token: string; webhook_secret: string } {
  const random = (bytes: number) => randomBytes(bytes).toString('hex');
  return {
    signing_secret: random(16),
    bot_token: `xoxb-${random(6)}-${random(12)}`,
    webhook_secret: random(24),
  };
}

export interface LabOptions {
  /** Another skill library than the one that the product brings along. */
  readonly skills_dir?: string | undefined;
  /** Autonomy of the environment; `approve` unless given. */
  readonly autonomy?: LabAutonomy | undefined;
  /** Other policies than those that the product brings along. */
  readonly policies_dir?: string | undefined;
  /** Without a channel for checkpoints of the ledger. */
  readonly without_audit?: boolean | undefined;
}

export function writeLabFiles(
  dir: string,
  twins: Twins,
  secrets: ReturnType<typeof labSecrets>,
  port: number,
  options: LabOptions = {},
): LabFiles {
  mkdirSync(join(dir, 'secrets'), { recursive: true, mode: 0o700 });
  const secret: WriteSecret = (name, value) => {
    writeFileSync(join(dir, 'secrets', name), value, { mode: 0o600 });
    return { file: `./secrets/${name}` };
  };
  writeFileSync(join(dir, 'kubernetes-ca.pem'), twins.kubernetes.ca_pem);
  const kubeconfig = join(dir, 'kubeconfig');
  writeFileSync(
    kubeconfig,
    twins.kubernetes.kubeconfig(twins.person_token, { namespace: 'spark-jobs', user: 'lab-viewer' }),
    { mode: 0o600 },
  );
  const config = join(dir, 'aegis.yaml');
  const settings = {
    ...labSettings(twins, secrets, port, secret, options),
    ...(options.skills_dir === undefined ? {} : { skills_dir: options.skills_dir }),
    ...(options.policies_dir === undefined ? {} : { policies_dir: options.policies_dir }),
  };
  writeFileSync(config, stringify(settings, { aliasDuplicateObjects: false }), { mode: 0o600 });
  chmodSync(dir, 0o700);
  return { dir, config, home: join(dir, 'home'), kubeconfig, webhook_secret: secrets.webhook_secret };
}

/**
 * `approve` shows the whole way; the lower ones are shadow. With `limited` the environment is of the lowest tier, where a
 * company lets Aegis go alone first, and nobody has to press Activate.
 */
export type LabAutonomy = 'read_only' | 'suggest' | 'approve' | 'limited';

/** How long a resolved incident of the lab stays quiet before it is reported. */
const QUIET_S = 4;

type WriteSecret = (name: string, value: string) => { file: string };

function labSettings(
  twins: Twins,
  secrets: ReturnType<typeof labSecrets>,
  port: number,
  secret: WriteSecret,
  { autonomy = 'approve', without_audit = false }: LabOptions,
): Record<string, unknown> {
  return {
    v: 1,
    home: './home',
    http: { host: '127.0.0.1', port },
    unsafe_endpoints: true,
    slack: {
      workspace: TEAM_ID,
      bot_token: secret('slack-bot-token', secrets.bot_token),
      signing_secret: secret('slack-signing-secret', secrets.signing_secret),
      api_url: twins.slack.api_url,
      fallback_channel: DATA_CHANNEL,
      ...(without_audit ? {} : { audit_channel: AUDIT_CHANNEL }),
    },
    vault: {
      address: twins.vault.url,
      auth: {
        method: 'approle',
        role_id: secret('vault-role-id', twins.approle.role_id),
        secret_id: secret('vault-secret-id', twins.approle.secret_id),
      },
    },
    clusters: {
      'prod-1': {
        server: twins.kubernetes.url,
        ca_file: './kubernetes-ca.pem',
        audit: { source: 'main', selector: AUDIT_LABELS },
        credentials: {
          engine: 'vault_kubernetes',
          read_role: 'aegis-read',
          write_role: 'aegis-write',
          token_role: 'aegis-call',
        },
      },
    },
    sources: {
      loki: { main: { url: twins.loki.url, ingest_interval_s: 0.5 } },
      prometheus: { main: { url: twins.prometheus.url, ingest_interval_s: 1 } },
    },
    teams: {
      data: { environments: { prod: labEnvironment(autonomy) } },
      fraud: { environments: { prod: fraudEnvironment() } },
    },
    services: labServices(tierOf(autonomy)),
    // Nobody watches a story for five quiet minutes; the kinds are those that the simulated cluster has.
    shadow: {
      watch: true,
      quiet_s: QUIET_S,
      kinds: ['deployment', 'daemonset', 'sparkapplication', 'configmap'],
    },
    identity: labIdentity(),
    triggers: [
      {
        kind: 'alertmanager',
        name: 'prod-alerts',
        secret: secret('alertmanager-secret', secrets.webhook_secret),
        scopes: [{ team: 'data', env: 'prod', cluster: 'prod-1', namespaces: ['spark-jobs'] }],
      },
    ],
  };
}

const LOG_FILES = {
  driver: { app: 'nightly-settlement' },
  'settlement-api': { app: 'settlement-api' },
};

function tierOf(autonomy: LabAutonomy): 'tier2' | 'tier3' {
  return autonomy === 'limited' ? 'tier3' : 'tier2';
}

function labEnvironment(autonomy: LabAutonomy): Record<string, unknown> {
  const namespaces = ['spark-jobs'];
  return {
    tier: tierOf(autonomy),
    region: 'us-west-2',
    autonomy,
    activation: autonomy === 'limited' ? 'auto' : 'button',
    channel: DATA_CHANNEL,
    on_call: ['maya'],
    mounts: [
      { kind: 'kubernetes', cluster: 'prod-1', namespaces },
      { kind: 'jobs', cluster: 'prod-1', namespaces },
      { kind: 'logs', source: 'main', namespaces, files: LOG_FILES },
      { kind: 'metrics', source: 'main', namespaces },
    ],
  };
}

function fraudEnvironment(): Record<string, unknown> {
  return {
    tier: 'tier1',
    autonomy: 'suggest',
    channel: 'C0FRAUD',
    mounts: [{ kind: 'kubernetes', cluster: 'prod-1', namespaces: ['fraud'] }],
  };
}

/** Topology: what depends on the nightly settlement, for blast radius and "if nothing is done". */
function labServices(tier: string): readonly Record<string, unknown>[] {
  const here = { team: 'data', env: 'prod', tier, namespace: 'spark-jobs', cluster: 'prod-1' };
  return [
    {
      ...here,
      name: 'nightly-settlement',
      kind: 'sparkapplication',
      slo: 'settlement files by 06:00 UTC on every banking day',
      if_down: { text: 'settlement files are late: partner banks book a day later', within_min: 120 },
      owner: 'maya',
    },
    {
      ...here,
      name: 'settlement-api',
      kind: 'deployment',
      if_down: { text: 'partner banks cannot look up or send settlements', within_min: 10 },
      owner: 'maya',
      depends_on: ['nightly-settlement'],
    },
    {
      ...here,
      name: 'ledger-export',
      kind: 'sparkapplication',
      object: 'daily-ledger-export',
      depends_on: ['nightly-settlement'],
    },
  ];
}
