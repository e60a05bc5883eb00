import { effectKey, planCalls } from '../../contract/plan-calls.ts';
import { isRefusal } from '../../contract/verdict.ts';
import type { FieldChange } from '../../contract/tool.ts';
import { canaryProblem } from '../../gateway/pipeline/after-canary.ts';
import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** The server's dry run, made just now, gives exactly the effect that people were shown. */
export const previewedGate: Gate = {
  gate: 'previewed',
  title: 'Dry run gives the same effect',
  check({ plan, previews, approved_effects, phase }) {
    const planned = planCalls(plan);
    for (const { action, phase: part, key } of planned) {
      const name = part === 'canary' ? `the canary of ${action.change_id}` : action.change_id;
      const preview = previews.get(key);
      if (preview === undefined)
        return refused(`${capital(name)} has no dry run.`, 'Press Resume to try again.');
      if (isRefusal(preview)) return refused(`Dry run of ${name}: ${preview.reason}`, preview.remedy);
      if (preview.changes.length === 0)
        return refused(
          `${capital(name)} would change nothing: the object already looks like that.`,
          'Plan again.',
        );
      if (phase === 'clear' && approved_effects.get(key) !== preview.effect_hash)
        return refused(
          `The object changed after the approval: ${preview.changes.map(fieldWords).join('; ')}.`,
          'Press Resume: Aegis looks again and makes a new plan.',
        );
      const canary = part === 'apply' ? previews.get(effectKey(action.change_id, 'canary')) : undefined;
      const torn = canary === undefined || isRefusal(canary) ? null : canaryProblem(canary, preview);
      if (torn !== null) return refused(`${action.change_id}: ${torn}.`, 'Plan again.');
    }
    return passed(`${planned.length} of ${planned.length} dry runs passed`);
  },
};

function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

function fieldWords(change: FieldChange): string {
  return `${change.path} is now ${JSON.stringify(change.before)}`;
}
