import { selectYaml } from '../contract/expectation.ts';
import type { Plan } from '../contract/plan.ts';
import type { Scope } from '../contract/scope.ts';
import { parseTarget } from '../contract/tool.ts';
import type { World } from '../contract/world.ts';
import { kubernetesQuantity } from '../contract/quantity.ts';
import type { QuotaFacts } from '../risk/envelope.ts';

/** Names under which a ResourceQuota may limit memory and CPU; limits bind first, so they are asked first. */
const MEMORY_KEYS = ['limits.memory', 'requests.memory', 'memory'] as const;
const CPU_KEYS = ['limits.cpu', 'requests.cpu', 'cpu'] as const;

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
  return quotaFactsOf(selectYaml(response.capture.lines, 'quotas'));
}

/** The tightest quota that limits both memory and CPU, from the rendered `quotas` list. Pure. */
export function quotaFactsOf(quotas: unknown): QuotaFacts | null {
  const facts = (Array.isArray(quotas) ? quotas : []).flatMap((quota: unknown) => {
    const { hard, used } = quota as { hard?: Record<string, unknown>; used?: Record<string, unknown> };
    const memory = pick(hard, used, MEMORY_KEYS);
    const cpu = pick(hard, used, CPU_KEYS);
    if (memory === null || cpu === null) return [];
    return [
      {
        hard_memory_bytes: memory.hard,
        used_memory_bytes: memory.used,
        hard_cpu_millis: cpu.hard * 1000,
        used_cpu_millis: cpu.used * 1000,
      },
    ];
  });
  return (
    facts.toSorted(
      (a, b) => a.hard_memory_bytes - a.used_memory_bytes - (b.hard_memory_bytes - b.used_memory_bytes),
    )[0] ?? null
  );
}

function pick(
  hard: Record<string, unknown> | undefined,
  used: Record<string, unknown> | undefined,
  keys: readonly string[],
): { hard: number; used: number } | null {
  const key = keys.find((k) => kubernetesQuantity(hard?.[k]) !== null);
  if (key === undefined) return null;
  return { hard: kubernetesQuantity(hard?.[key]) as number, used: kubernetesQuantity(used?.[key]) ?? 0 };
}
