/** Events exist once and are shown in two versions: core/v1 as stored, events.k8s.io/v1 with its renamed fields. */
import type { KubeObject } from '../world/kube-object.ts';
import type { Kind } from './kinds.ts';

export function inVersionOf(kind: Kind, object: KubeObject): KubeObject {
  if (kind.group !== 'events.k8s.io') return object;
  const {
    involvedObject,
    message,
    firstTimestamp,
    lastTimestamp,
    count,
    source,
    reportingComponent,
    reportingInstance,
    ...rest
  } = object;
  return {
    ...rest,
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    deprecatedCount: count,
    deprecatedFirstTimestamp: firstTimestamp,
    deprecatedLastTimestamp: lastTimestamp,
    deprecatedSource: source,
    note: message,
    regarding: involvedObject,
    reportingController: reportingComponent,
    reportingInstance,
  };
}
