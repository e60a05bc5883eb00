import { IncidentContext } from '../contract/incident.ts';
import {
  ApprovalPayload,
  CallPayload,
  OutcomePayload,
  PlanPayload,
  PreviewPayload,
  ReadPayload,
  RefusalPayload,
  TransitionPayload,
  VerifyPayload,
  type LedgerEntry,
} from '../contract/ledger.ts';
import { Findings, type Plan } from '../contract/plan.ts';
import type { RiskEnvelope } from '../contract/risk.ts';
import type { Preview } from '../contract/tool.ts';
import type { z } from 'zod';

/**
 * What the ledger of one incident tells, sorted by what a reader asks for. Only entries count; an entry that does not
 * have its kind's form is left out and counted, so that a postmortem of an odd ledger still comes and says so.
 */
export interface Story {
  readonly entries: readonly LedgerEntry[];
  readonly context: IncidentContext | null;
  readonly findings: Findings | null;
  /** The last plan, which is the one that ran when one ran. */
  readonly plan: { readonly plan: Plan; readonly risk: RiskEnvelope; readonly plan_hash: string } | null;
  readonly previews: ReadonlyMap<string, Preview>;
  readonly approvals: readonly At<ApprovalPayload>[];
  readonly refusals: readonly At<z.infer<typeof RefusalPayload>>[];
  readonly outcomes: readonly At<z.infer<typeof OutcomePayload>>[];
  /** Last result of each check. */
  readonly checks: readonly At<z.infer<typeof VerifyPayload>>[];
  readonly calls: readonly At<z.infer<typeof CallPayload>>[];
  readonly reads: readonly At<z.infer<typeof ReadPayload>>[];
  readonly halts: readonly At<z.infer<typeof TransitionPayload>>[];
  readonly closed_at: string | null;
  readonly unreadable: number;
}

interface At<T> {
  readonly at: string;
  readonly actor: string;
  readonly seq: number;
  readonly value: T;
}

export function storyOf(entries: readonly LedgerEntry[]): Story {
  let unreadable = 0;
  const all = <T>(kind: LedgerEntry['kind'], schema: z.ZodType<T>): At<T>[] =>
    entries.flatMap((entry) => {
      if (entry.kind !== kind) return [];
      const parsed = schema.safeParse(entry.payload);
      if (parsed.success) return [{ at: entry.at, actor: entry.actor, seq: entry.seq, value: parsed.data }];
      unreadable++;
      return [];
    });
  const transitions = all('transition', TransitionPayload);
  const previews = all('preview', PreviewPayload)
    .filter(({ value }) => value.phase === undefined)
    .map(({ value }) => [value.change_id, value.preview] as const);
  const checks = new Map(all('verify', VerifyPayload).map((check) => [check.value.check_id, check]));
  const story = {
    entries,
    context: eventField(entries, 'opened', 'context', IncidentContext),
    findings: eventField(entries, 'investigated', 'findings', Findings),
    plan: all('plan', PlanPayload).at(-1)?.value ?? null,
    previews: new Map(previews),
    approvals: all('approval', ApprovalPayload),
    refusals: all('refusal', RefusalPayload),
    outcomes: all('outcome', OutcomePayload),
    checks: [...checks.values()],
    calls: all('call', CallPayload),
    reads: all('read', ReadPayload),
    halts: transitions.filter(({ value }) => value.to === 'HALTED'),
    closed_at: transitions.findLast(({ value }) => value.to === 'CLOSED')?.at ?? null,
  };
  return { ...story, unreadable };
}

/** A field of the last event of a type; null when there is none of the right form. */
function eventField<T>(
  entries: readonly LedgerEntry[],
  type: string,
  field: string,
  schema: z.ZodType<T>,
): T | null {
  const entry = entries.findLast(
    (candidate) => candidate.kind === 'event' && candidate.payload['type'] === type,
  );
  const parsed = schema.safeParse(entry?.payload[field]);
  return parsed.success ? parsed.data : null;
}
