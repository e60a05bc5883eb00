/** The pod row of kubectl: ready count, the status word that sums up container states, restarts with the last one's age. */
import type { KubeObject } from '../world/kube-object.ts';
import { listAt, numberAt, objectAt, stringAt } from '../world/kube-object.ts';

export function podCells(pod: KubeObject, age: string, ageOf: (time: string) => string): unknown[] {
  const containers = listAt(pod, 'spec', 'containers');
  const statuses = listAt(pod, 'status', 'containerStatuses');
  const ready = statuses.filter((status) => objectAt(status)['ready'] === true).length;
  const restarts = statuses.reduce<number>((sum, status) => sum + numberAt(status, 'restartCount'), 0);
  const lastEnd =
    statuses
      .map((status) => stringAt(status, 'lastState', 'terminated', 'finishedAt'))
      .sort()
      .at(-1) ?? '';
  return [
    pod.metadata.name,
    `${ready}/${containers.length}`,
    statusWord(pod, statuses),
    restarts > 0 && lastEnd !== '' ? `${restarts} (${ageOf(lastEnd)} ago)` : String(restarts),
    age,
    stringAt(pod, 'status', 'podIP') || '<none>',
    stringAt(pod, 'spec', 'nodeName') || '<none>',
    '<none>',
    '<none>',
  ];
}

function statusWord(pod: KubeObject, statuses: readonly unknown[]): string {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating';
  const phase = stringAt(pod, 'status', 'phase');
  for (const status of statuses) {
    const waiting = stringAt(status, 'state', 'waiting', 'reason');
    if (waiting !== '') return waiting;
    const terminated = stringAt(status, 'state', 'terminated', 'reason');
    if (terminated !== '') return terminated;
  }
  if (phase === 'Pending' && stringAt(pod, 'spec', 'nodeName') !== '') return 'ContainerCreating';
  return phase;
}
