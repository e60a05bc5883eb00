import { incidentOf } from '../state.ts';
import type { Effect } from './effect.ts';

/** Most ledger entries that a postmortem is drafted from. */
const ENTRIES_MAX = 10_000;

/** CLOSED: the postmortem draft, a pure function of the ledger. */
export const reviewEffect: Effect = async (input) => {
  const entries = await input.deps.store.ledger.read(incidentOf(input.context).incident_id, {
    limit: ENTRIES_MAX,
  });
  const draft = input.deps.review(entries);
  return {
    type: 'reviewed',
    at: input.at(),
    effect_id: input.running.effect_id,
    title: draft.title,
    markdown: draft.markdown,
  };
};
