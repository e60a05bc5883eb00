import { incidentOf } from './state.ts';
import type { MachineContext } from './state.ts';

/** Sentences about what ran and how to undo it by hand. Pure. */

export function actionTitle(context: MachineContext, change_id: string): string {
  const action = context.plan?.payload.plan.actions.find((a) => a.change_id === change_id);
  return action === undefined ? change_id : `${change_id} (${action.intent})`;
}

/** What a person would do to undo the steps that ran, newest first; empty when nothing ran. */
export function undoAdvice(context: MachineContext): string {
  const steps = context.done.toReversed().map((done) => {
    const action = context.plan?.payload.plan.actions.find((a) => a.change_id === done.change_id);
    const before = done.outcome.before_image ?? {};
    // Pods that a drain moved are made anew elsewhere; there is nothing to set back.
    const settable = Object.entries(before).filter(([path]) => !path.startsWith('/pods/'));
    const fields = settable.map(([path, value]) => `${path} back to ${JSON.stringify(value)}`);
    return `set ${fields.length > 0 ? fields.join(', ') : 'the touched fields back'} on ${action?.target ?? done.change_id}`;
  });
  return steps.length === 0 ? '' : `To undo by hand: ${steps.join('; then ')}.`;
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
        : `Execute with approval (${people === 1 ? '1 person' : `${people} people`})`;
    case 'limited':
      return 'Limited autonomy';
  }
}
