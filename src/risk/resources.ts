import { parseTarget, type Preview } from '../contract/tool.ts';
import type { ResourceShare } from './blast-radius.ts';

/** A namespace's ResourceQuota: requests.memory in bytes and requests.cpu in millicores. */
export interface QuotaFacts {
  readonly hard_memory_bytes: number;
  readonly used_memory_bytes: number;
  readonly hard_cpu_millis: number;
  readonly used_cpu_millis: number;
}

export interface ResourceChange {
  readonly share: ResourceShare;
  readonly previews_without_resources: number;
  /** In words with numbers. */
  readonly why: readonly string[];
}

interface Totals {
  readonly memory_before: number;
  readonly memory_after: number;
  readonly cpu_before: number;
  readonly cpu_after: number;
}

/**
 * What the previews ask for, all together, against the namespace's quota. Giving back counts as nothing, never as less.
 * Pods of a Spark job that has failed use no quota now, so what it asked for before is added to what is in use: for a
 * job that still runs this counts its former size twice, which errs towards "does not fit".
 */
export function resourcesOf(previews: readonly Preview[], quota: QuotaFacts | null): ResourceChange {
  const known = previews.filter((preview) => preview.resources !== null);
  const total = totalOf(known);
  const added = {
    memory: Math.max(0, total.memory_after - total.memory_before),
    cpu: Math.max(0, total.cpu_after - total.cpu_before),
  };
  const previews_without_resources = previews.length - known.length;
  const lines = requestLines(total, previews.some(isSpark));
  const answer = (share: ResourceShare, ...why: string[]): ResourceChange => ({
    share,
    previews_without_resources,
    why: [...lines, ...why],
  });
  if (added.memory === 0 && added.cpu === 0)
    return previews_without_resources > 0
      ? answer({ state: 'unknown' }, 'the dry run could not tell how much memory and CPU the change asks for')
      : answer({ state: 'unchanged' }, 'asks for no more memory or CPU than before');
  if (quota === null || quota.hard_memory_bytes <= 0 || quota.hard_cpu_millis <= 0)
    return answer(
      { state: 'unknown' },
      'the quota of the namespace is not known: whether the change fits was not checked',
    );
  const idle = totalOf(known.filter(isSpark));
  const shares = [
    {
      name: 'memory',
      ...shareOf(quota.used_memory_bytes + idle.memory_before, added.memory, quota.hard_memory_bytes),
    },
    { name: 'CPU', ...shareOf(quota.used_cpu_millis + idle.cpu_before, added.cpu, quota.hard_cpu_millis) },
  ].filter((share) => share.added > 0);
  const after = Math.max(...shares.map((share) => share.after));
  return answer(
    { state: 'known', added: Math.max(...shares.map((share) => share.added)), after },
    ...shares.map(
      (share) =>
        `namespace ${share.name} quota ${percent(share.before)} -> ${percent(share.after)} while it runs`,
    ),
    ...(after > 1 ? ['it does not fit into the quota: new pods would be refused'] : []),
  );
}

function totalOf(previews: readonly Preview[]): Totals {
  const sum = (pick: (resources: NonNullable<Preview['resources']>) => number) =>
    previews.reduce((total, { resources }) => total + (resources === null ? 0 : pick(resources)), 0);
  return {
    memory_before: sum((r) => r.memory_bytes_before),
    memory_after: sum((r) => r.memory_bytes_after),
    cpu_before: sum((r) => r.cpu_millis_before),
    cpu_after: sum((r) => r.cpu_millis_after),
  };
}

function shareOf(
  used: number,
  added: number,
  hard: number,
): { before: number; added: number; after: number } {
  return { before: used / hard, added: added / hard, after: (used + added) / hard };
}

function requestLines(total: Totals, spark: boolean): string[] {
  const overhead = spark
    ? " incl. Spark's overhead of max(384 MiB, 10 %) a pod, unless the job sets its own"
    : '';
  const memory =
    total.memory_after === total.memory_before
      ? []
      : [`memory request ${gib(total.memory_before)} -> ${gib(total.memory_after)}${overhead}`];
  const cpu =
    total.cpu_after === total.cpu_before
      ? []
      : [`CPU request ${total.cpu_before / 1000} -> ${total.cpu_after / 1000} cores`];
  return [...memory, ...cpu];
}

function isSpark(preview: Preview): boolean {
  return parseTarget(preview.target).kind === 'sparkapplication';
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function percent(value: number): string {
  return `${Math.round(value * 100)} %`;
}
