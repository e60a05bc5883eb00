import { z } from 'zod';
import { hashOf } from './canonical.ts';
import { Sha256 } from './incident.ts';

/** Risk class of an action, lowest first. It comes from our registry by tool, kind and touched paths, never from a model. */
export const ACTION_CLASSES = ['read', 'write', 'destroy', 'privileged'] as const;
export const ActionClass = z.enum(ACTION_CLASSES);
export type ActionClass = z.infer<typeof ActionClass>;

export const ToolName = z.string().regex(/^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$/);

/** `mcp://<system>/<cluster-or-source>/<namespace-or-dash>/<kind>/<name>`; `-` stands for "none". */
export const TargetUri = z
  .string()
  .max(500)
  .regex(/^mcp:\/\/[a-z][a-z0-9]*(\/[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\/-){4}$/);

export interface Target {
  readonly system: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
}

/** Splits a target that has passed the schema. Drivers take cluster, namespace and name from here only. */
export function parseTarget(uri: string): Target {
  const parts = TargetUri.parse(uri).slice('mcp://'.length).split('/') as [
    string,
    string,
    string,
    string,
    string,
  ];
  return { system: parts[0], cluster: parts[1], namespace: parts[2], kind: parts[3], name: parts[4] };
}

export function formatTarget(target: Target): string {
  return `mcp://${target.system}/${target.cluster}/${target.namespace}/${target.kind}/${target.name}`;
}

/** What the registry knows of a tool. `definition_hash` pins it: a changed definition voids open plans. */
export const ToolDefinition = z.strictObject({
  name: ToolName,
  system: z.string(),
  description: z.string().min(1).max(500),
  /** The class before kinds and touched paths raise it. */
  base_class: ActionClass,
  target_kinds: z.array(z.string()),
  /** For a tool that works on one target only: an external one is its own target. */
  target: TargetUri.optional(),
  input_schema: z.record(z.string(), z.unknown()),
  /** `server`: the upstream enforces a dry run; `pure`: computed without side effects; `none`: no preview. */
  dry_run: z.enum(['server', 'pure', 'none']),
  observe: z.boolean(),
  before_image: z.boolean(),
  timeout_ms_max: z.int().min(1),
  result_bytes_max: z.int().min(1),
});
export type ToolDefinition = z.infer<typeof ToolDefinition>;

/** One touched field: `path` is a JSON pointer into the object; `before`/`after` are JSON values, `null` when absent. */
export const FieldChange = z.strictObject({ path: z.string(), before: z.unknown(), after: z.unknown() });
export type FieldChange = z.infer<typeof FieldChange>;

/** The forced dry run of one action. Its `effect_hash` is what people approve besides the plan. */
export const Preview = z.strictObject({
  tool: ToolName,
  target: TargetUri,
  /** Uid of the object that the change would touch. */
  object_uid: z.string().min(1),
  changes: z.array(FieldChange).max(200),
  /** Fields that the server changes by itself as a consequence (defaults, derived), shown apart. */
  side_changes: z.array(FieldChange).max(200),
  /** Unified diff of the redacted YAML, lines without trailing newline. */
  diff: z.array(z.string()).max(5000),
  warnings: z.array(z.string()).max(50),
  /** Quota-relevant resources before and after in bytes and millicores, when the driver can tell. */
  resources: z
    .strictObject({
      memory_bytes_before: z.number(),
      memory_bytes_after: z.number(),
      cpu_millis_before: z.number(),
      cpu_millis_after: z.number(),
    })
    .nullable(),
  effect_hash: Sha256,
});
export type Preview = z.infer<typeof Preview>;

/** Canonical diff + object uid + prior value of every touched field (DESIGN section 4). */
export function effectHashOf(preview: Pick<Preview, 'target' | 'object_uid' | 'changes'>): string {
  return hashOf({ v: 1, target: preview.target, uid: preview.object_uid, changes: preview.changes });
}

/** Combined hash of all previews of a plan, in action order: one value that an approval binds to. */
export function combinedEffectHash(effect_hashes: readonly string[]): string {
  return hashOf({ v: 1, effects: effect_hashes });
}

/**
 * Result of one write. `conflict`: the precondition did not hold and nothing was written. `outcome_unknown`: bytes left
 * and no answer came that proves either way; a person decides, never a blind second run.
 */
export const ToolOutcome = z.strictObject({
  status: z.enum(['done', 'failed', 'conflict', 'outcome_unknown']),
  summary: z.string().max(1000),
  /** JSON pointers of fields that differ from the approved prior state, for `conflict`. */
  conflict_fields: z.array(FieldChange).max(50),
  /** Values of the touched fields before the write, for the undo. */
  before_image: z.record(z.string(), z.unknown()).nullable(),
  result: z.unknown(),
  /** True when the stored result of an earlier identical call is returned. */
  replayed: z.boolean(),
  /** With `failed`: some of it was done and stands, the summary says what; the before-image undoes that. */
  partial: z.literal(true).optional(),
});
export type ToolOutcome = z.infer<typeof ToolOutcome>;

export const Phase = z.enum(['apply', 'canary', 'undo']);
export type Phase = z.infer<typeof Phase>;

/** A single-use right to one call, minted by the harness runner after all gates passed. */
export const Permit = z.strictObject({
  permit_id: z.string(),
  incident_id: z.string(),
  change_id: z.string(),
  phase: Phase,
  revision: z.int().min(1),
  plan_hash: Sha256,
  effect_hash: Sha256,
  tool: ToolName,
  target: TargetUri,
  args_hash: Sha256,
  expires_at_ms: z.int(),
});
export type Permit = z.infer<typeof Permit>;

/** Idempotency key of a write: the same key never acts twice. */
export function journalKey(incident_id: string, change_id: string, phase: Phase): string {
  return `${incident_id}#${change_id}#${phase}`;
}
