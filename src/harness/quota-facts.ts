import { selectYaml } from '../contract/expectation.ts';
import type { Plan } from '../contract/plan.ts';
import type { Scope } from '../contract/scope.ts';
import { parseTarget } from '../contract/tool.ts';
import type { World } from '../contract/world.ts';
import type { QuotaFacts } from '../risk/envelope.ts';

/** Quota of the namespace that the plan touches, read through the World; null when there is none or it cannot be read. */
export async function readQuota(
  world: World,
  plan: Plan,
  scope: Scope,
  signal: AbortSignal,
): Promise<QuotaFacts | null> {
  const first = plan.actions[0];
  if (first === undefined) return null;
  const { cluster, namespace } = parseTarget(first.target);
  const path = `/teams/${scope.team}/${scope.env}/k8s/clusters/${cluster}/namespaces/${namespace}/quota.yaml`;
  const response = await world.call(
    { op: 'run', command: `read ${path}`, why_needed: 'what the change takes from the namespace quota' },
    signal,
  );
  if (!response.ok || response.op !== 'run') return null;
  const { lines } = response.capture;
  const value = (select: string) => Number(selectYaml(lines, select));
  const facts = {
    hard_memory_bytes: value('memory.hard_bytes'),
    used_memory_bytes: value('memory.used_bytes'),
    hard_cpu_millis: value('cpu.hard_millis'),
    used_cpu_millis: value('cpu.used_millis'),
  };
  return Object.values(facts).every(Number.isFinite) ? facts : null;
}
