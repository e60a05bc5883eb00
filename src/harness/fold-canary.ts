import type { IncidentState } from '../contract/incident.ts';
import type { EventOf } from './events.ts';
import { halt, startNext, usedUp } from './fold-parts.ts';
import { beginRollback } from './fold-rollback.ts';
import { canaryTitle, undoAdvice, worstCheck } from './halt-texts.ts';
import { rollbackObstacle, standingChanges } from './standing.ts';
import type { MachineContext } from './state.ts';

/** The context after the checks of a canary spoke. Pure. */
export function foldCanaryChecked(
  c: MachineContext,
  to: IncidentState,
  e: EventOf<'canary_checked'>,
): MachineContext {
  const passed = to === 'EXECUTING';
  const next = {
    ...c,
    canaries: c.canaries.map((k) => (k.change_id === e.change_id ? { ...k, checks: e.checks, passed } : k)),
  };
  if (passed) return startNext(next);
  const bad = worstCheck(e.checks);
  const said = bad === null ? 'none of its checks gave an answer.' : `check ${bad.words}`;
  const text = `${canaryTitle(c, e.change_id)} did not pass, ${said} The rest of it was not run.`;
  const used = usedUp(next, 'used');
  if (to === 'ROLLING_BACK') return beginRollback(used, text);
  const obstacle = rollbackObstacle(c, standingChanges(c)) ?? 'no rollback is possible';
  return halt(
    used,
    bad?.failed === true ? 'verify_failed' : 'inconclusive',
    `${text} Nothing was put back by itself: ${obstacle}.`,
    undoAdvice(used),
    null,
  );
}
