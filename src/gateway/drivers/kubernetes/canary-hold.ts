import { valueAt } from '../../json-pointer.ts';

/** What the API server assumes when a Deployment names none. */
const PROGRESS_DEADLINE_S = 600;

/** Why a rollout of this Deployment cannot be held after its first pod, in a sentence; or null. Pure. */
export function holdObstacle(deployment: unknown, hold_s: number): string | null {
  if (valueAt(deployment, '/spec/strategy/type') === 'Recreate')
    return 'the Deployment replaces all its pods at once (strategy Recreate), so there is no first pod to watch';
  if (valueAt(deployment, '/spec/replicas') === 0)
    return 'the Deployment runs no pods (replicas 0), so there is no first pod to watch';
  const set = valueAt(deployment, '/spec/progressDeadlineSeconds');
  const deadline_s = typeof set === 'number' ? set : PROGRESS_DEADLINE_S;
  if (hold_s < deadline_s) return null;
  return `canary_hold_s ${hold_s} is not below its progressDeadlineSeconds ${deadline_s}, and the API server refuses that: choose a shorter hold`;
}
