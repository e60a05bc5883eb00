import { z } from 'zod';
import { Approval } from '../contract/approval.ts';
import { HaltReason, IncidentContext, IncidentState, IsoTime } from '../contract/incident.ts';
import { PlanPayload, VerifyPayload } from '../contract/ledger.ts';
import { GateLine } from '../contract/notice.ts';
import { Findings, PlanDraft } from '../contract/plan.ts';
import { Preview, ToolOutcome } from '../contract/tool.ts';
import { SkillHint } from './events.ts';
import { Watch } from './shadow/watch.ts';

/** How often a failed effect is tried again before the incident halts, and the pauses between tries. */
export const EFFECT_RETRIES_MAX = 4;
export const RETRY_PAUSES_MS = [1000, 2000, 4000, 8000] as const;
/** An incident whose alert resolved before anything ran closes after this long without a re-fire. */
export const QUIET_MS = 300_000;
/** Re-collections after changed evidence before a person must look. */
export const RECOLLECT_MAX = 2;

export const EffectKind = z.enum([
  'triage',
  'investigate',
  'plan',
  'prepare',
  'clear',
  'canary',
  'bake',
  'execute',
  'verify',
  'undo',
  'review',
  'observe',
]);
export type EffectKind = z.infer<typeof EffectKind>;

/** Work that changes the outside. It is never dropped or run blindly again: its end is always waited for. */
export const WRITING_KINDS: ReadonlySet<EffectKind> = new Set(['canary', 'execute', 'undo']);

/** The one piece of work that the incident waits for; results of any other effect are stale. */
export const Running = z.strictObject({
  effect_id: z.string(),
  kind: EffectKind,
  change_id: z.string().nullable(),
});
export type Running = z.infer<typeof Running>;

export const PreparedPlan = z.strictObject({
  payload: PlanPayload,
  previews: z.array(
    z.strictObject({
      change_id: z.string(),
      /** Left out for the change itself. */
      phase: z.literal('canary').optional(),
      previewed_at: IsoTime,
      credential_revocable: z.boolean(),
      preview: Preview,
    }),
  ),
  gates: z.array(GateLine),
});
export type PreparedPlan = z.infer<typeof PreparedPlan>;

/** What was put back so far, newest change first, and why. */
const Rollback = z.strictObject({
  /** What failed, in one sentence: the check with its value, or the step. */
  because: z.string(),
  undone: z.array(z.strictObject({ change_id: z.string(), at: IsoTime })),
});

/** All that the machine knows of an incident besides its state. JSON through and through; the snapshot is this. */
export const MachineContext = z.strictObject({
  /** Events folded so far; effect ids are made from it. */
  step: z.int().min(0),
  incident: IncidentContext.nullable(),
  channel: z.string(),
  activated: z.boolean(),
  skills: z.array(SkillHint),
  findings: Findings.nullable(),
  draft: PlanDraft.nullable(),
  /** Revisions of plans so far in this incident. */
  revision: z.int().min(0),
  plan: PreparedPlan.nullable(),
  approval: Approval.nullable(),
  status_text: z.string(),
  done: z.array(z.strictObject({ change_id: z.string(), at: IsoTime, outcome: ToolOutcome })),
  checks: z.array(VerifyPayload),
  /** Canaries of this plan that ran, in order. Snapshots from before there were any do not have the field. */
  canaries: z
    .array(
      z.strictObject({
        change_id: z.string(),
        at: IsoTime,
        outcome: ToolOutcome,
        /** What its checks said; empty while they are asked. */
        checks: z.array(VerifyPayload),
        passed: z.boolean(),
      }),
    )
    .default([]),
  /** The rollback of this plan, from its first undo on. Snapshots from before there were any do not have the field. */
  rollback: Rollback.nullable().default(null),
  halt: z
    .strictObject({
      reason: HaltReason,
      text: z.string(),
      next_step: z.string(),
      resume_to: IncidentState.nullable(),
    })
    .nullable(),
  running: Running.nullable(),
  /** Budgets granted: one at opening, one more each time a person goes on after it was spent. */
  rounds: z.int().min(1),
  /**
   * The budgets of the day that this incident shares with others: `spent` when one stopped it, `granted` for the one
   * round that a person let it have all the same.
   */
  shared_budget: z.enum(['kept', 'spent', 'granted']).default('kept'),
  retries: z.int().min(0),
  recollections: z.int().min(0),
  resolved_at: IsoTime.nullable(),
  outcome: z.string().nullable(),
  closed_at: IsoTime.nullable(),
  postmortem: z.strictObject({ title: z.string(), markdown: z.string() }).nullable(),
  /** What people did, as far as it was seen or said. Snapshots from before shadow mode do not have it. */
  shadow: Watch.nullable().default(null),
  updated_at: IsoTime,
});
export type MachineContext = z.infer<typeof MachineContext>;

export const Snapshot = z.strictObject({ state: IncidentState, context: MachineContext });
export type Snapshot = z.infer<typeof Snapshot>;

/** Before the first event. */
export function emptySnapshot(): Snapshot {
  return {
    state: 'IDLE',
    context: {
      step: 0,
      incident: null,
      channel: '',
      activated: false,
      skills: [],
      findings: null,
      draft: null,
      revision: 0,
      plan: null,
      approval: null,
      status_text: '',
      done: [],
      checks: [],
      canaries: [],
      rollback: null,
      halt: null,
      running: null,
      rounds: 1,
      shared_budget: 'kept',
      retries: 0,
      recollections: 0,
      resolved_at: null,
      outcome: null,
      closed_at: null,
      postmortem: null,
      shadow: null,
      updated_at: '1970-01-01T00:00:00.000Z',
    },
  };
}

/** The incident of a snapshot that has been opened. @throws when it has not: a bug, not a refusal. */
export function incidentOf(context: MachineContext): IncidentContext {
  if (context.incident === null) throw new Error('incident context asked for before the incident was opened');
  return context.incident;
}

/** A write has been asked for and has not reported yet. */
export function writes(context: MachineContext): boolean {
  return context.running !== null && WRITING_KINDS.has(context.running.kind);
}

/** How long an incident stays quiet before it closes; a shadowed one has its own time, frozen at opening. */
export function quietMs(context: MachineContext): number {
  const terms = incidentOf(context).shadow;
  return terms === undefined ? QUIET_MS : terms.quiet_s * 1000;
}

/** Principals who are involved and therefore cannot approve. */
export function involvedSet(context: MachineContext): Set<string> {
  return new Set(incidentOf(context).involved.map((i) => i.principal));
}
