import { isRefusal } from '../../contract/verdict.ts';
import type { FieldChange } from '../../contract/tool.ts';
import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** The server's dry run, made just now, gives exactly the effect that people were shown. */
export const previewedGate: Gate = {
  gate: 'previewed',
  title: 'Dry run gives the same effect',
  check({ plan, previews, approved_effects, phase }) {
    for (const action of plan.actions) {
      const preview = previews.get(action.change_id);
      if (preview === undefined)
        return refused(`${action.change_id} has no dry run.`, 'Press Resume to try again.');
      if (isRefusal(preview))
        return refused(`Dry run of ${action.change_id}: ${preview.reason}`, preview.remedy);
      if (preview.changes.length === 0)
        return refused(
          `${action.change_id} would change nothing: the object already looks like that.`,
          'Plan again.',
        );
      if (phase === 'clear' && approved_effects.get(action.change_id) !== preview.effect_hash)
        return refused(
          `The object changed after the approval: ${preview.changes.map(fieldWords).join('; ')}.`,
          'Press Resume: Aegis looks again and makes a new plan.',
        );
    }
    return passed(`${plan.actions.length} of ${plan.actions.length} dry runs passed`);
  },
};

function fieldWords(change: FieldChange): string {
  return `${change.path} is now ${JSON.stringify(change.before)}`;
}
