import type { ShadowNotice } from '../../contract/notice.ts';
import type { CardView } from '../notices/card-view.ts';
import { incidentOf } from '../state.ts';
import type { Snapshot } from '../state.ts';
import { CONFIDENT_MIN } from './compare.ts';
import { causeWords, leadWords, verdictWords } from './report-words.ts';

/** The shadow report as data, at the step that ends a shadowed incident; else null. Pure. */
export function shadowNotice(from: Snapshot, to: Snapshot, view: CardView): ShadowNotice | null {
  const watch = to.context.shadow;
  const score = watch?.score ?? null;
  if (watch === null || score === null || (from.context.shadow?.score ?? null) !== null) return null;
  const { compared } = watch;
  const lead = leadWords(score);
  const lines = [
    ...(compared === null
      ? ['Aegis had no plan before it was over.']
      : [
          `The plan (revision ${compared.revision}, confidence ${compared.confidence.toFixed(2)}): ${compared.hypothesis}`.slice(
            0,
            500,
          ),
        ]),
    ...(lead === null ? [] : [lead]),
    ...(compared === null ? [] : [causeWords(score)]),
  ];
  return {
    kind: 'shadow',
    incident_id: incidentOf(to.context).incident_id,
    verdict: score.verdict,
    headline: verdictWords(score),
    lines,
    rows: score.rows,
    warning: score.wrong_and_confident
      ? `Wrong and confident: the plan was sure (${compared?.confidence.toFixed(2) ?? ''}, from ${CONFIDENT_MIN.toFixed(2)} on it counts as sure), and something else helped. Autonomy goes one step down for incidents that open from now on.`
      : null,
    gaps: score.gaps,
    ladder: (view.ladder ?? 'Where it stands on the ladder cannot be said.').slice(0, 1000),
    simulated: view.simulated,
  };
}
