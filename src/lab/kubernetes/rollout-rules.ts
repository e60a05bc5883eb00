/** What the API server checks of how a Deployment replaces its pods. */
import type { KubeObject } from '../world/kube-object.ts';
import { at, numberAt } from '../world/kube-object.ts';
import type { StatusCause } from './status.ts';

const PROGRESS_DEADLINE_S = 600;

export function rolloutCauses(object: KubeObject): StatusCause[] {
  if (object.kind !== 'Deployment') return [];
  const causes: StatusCause[] = [];
  const invalid = (field: string, value: unknown, why: string): void => {
    const message = `Invalid value: ${JSON.stringify(value)}: ${why}`;
    causes.push({ reason: 'FieldValueInvalid', message, field });
  };
  const hold_s = numberAt(object, 'spec', 'minReadySeconds');
  const deadline_s = at(object, 'spec', 'progressDeadlineSeconds') ?? PROGRESS_DEADLINE_S;
  if (hold_s < 0) invalid('spec.minReadySeconds', hold_s, 'must be greater than or equal to 0');
  if (typeof deadline_s === 'number' && deadline_s <= hold_s)
    invalid('spec.progressDeadlineSeconds', deadline_s, 'must be greater than minReadySeconds');
  const surge = at(object, 'spec', 'strategy', 'rollingUpdate', 'maxSurge');
  const unavailable = at(object, 'spec', 'strategy', 'rollingUpdate', 'maxUnavailable');
  if (isNothing(surge) && isNothing(unavailable))
    invalid('spec.strategy.rollingUpdate.maxUnavailable', unavailable, 'may not be 0 when `maxSurge` is 0');
  return causes;
}

function isNothing(amount: unknown): boolean {
  return amount === 0 || amount === '0%';
}
