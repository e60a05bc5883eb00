import type { PreparedPlan } from './state.ts';

/** The dry run that people were shown. Pure. */
export function shownPreview(
  plan: PreparedPlan | null,
  change_id: string,
  phase?: 'canary',
): PreparedPlan['previews'][number] | undefined {
  return plan?.previews.find((p) => p.change_id === change_id && p.phase === phase);
}
