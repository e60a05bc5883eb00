import type { z } from 'zod';
import type { FieldChange, Preview, Target, ToolDefinition } from '../../contract/tool.ts';
import type { HttpSource, KubernetesCluster } from '../../contract/settings.ts';
import type { AwsAccount } from '../../contract/system-aws.ts';
import type { GitRepository } from '../../contract/system-git.ts';
import type { McpUpstream } from '../../contract/system-mcp.ts';
import type { PostgresDatabase } from '../../contract/system-postgres.ts';
import type { TerraformWorkspace } from '../../contract/system-terraform.ts';
import type { AuditPlace } from '../audit-log-place.ts';
import type { DriverForge, DriverGit } from './driver-git.ts';
import type { DriverTerraform } from './driver-terraform.ts';

/**
 * What a driver is: tools that turn a canonical target and checked arguments into calls of one system's API. A driver
 * never sees a credential, never picks a host, and cannot tell a preview from the real thing: the HTTP face that it is
 * lent for one call carries the credential, the dry run and the limits.
 */
export interface DriverRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  /** Absolute path below the upstream's address, already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly content_type?: string;
}

export interface DriverHttp {
  /** Answers of 2xx only. @throws UpstreamError for everything else. */
  request(request: DriverRequest): Promise<{ readonly status: number; readonly text: string }>;
}

/** Rows as the server writes them: text, or null. */
export interface SqlRows {
  readonly columns: readonly { readonly name: string; readonly type_oid: number }[];
  readonly rows: readonly (readonly (string | null)[])[];
  /** There was more than was asked for. */
  readonly more: boolean;
}

/** One transaction. A text is one statement; values are bound to `$1`, `$2`, ... */
export interface SqlSession {
  /** Names the database itself, whatever its address. */
  databaseId(): Promise<string>;
  query(text: string, values: readonly unknown[]): Promise<SqlRows>;
  /** A SELECT through a cursor: no more is fetched than is wanted. @throws UpstreamError `too-large`. */
  fetch(
    text: string,
    values: readonly unknown[],
    limits: { readonly rows_max: number; readonly bytes_max: number },
  ): Promise<SqlRows>;
}

export interface DriverSql {
  /** A read-only transaction on a connection of its own. @throws UpstreamError */
  read<T>(work: (session: SqlSession) => Promise<T>): Promise<T>;
  /** A transaction that is committed when `keep` comes back; in a preview never. @throws UpstreamError */
  change<T>(
    work: (session: SqlSession) => Promise<{ readonly keep: boolean; readonly value: T }>,
  ): Promise<T>;
}

/** Everything that belongs to one call, looked up by its id; nothing of it travels inside MCP messages. */
export interface CallHandle {
  readonly call_id: string;
  readonly target: Target;
  readonly http: DriverHttp;
  readonly sql: DriverSql;
  /** For targets of the system `git`. */
  readonly git?: DriverGit;
  readonly forge?: DriverForge | null;
  /** For targets of the system `tf`. */
  readonly terraform?: DriverTerraform;
  readonly upstream: Upstream;
  /** For `apply` and the looks before and after it: the state that people approved; the server must still show it. */
  readonly precondition: Precondition | null;
  /** For tools that evict: what the transport lets them reach. */
  readonly evictions: EvictionGrant | null;
  /** Milliseconds until the call's deadline. */
  readonly time_left_ms: () => number;
}

/** What one drain may reach beyond its node; the transport enforces it. */
export interface EvictionGrant {
  readonly namespaces: ReadonlySet<string> | 'all';
  /** In a write exactly these pods, uid by `<namespace>/<name>`; null in a dry run: any of the namespaces. */
  readonly pods: ReadonlyMap<string, string> | null;
}

export type Upstream =
  | { readonly system: 'k8s'; readonly name: string; readonly config: KubernetesCluster }
  | {
      readonly system: 'loki' | 'prometheus';
      readonly name: string;
      readonly config: HttpSource;
      /** Only for the audit log of a cluster. */
      readonly audit?: AuditPlace;
    }
  | { readonly system: 'pg'; readonly name: string; readonly config: PostgresDatabase }
  | { readonly system: 'git'; readonly name: string; readonly config: GitRepository }
  | { readonly system: 'tf'; readonly name: string; readonly config: TerraformWorkspace }
  | { readonly system: 'aws'; readonly name: string; readonly config: AwsAccount }
  | { readonly system: 'mcp'; readonly name: string; readonly config: McpUpstream };

/** Systems that the HTTP face speaks to. */
export type HttpUpstream = Extract<Upstream, { system: 'k8s' | 'loki' | 'prometheus' | 'aws' }>;

export interface Precondition {
  readonly object_uid: string;
  /** Touched fields with the prior values of the approved preview. */
  readonly changes: readonly FieldChange[];
  /** Which plan asked for the change, for systems that keep such words beside it. */
  readonly origin: ChangeOrigin;
}

export interface ChangeOrigin {
  readonly incident_id: string;
  readonly change_id: string;
  readonly plan_hash: string;
  /** When the plan was written down, milliseconds since the epoch. */
  readonly planned_at_ms: number;
}

export interface ReadAnswer {
  readonly result: unknown;
  /** The query as sent: LogQL, PromQL or API call. */
  readonly source_query: string;
}

/** What a preview found; the pipeline redacts it, draws the diff and hashes the effect. */
export interface DriverPreview {
  readonly object_uid: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly changes: readonly FieldChange[];
  readonly side_changes: readonly FieldChange[];
  readonly warnings: readonly string[];
  readonly resources: Preview['resources'];
  /** Of tools that restore: what the pipeline judges. */
  readonly restoration?: Restoration | null;
}

/** The objects behind a restored value, as the API sent them; the pipeline compares them, the driver claims nothing. */
export interface Restoration {
  /** The object that is changed. */
  readonly owner: unknown;
  /** The part of its history that holds the value to restore. */
  readonly source: unknown;
  /** The part of its history that holds the present value. */
  readonly current: unknown;
}

/** The touched fields as the object shows them now; `uid` is null when the object does not exist. */
export interface Observation {
  readonly object_uid: string | null;
  readonly values: Readonly<Record<string, unknown>>;
  readonly restoration?: Restoration | null;
}

export type ApplyAnswer =
  /** `summary` says it better than the list of changed fields. */
  | { readonly status: 'done'; readonly result: unknown; readonly summary?: string }
  /** Some of it was done and stands: known, not guessed. */
  | { readonly status: 'partial'; readonly result: unknown; readonly summary: string }
  /** The server said that the precondition does not hold: nothing was written. */
  | { readonly status: 'conflict'; readonly message: string };

/** Where a call leads, from the target and the configuration alone. */
export interface Place {
  readonly target: Target;
  readonly upstream: Upstream;
}

export interface TouchedField {
  readonly path: string;
  readonly after: unknown;
}

type Declaration = Omit<ToolDefinition, 'input_schema' | 'observe' | 'before_image'>;

export interface ReadTool<Args = never> extends Declaration {
  readonly mode: 'read';
  readonly input: z.ZodType<Args>;
  read(handle: CallHandle, args: Args): Promise<ReadAnswer>;
}

export interface WriteTool<Args = never> extends Declaration {
  readonly mode: 'write';
  readonly input: z.ZodType<Args>;
  /** Pure: what the arguments would set, for classification and bounds. */
  touched(args: Args, place: Place): readonly TouchedField[];
  /**
   * Pure: whether an approved preview is one of these arguments. Only for tools whose effect the server alone can tell
   * (SQL); left out, the preview must show exactly the touched fields.
   */
  readonly approvedFor?: (args: Args, place: Place, approved: Precondition) => boolean;
  /**
   * Sets only what the object's own history holds. Paths that guardrails mark `restored` count as `write` for it, once
   * the pipeline has seen that the value ran before the incident opened.
   */
  readonly restores?: true;
  /** Evicts pods of the node that it is called on: the transport lets exactly that through. */
  readonly evicts?: true;
  /** Pure: the arguments that bring back the before-image, or any other set of values by path. */
  undo(before_image: Readonly<Record<string, unknown>>): unknown;
  /** Conditions are checked by the server: a second identical request cannot act twice. */
  readonly conditional: boolean;
  preview(handle: CallHandle, args: Args): Promise<DriverPreview>;
  observe(handle: CallHandle, args: Args): Promise<Observation>;
  apply(handle: CallHandle, args: Args): Promise<ApplyAnswer>;
}

export type DriverTool = ReadTool | WriteTool;

export interface Driver {
  readonly system: Upstream['system'];
  readonly tools: readonly DriverTool[];
}

/** Keeps the argument type inside the tool and gives it up at the registry, where the schema vouches for it. */
export function readTool<Args>(tool: Omit<ReadTool<Args>, 'mode'>): ReadTool {
  return { ...tool, mode: 'read' } as unknown as ReadTool;
}

export function writeTool<Args>(tool: Omit<WriteTool<Args>, 'mode'>): WriteTool {
  return { ...tool, mode: 'write' } as unknown as WriteTool;
}
