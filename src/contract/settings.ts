import { z } from 'zod';
import { Role } from './approval.ts';
import { Budgets } from './budgets.ts';
import { CredentialSource, SecretRef } from './credentials.ts';
import { Autonomy, Budget, PrincipalId, Severity } from './incident.ts';
import { NodePattern } from './node-pattern.ts';
import { Quota } from './quotas.ts';
import { Name, Tier } from './scope.ts';
import { WATCHED_KINDS } from './shadow.ts';
import { AwsAccount } from './system-aws.ts';
import { GitRepository } from './system-git.ts';
import { McpUpstream } from './system-mcp.ts';
import { PostgresDatabase } from './system-postgres.ts';
import { TerraformWorkspace } from './system-terraform.ts';

/**
 * `aegis.yaml` as written by a person (strict: an unknown key stops the start). Rooms receive the slice they need.
 * Secrets are references, resolved by config.ts; no room reads the environment.
 */
const Url = z.url({ protocol: /^https?$/ }).max(1000);

/**
 * Where the API server's audit log is kept: lines of a Loki source, each one audit.k8s.io/v1 Event as JSON. The labels
 * select the lines of this cluster alone, since an event does not name its cluster.
 */
export const AuditLog = z.strictObject({
  /** A name of `sources.loki`. */
  source: Name,
  selector: z
    .record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/), z.string().min(1).max(200))
    .refine((labels) => Object.keys(labels).length > 0, 'names no label'),
});
export type AuditLog = z.infer<typeof AuditLog>;

export const KubernetesCluster = z.strictObject({
  server: Url,
  ca_file: z.string().max(1000).optional(),
  region: Name.optional(),
  /** Without it shadow mode sees no deletions, and nobody's name but the one that clients choose. */
  audit: AuditLog.optional(),
  credentials: CredentialSource,
});
export type KubernetesCluster = z.infer<typeof KubernetesCluster>;

export const HttpSource = z.strictObject({
  url: Url,
  ca_file: z.string().max(1000).optional(),
  credentials: CredentialSource.default({ engine: 'none' }),
  /** Sent as X-Scope-OrgID (Loki). */
  org_id: z.string().max(100).optional(),
  /** The label that separates namespaces in this source; its matcher is injected into every query. */
  namespace_label: z
    .string()
    .regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/)
    .default('namespace'),
  /** Time from an event to its visibility: windows of stream evidence end two intervals before capture. */
  ingest_interval_s: z.number().min(0).max(600).default(15),
});
export type HttpSource = z.infer<typeof HttpSource>;

export const Mount = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('kubernetes'),
    cluster: Name,
    namespaces: z.array(Name).min(1).max(200),
    /** Nodes that this environment may cordon and drain. Everybody with a mount of the cluster may read nodes. */
    nodes: z.array(NodePattern).max(200).optional(),
    /** A drain may also evict pods of namespaces that are not listed here; else it refuses such a node. */
    drain_other_namespaces: z.boolean().optional(),
  }),
  z.strictObject({ kind: z.literal('jobs'), cluster: Name, namespaces: z.array(Name).min(1).max(200) }),
  z.strictObject({
    kind: z.literal('logs'),
    source: Name,
    namespaces: z.array(Name).min(1).max(200),
    /** Named log files of the short form `/teams/<team>/<env>/logs/<name>.log`: stream selector labels. */
    files: z.record(Name, z.record(z.string(), z.string())).default({}),
  }),
  z.strictObject({ kind: z.literal('metrics'), source: Name, namespaces: z.array(Name).min(1).max(200) }),
]);
export type Mount = z.infer<typeof Mount>;

/**
 * A system that an environment owns besides what its mounts show as files: `name` is a key of the system's section.
 * `namespaces` are a database's schemas; systems without such parts leave it out.
 */
export const OwnedSystem = z.strictObject({
  system: z.enum(['pg', 'git', 'tf', 'aws', 'mcp']),
  name: Name,
  namespaces: z.array(Name).max(200).default([]),
});
export type OwnedSystem = z.infer<typeof OwnedSystem>;

/** A node of the topology: who depends on whom, for blast radius and counterfactuals. */
export const Service = z.strictObject({
  name: Name,
  team: Name,
  env: Name,
  tier: Tier,
  namespace: Name,
  cluster: Name,
  kind: z.enum(['deployment', 'sparkapplication', 'cronjob', 'database', 'queue', 'external']),
  /** The object's name in its cluster, when it differs from `name`. */
  object: Name.optional(),
  depends_on: z.array(Name).max(100).default([]),
  slo: z.string().max(300).optional(),
  /** Consequence of staying down, with the time to it: used for "if nothing is done". */
  if_down: z.strictObject({ text: z.string().max(300), within_min: z.int().min(0).max(100_000) }).optional(),
  owner: PrincipalId.optional(),
});
export type Service = z.infer<typeof Service>;

export const Environment = z.strictObject({
  tier: Tier,
  region: Name.optional(),
  autonomy: Autonomy.default('suggest'),
  activation: z.enum(['auto', 'button']).default('button'),
  /** Slack channel id (C…) that receives this environment's incidents. */
  channel: z.string().regex(/^[CG][A-Z0-9]{2,20}$/),
  on_call: z.array(PrincipalId).max(20).default([]),
  approval_policy: z.string().min(1).max(64).default('default'),
  budget: Budget.default({ tokens_max: 200_000, tool_calls_max: 60, cost_usd_max: 2, minutes_max: 120 }),
  change_window: z
    .strictObject({
      days: z.array(z.int().min(0).max(6)).min(1),
      from: z.string().regex(/^\d\d:\d\d$/),
      to: z.string().regex(/^\d\d:\d\d$/),
      tz: z.literal('UTC'),
    })
    .nullable()
    .default(null),
  mounts: z.array(Mount).max(50).default([]),
  systems: z.array(OwnedSystem).max(200).default([]),
});
export type Environment = z.infer<typeof Environment>;

export const Identity = z.strictObject({
  principal: PrincipalId,
  name: z.string().min(1).max(100),
  /** A person may have several Slack accounts; they count as one. */
  slack: z
    .array(
      z.strictObject({
        workspace: z.string().regex(/^[TE][A-Z0-9]{2,20}$/),
        user: z.string().regex(/^[UW][A-Z0-9]{2,20}$/),
      }),
    )
    .max(10),
  /** User names under which API servers know this person, as their audit logs write them. */
  kubernetes: z.array(z.string().min(1).max(256)).max(20).optional(),
  roles: z.array(z.strictObject({ team: Name, env: z.union([Name, z.literal('*')]), role: Role })).max(100),
});
export type Identity = z.infer<typeof Identity>;

/** Roles of a person in one team and environment. */
export function rolesOf(identity: Identity, team: string, env: string): string[] {
  const roles = identity.roles
    .filter((r) => r.team === team && (r.env === env || r.env === '*'))
    .map((r) => r.role);
  return [...new Set(roles)];
}

export const AlertmanagerTrigger = z.strictObject({
  kind: z.literal('alertmanager'),
  name: Name,
  secret: SecretRef,
  /** The tenants this secret may speak for. Labels select only inside them. */
  scopes: z
    .array(
      z.strictObject({
        team: Name,
        env: Name,
        cluster: Name.optional(),
        namespaces: z.array(Name).max(200).default([]),
      }),
    )
    .min(1)
    .max(100),
  /** Label names that carry team, env, cluster, namespace and service in this sender's alerts. */
  labels: z
    .strictObject({
      team: z.string(),
      env: z.string(),
      cluster: z.string(),
      namespace: z.string(),
      service: z.string(),
    })
    .default({ team: 'team', env: 'env', cluster: 'cluster', namespace: 'namespace', service: 'service' }),
  severity: z
    .record(z.string(), Severity)
    .default({ critical: 'sev1', page: 'sev2', warning: 'sev3', info: 'sev4' }),
});
export type AlertmanagerTrigger = z.infer<typeof AlertmanagerTrigger>;

/**
 * Where named entities are recognised: a service with the REST API of Microsoft Presidio Analyzer, 2.2.361 or newer.
 * What is taken out stands in policies/redaction.yaml; this says only how the service is reached, and within what limits.
 */
export const RecogniserService = z.strictObject({
  url: Url,
  ca_file: z.string().max(1000).optional(),
  /** One request. */
  timeout_ms: z.int().min(100).max(60_000).default(5000),
  /** All requests of one call of the gateway together. */
  call_timeout_ms: z.int().min(100).max(300_000).default(20_000),
  texts_per_request_max: z.int().min(1).max(1000).default(200),
  request_bytes_max: z.int().min(1024).max(4_194_304).default(262_144),
  requests_per_call_max: z.int().min(1).max(1000).default(100),
});
export type RecogniserService = z.infer<typeof RecogniserService>;

/** Field managers of Kubernetes, and authors or committers in git, that are programs; a name may end with `*`. */
const ROBOTS = [
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'cloud-controller-manager',
  'horizontal-pod-autoscaler',
  'vpa-*',
  'keda*',
  'cluster-autoscaler',
  'karpenter',
  'argocd-*',
  'argo-rollouts*',
  'rollouts-controller',
  'kustomize-controller',
  'helm-controller',
  'flux*',
  'spark-operator*',
  'dependabot*',
  'renovate*',
  'Renovate*',
  'github-actions*',
];

/** Shadow mode: how people's acts are told from those of programs, and for how long they are watched. */
export const ShadowSettings = z.strictObject({
  /**
   * Field managers, users, and names of committers and authors, that are no people. Replaces the built-in list. `aegis` is
   * never a person, listed or not, and neither are users whose name begins with `system:`.
   */
  robots: z
    .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/:@# [\]-]{0,126}\*?$/))
    .max(500)
    .default(ROBOTS),
  /** Kinds of Kubernetes objects that are watched; take out what the read role may not list. */
  kinds: z
    .array(z.enum(WATCHED_KINDS))
    .min(1)
    .default([...WATCHED_KINDS]),
  /** Also asks for every change in between, by watches; the read role then needs the verb `watch`. */
  watch: z.boolean().default(false),
  /** A shadowed incident whose alert resolved is reported and closed after this long without a re-fire. */
  quiet_s: z.int().min(1).max(86_400).default(300),
  /** Longest observation of one incident. */
  watch_h: z.int().min(1).max(720).default(24),
});
export type ShadowSettings = z.infer<typeof ShadowSettings>;

export const Settings = z.strictObject({
  v: z.literal(1),
  /** Directory of the state: database, blobs, keys. */
  home: z.string().min(1).max(1000).default('./.aegis'),
  http: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.int().min(0).max(65_535).default(7070),
      /** Under which people reach this server: the address of the step-up link on approval cards. */
      public_url: Url.optional(),
    })
    .default({ host: '127.0.0.1', port: 7070 }),
  log_level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** Allows Slack, Vault and API addresses that are not the real, encrypted ones. Every card then says SIMULATED. */
  unsafe_endpoints: z.boolean().default(false),
  slack: z.strictObject({
    workspace: z.string().regex(/^[TE][A-Z0-9]{2,20}$/),
    bot_token: SecretRef,
    signing_secret: SecretRef,
    /** Only with `unsafe_endpoints`. */
    api_url: Url.optional(),
    fallback_channel: z.string().regex(/^[CG][A-Z0-9]{2,20}$/),
    audit_channel: z
      .string()
      .regex(/^[CG][A-Z0-9]{2,20}$/)
      .optional(),
  }),
  vault: z
    .strictObject({
      address: Url,
      namespace: z.string().max(200).optional(),
      ca_file: z.string().max(1000).optional(),
      auth: z.strictObject({
        method: z.literal('approle'),
        mount: Name.default('approle'),
        role_id: SecretRef,
        secret_id: SecretRef,
      }),
      timeout_ms: z.int().min(100).max(60_000).default(5000),
    })
    .optional(),
  /** Standing credentials without Vault, sealed with a key that is kept elsewhere (`aegis credentials`). */
  sealed_file: z
    .strictObject({ file: z.string().min(1).max(1000).default('./credentials.sealed'), key: SecretRef })
    .optional(),
  /** Takes out names of people and places, for entities that policies/redaction.yaml asks for. */
  recogniser: RecogniserService.optional(),
  clusters: z.record(Name, KubernetesCluster).default({}),
  sources: z
    .strictObject({
      loki: z.record(Name, HttpSource).default({}),
      prometheus: z.record(Name, HttpSource).default({}),
    })
    .default({ loki: {}, prometheus: {} }),
  databases: z.record(Name, PostgresDatabase).default({}),
  repositories: z.record(Name, GitRepository).default({}),
  terraform: z.record(Name, TerraformWorkspace).default({}),
  aws: z.record(Name, AwsAccount).default({}),
  upstreams: z.record(Name, McpUpstream).default({}),
  teams: z.record(Name, z.strictObject({ environments: z.record(Name, Environment) })),
  services: z.array(Service).max(5000).default([]),
  identity: z.array(Identity).max(10_000).default([]),
  triggers: z.array(AlertmanagerTrigger).max(50).default([]),
  shadow: ShadowSettings.prefault({}),
  /** How often teams may call; the first row that matches wins, built-in defaults come last. */
  quotas: z.array(Quota).max(500).default([]),
  /** What a day of looking and thinking may cost, for everything, each team and each trigger. */
  budgets: Budgets.prefault({}),
  policies_dir: z.string().max(1000).optional(),
  skills_dir: z.string().max(1000).optional(),
  /** `true` also writes signed checkpoints to an append-only file in `home`. */
  witness_file: z.boolean().default(true),
});
export type Settings = z.infer<typeof Settings>;
