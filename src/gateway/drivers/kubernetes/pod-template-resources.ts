import type { Preview } from '../../../contract/tool.ts';
import { valueAt } from '../../json-pointer.ts';
import { kubernetesQuantity } from '../../../contract/quantity.ts';
import { resourceChange, type Demand } from './resource-change.ts';

/** What an object with a pod template asks of its namespace: replicas times the containers' limits, else requests. */
export function podTemplateResources(before: unknown, after: unknown): Preview['resources'] {
  return resourceChange(before, after, demand);
}

function demand(object: unknown): Demand | null {
  const replicas = valueAt(object, '/spec/replicas') ?? 1;
  const containers = valueAt(object, '/spec/template/spec/containers');
  if (typeof replicas !== 'number' || !Array.isArray(containers)) return null;
  let memory_bytes = 0;
  let cpu_millis = 0;
  for (const container of containers as unknown[]) {
    const memory = asked(container, 'memory');
    const cpu = asked(container, 'cpu');
    if (memory === null || cpu === null) return null;
    memory_bytes += memory * replicas;
    cpu_millis += cpu * 1000 * replicas;
  }
  return { memory_bytes: Math.round(memory_bytes), cpu_millis: Math.round(cpu_millis) };
}

function asked(container: unknown, resource: 'memory' | 'cpu'): number | null {
  const limit = valueAt(container, `/resources/limits/${resource}`);
  return kubernetesQuantity(limit ?? valueAt(container, `/resources/requests/${resource}`));
}
