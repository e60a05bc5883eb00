/** Kubernetes events of the world: repeated ones are counted in place, old ones are dropped after an hour, as in etcd. */
import type { Cluster } from './cluster.ts';
import { isFurnishing, uidOf } from './cluster.ts';
import type { KubeObject } from './kube-object.ts';
import { kubeTime, numberAt, stringAt } from './kube-object.ts';

export interface EventText {
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
  component: string;
  host?: string;
  /** For example `spec.containers{spark-kubernetes-driver}`. */
  field_path?: string;
}

const EVENT_TTL_MS = 3_600_000;

export function recordEvent(cluster: Cluster, involved: KubeObject, text: EventText): void {
  // Events of old objects would have expired long ago.
  if (isFurnishing(cluster)) return;
  const { store, timeline } = cluster;
  const now = kubeTime(timeline.now());
  const namespace = involved.metadata.namespace ?? 'default';
  const uid = involved.kind === 'Node' ? involved.metadata.name : uidOf(involved);
  dropOldEvents(cluster);
  const same = store
    .list('Event', namespace)
    .find(
      (event) =>
        stringAt(event, 'involvedObject', 'uid') === uid &&
        stringAt(event, 'reason') === text.reason &&
        stringAt(event, 'message') === text.message &&
        stringAt(event, 'involvedObject', 'fieldPath') === (text.field_path ?? ''),
    );
  const writer = { manager: text.component };
  if (same !== undefined) {
    store.update({ ...same, count: numberAt(same, 'count') + 1, lastTimestamp: now }, writer);
    return;
  }
  const name = `${involved.metadata.name}.${cluster.random.hex(16)}`;
  store.create(
    {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: {
        kind: involved.kind,
        ...(involved.metadata.namespace === undefined ? {} : { namespace }),
        name: involved.metadata.name,
        uid,
        apiVersion: involved.apiVersion,
        ...(involved.kind === 'Node' ? {} : { resourceVersion: involved.metadata.resourceVersion }),
        ...(text.field_path === undefined ? {} : { fieldPath: text.field_path }),
      },
      reason: text.reason,
      message: text.message,
      source: { component: text.component, ...(text.host === undefined ? {} : { host: text.host }) },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
      type: text.type,
      eventTime: null,
      reportingComponent: text.component,
      reportingInstance: text.host ?? '',
    },
    writer,
  );
}

function dropOldEvents(cluster: Cluster): void {
  const oldest = kubeTime(cluster.timeline.now() - EVENT_TTL_MS);
  for (const event of cluster.store.list('Event')) {
    if (stringAt(event, 'lastTimestamp') < oldest) {
      cluster.store.remove('Event', event.metadata.namespace, event.metadata.name);
    }
  }
}
