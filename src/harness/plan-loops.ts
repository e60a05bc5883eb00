import { hashOf } from '../contract/canonical.ts';
import type { PlanDraft } from '../contract/plan.ts';
import type { HarnessEvent } from './events.ts';
import type { Breach } from './loop-detector.ts';

/**
 * Finds out that planning goes in circles: the same plan again after it came to nothing, or one object changed to and
 * fro. Pure and without a state of its own: the events of the incident are all it needs, so a restart forgets nothing.
 * After a breach only a person goes on, so the count begins anew there.
 */

/** A plan that came to nothing may come once more; a person who presses Plan again once is no loop. */
export const SAME_PLAN_MAX = 2;

type DraftedAction = PlanDraft['actions'][number];

interface FailedPlan {
  readonly actions: readonly DraftedAction[];
  /** How it came to nothing: "denied by dan", "put back". */
  readonly end: string;
}

/** The breach that this draft would be, after what the incident has been through. */
export function planLoop(events: readonly HarnessEvent[], draft: Pick<PlanDraft, 'actions'>): Breach | null {
  const failed = failedPlans(events);
  const mark = markOf(draft.actions);
  const same = failed.filter((plan) => markOf(plan.actions) === mark);
  if (same.length >= SAME_PLAN_MAX) {
    const ends = same.map((plan) => plan.end).join(', then ');
    return { pattern: 'same_plan', what: `${intents(draft.actions)} (${ends})`, times: same.length + 1 };
  }
  for (const target of new Set(draft.actions.map((a) => a.target))) {
    const series = [...failed.map((plan) => plan.actions), draft.actions]
      .map((actions) => actions.filter((a) => a.target === target))
      .filter((actions) => actions.length > 0)
      .slice(-4);
    const [a, b, c, d] = series.map(markOf);
    if (a === c && b === d && a !== b && series.length === 4)
      return { pattern: 'oscillation', what: `${intents(series[2])}, then ${intents(series[3])}`, times: 2 };
  }
  return null;
}

/** Plans that were denied, met a change by others, or ran without helping, oldest first. Those that expired or were replaced say nothing. */
function failedPlans(events: readonly HarnessEvent[]): FailedPlan[] {
  let plans: FailedPlan[] = [];
  let actions: readonly DraftedAction[] = [];
  let end: string | null = null;
  const close = (): void => {
    if (end !== null) plans.push({ actions, end });
    end = null;
  };
  for (const event of events) {
    if (event.type === 'looped') {
      plans = [];
      end = null;
      continue;
    }
    if (event.type === 'drafted') {
      close();
      actions = event.draft.actions;
    } else end = endOf(event) ?? end;
  }
  close();
  return plans;
}

function endOf(event: HarnessEvent): string | null {
  switch (event.type) {
    case 'decided':
      return event.decision === 'deny' ? `denied by ${event.by}` : null;
    case 'cleared':
      return event.verdict === 'conflict' ? 'changed by somebody else' : null;
    case 'executed':
      return { failed: 'failed', conflict: 'changed by somebody else', done: null, outcome_unknown: null }[
        event.outcome.status
      ];
    case 'verified':
      return event.checks.some((check) => check.status === 'failed') ? 'did not help' : null;
    case 'undone':
      return event.put_back === 'yes' ? 'put back' : null;
    default:
      return null;
  }
}

/** The same calls in the same order; in whose words they are meant does not matter. */
function markOf(actions: readonly DraftedAction[]): string {
  return hashOf(actions.map(({ tool, target, params }) => ({ tool, target, params })));
}

function intents(actions: readonly DraftedAction[] = []): string {
  return actions
    .map((a) => a.intent)
    .join('; ')
    .slice(0, 200);
}
