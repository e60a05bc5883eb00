import type { KubernetesTwin } from './kubernetes/kubernetes-twin.ts';
import { startKubernetesTwin } from './kubernetes/kubernetes-twin.ts';
import type { LokiTwin } from './loki/loki-twin.ts';
import { startLokiTwin } from './loki/loki-twin.ts';
import { labWorkspace } from './people.ts';
import type { PrometheusTwin } from './prometheus/prometheus-twin.ts';
import { startPrometheusTwin } from './prometheus/prometheus-twin.ts';
import type { SlackTwin } from './slack/twin.ts';
import { startSlackTwin } from './slack/twin.ts';
import type { VaultTwin } from './vault/vault-twin.ts';
import { startVaultTwin } from './vault/vault-twin.ts';
import type { World } from './world/world.ts';

/** All simulated systems over one world. */
export interface Twins {
  readonly world: World;
  readonly slack: SlackTwin;
  readonly kubernetes: KubernetesTwin;
  readonly prometheus: PrometheusTwin;
  readonly loki: LokiTwin;
  readonly vault: VaultTwin;
  readonly approle: { readonly role_id: string; readonly secret_id: string };
  /** A person's own read-only token, for kubectl. */
  readonly person_token: string;
  close(): Promise<void>;
}

/** What leased accounts may do in the job namespace: exactly the product's tools, nothing else. */
const READ_RULES = [
  {
    verbs: ['get', 'list', 'watch'],
    apiGroups: ['', 'apps', 'sparkoperator.k8s.io', 'events.k8s.io'],
    resources: [
      'pods',
      'pods/log',
      'events',
      'deployments',
      'replicasets',
      'daemonsets',
      'configmaps',
      'resourcequotas',
      'services',
      'sparkapplications',
    ],
  },
];
const WRITE_RULES = [
  ...READ_RULES,
  {
    verbs: ['patch'],
    apiGroups: ['sparkoperator.k8s.io', 'apps'],
    resources: ['sparkapplications', 'deployments'],
  },
];
const PERSON_TTL_MS = 12 * 3_600_000;

export async function startTwins(
  world: World,
  secrets: { signing_secret: string; bot_token: string },
): Promise<Twins> {
  world.start();
  const [slack, kubernetes, prometheus, loki] = await Promise.all([
    startSlackTwin({ ...secrets, workspace: labWorkspace() }),
    startKubernetesTwin({ world, audit: (line) => ship(world, line) }),
    startPrometheusTwin({ telemetry: world }),
    startLokiTwin({ telemetry: world }),
  ]);
  const vault = await startVault(kubernetes);
  const person = kubernetes.issueToken({
    serviceAccount: 'lab-viewer',
    namespace: 'spark-jobs',
    rules: [{ verbs: ['get', 'list', 'watch'], apiGroups: ['*'], resources: ['*'] }],
    ttl_ms: PERSON_TTL_MS,
  });
  return {
    world,
    slack,
    kubernetes,
    prometheus,
    loki,
    ...vault,
    person_token: person.token,
    async close() {
      world.stop();
      await Promise.all([
        slack.stop(),
        kubernetes.close(),
        prometheus.close(),
        loki.close(),
        vault.vault.close(),
      ]);
    },
  };
}

/** Labels of the cluster's audit lines in the log store. */
export const AUDIT_LABELS = { job: 'kube-audit', cluster: 'prod-1' } as const;

/** What a log agent on the control plane does with the API server's audit log. */
function ship(world: World, line: string): void {
  world.cluster.logs.append(world.now(), line, {
    labels: AUDIT_LABELS,
    pod_uid: '',
    container: '',
    restart: 0,
  });
}

/** Vault as an operator would set it up for Aegis: an AppRole that may only mint narrow child tokens and revoke them. */
async function startVault(kubernetes: KubernetesTwin): Promise<Pick<Twins, 'vault' | 'approle'>> {
  const vault = await startVaultTwin({
    kubernetes: {
      issueToken({ service_account, namespace, role, ttl_s }) {
        const rules = role === 'aegis-write' ? WRITE_RULES : READ_RULES;
        const { token } = kubernetes.issueToken({
          serviceAccount: service_account,
          namespace,
          rules,
          ttl_ms: ttl_s * 1000,
        });
        return { token, revoke: () => void kubernetes.deleteServiceAccount(namespace, service_account) };
      },
    },
  });
  vault.addPolicy('aegis-broker', {
    path: {
      'auth/token/create/aegis-call': { capabilities: ['create', 'update'] },
      'auth/token/revoke-accessor': { capabilities: ['update'] },
      'auth/token/lookup-accessor': { capabilities: ['update'] },
    },
  });
  vault.addPolicy('aegis-call', {
    path: {
      'kubernetes/creds/aegis-read': { capabilities: ['create', 'update'] },
      'kubernetes/creds/aegis-write': { capabilities: ['create', 'update'] },
    },
  });
  vault.addTokenRole('aegis-call', {
    allowed_policies: ['aegis-call'],
    renewable: false,
    token_explicit_max_ttl: 900,
  });
  const namespaces = ['spark-jobs', 'fraud'];
  vault.addKubernetesRole('aegis-read', {
    allowed_kubernetes_namespaces: namespaces,
    kubernetes_role_name: 'aegis-read',
    token_default_ttl_s: 600,
    token_max_ttl_s: 900,
  });
  vault.addKubernetesRole('aegis-write', {
    allowed_kubernetes_namespaces: namespaces,
    kubernetes_role_name: 'aegis-write',
    token_default_ttl_s: 600,
    token_max_ttl_s: 900,
  });
  const approle = vault.addAppRole({ name: 'aegis', token_policies: ['aegis-broker'], token_ttl_s: 3600 });
  return { vault, approle };
}
