/** How the Spark operator writes: status and events of the application, never over a newer generation. */
import type { Cluster } from './cluster.ts';
import { uidOf } from './cluster.ts';
import { recordEvent } from './kube-events.ts';
import type { JsonObject, KubeObject } from './kube-object.ts';

export const OPERATOR_WRITER = { manager: 'spark-operator', subresource: 'status' };

/** The application as stored now, if it is still the same object at the same generation. */
export function currentApp(cluster: Cluster, app: KubeObject): KubeObject | undefined {
  const found = cluster.store.get('SparkApplication', app.metadata.namespace, app.metadata.name);
  if (found === undefined || uidOf(found) !== uidOf(app)) return undefined;
  return found.metadata.generation === app.metadata.generation ? found : undefined;
}

/** Merges into the status; the operator writes through the main resource, as the real one does with its own client. */
export function writeAppStatus(
  cluster: Cluster,
  app: KubeObject,
  status: JsonObject,
): KubeObject | undefined {
  const current = currentApp(cluster, app);
  if (current === undefined) return undefined;
  return cluster.store.update({ ...current, status: { ...current.status, ...status } }, OPERATOR_WRITER);
}

export function appEvent(
  cluster: Cluster,
  app: KubeObject,
  reason: string,
  message: string,
  type: 'Normal' | 'Warning' = 'Normal',
): void {
  recordEvent(cluster, app, { type, reason, message, component: 'spark-operator' });
}
