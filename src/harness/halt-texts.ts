import { parseTarget } from '../contract/tool.ts';
import { actionOf, isCanaryOnly, standingChanges } from './standing.ts';
import { incidentOf } from './state.ts';
import type { MachineContext } from './state.ts';

export const NEXT_AFTER_STOP = 'Press Plan again to start over, or take it over by hand.';
export const NEXT_AFTER_HAND_OVER = 'Press Plan again when Aegis should look once more.';

/** Sentences about what ran and how to undo it by hand. Pure. */

export function actionTitle(context: MachineContext, change_id: string): string {
  const action = actionOf(context, change_id);
  return action === undefined ? change_id : `${change_id} (${action.intent})`;
}

/** "The canary of CHG-7 (One pod of settlement-api first)". */
export function canaryTitle(context: MachineContext, change_id: string): string {
  const intent = actionOf(context, change_id)?.canary?.intent;
  return `The canary of ${change_id}${intent === undefined ? '' : ` (${intent})`}`;
}

/** The check that speaks loudest against the change, `"Ready pods" failed: 1 of 3.`; null when none speaks against it. */
export function worstCheck(checks: MachineContext['checks']): { failed: boolean; words: string } | null {
  const bad =
    checks.find((check) => check.status === 'failed') ?? checks.find((check) => check.status === 'unknown');
  if (bad === undefined) return null;
  const failed = bad.status === 'failed';
  return { failed, words: `"${bad.title}" ${failed ? 'failed' : 'gave no answer'}: ${bad.found}.` };
}

/** "In force: the canary of CHG-7 (…) on mcp://….", oldest first; empty when nothing is. */
export function inForceWords(context: MachineContext): string {
  const names = standingChanges(context)
    .toReversed()
    .map(({ change_id }) => {
      if (!isCanaryOnly(context, change_id)) return actionTitle(context, change_id);
      const title = canaryTitle(context, change_id);
      return `${title.slice(0, 1).toLowerCase()}${title.slice(1)} on ${actionOf(context, change_id)?.target ?? 'its target'}`;
    });
  return names.length === 0 ? '' : `In force: ${names.join(', ')}.`;
}

/** With a leading blank, for plans with canaries: without one the undo advice names everything that is in force. */
export function canaryWords(context: MachineContext): string {
  const words = context.canaries.length === 0 ? '' : inForceWords(context);
  return words === '' ? '' : ` ${words}`;
}

/** Nobody reads 64 digits: the first ones tell two templates apart, the ledger has the rest. */
export function shortMarks(text: string): string {
  return text.replaceAll(/\bsha256:([0-9a-f]{12})[0-9a-f]{52}\b/g, 'sha256:$1…');
}

/** What a person would do to undo the steps that are in force, newest first; empty when none is. */
export function undoAdvice(context: MachineContext): string {
  const steps = standingChanges(context).map((done) => {
    const action = actionOf(context, done.change_id);
    const before = done.outcome.before_image ?? {};
    if (action?.tool === 'k8s.rollout_undo') return rolloutAdvice(action.target, before);
    // Pods that a drain moved are made anew elsewhere; there is nothing to set back.
    const settable = Object.entries(before).filter(([path]) => !path.startsWith('/pods/'));
    const fields = settable.map(([path, value]) => `${path} back to ${JSON.stringify(value)}`);
    return `set ${fields.length > 0 ? fields.join(', ') : 'the touched fields back'} on ${action?.target ?? done.change_id}`;
  });
  return steps.length === 0 ? '' : `To undo by hand: ${steps.join('; then ')}.`;
}

/** A template stands as its mark, which nobody can type; its revision is the one before the newest. */
function rolloutAdvice(target: string, before: Readonly<Record<string, unknown>>): string {
  const { namespace, kind, name } = parseTarget(target);
  const undo = `run "kubectl -n ${namespace} rollout undo ${kind}/${name}", which goes back to the revision that ran before this change`;
  const pace = Object.entries(before).filter(([path]) => path !== '/spec/template');
  if (pace.length === 0) return undo;
  // A merge patch takes a field away with null, and creates the maps on the way.
  const patch = {};
  for (const [path, value] of pace) {
    const keys = path.slice(1).split('/');
    const last = keys.pop() as string;
    let map: Record<string, unknown> = patch;
    for (const key of keys) map = (map[key] ??= {}) as Record<string, unknown>;
    map[last] = value;
  }
  return `${undo}, and "kubectl -n ${namespace} patch ${kind}/${name} --type merge -p '${JSON.stringify(patch)}'", which takes the canary's pace off it`;
}

/** "Execute with approval (2 people)", "Shadow: ..." from the frozen autonomy. */
export function modeWords(context: MachineContext): string {
  const people = context.plan?.payload.rule.people;
  switch (incidentOf(context).autonomy) {
    case 'read_only':
      return 'Read only: Aegis looks, people act';
    case 'suggest':
      return 'Shadow: plans only, nothing is executed';
    case 'approve':
      return people === undefined
        ? 'Execute with approval'
        : `Execute with approval (${peopleWords(people)})`;
    case 'limited':
      return people === undefined || people === 0
        ? 'Limited autonomy: within its caps nobody is asked'
        : `Limited autonomy, ${peopleWords(people)} asked for this plan`;
  }
}

function peopleWords(people: number): string {
  return people === 1 ? '1 person' : `${people} people`;
}
