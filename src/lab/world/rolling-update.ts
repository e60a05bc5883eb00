/**
 * What a rolling update does next, as the Deployment controller decides it (`rolling.go`: reconcileNewReplicaSet,
 * reconcileOldReplicaSets with cleanupUnhealthyReplicas and scaleDownOldReplicaSetsForRollingUpdate). Pure.
 */
export interface SetSize {
  readonly name: string;
  /** Pods that it shall have, and pods of it that have been ready for `minReadySeconds`. */
  readonly wanted: number;
  readonly available: number;
}

export interface Rollout {
  readonly replicas: number;
  readonly strategy: unknown;
  readonly newest: SetSize;
  /** Oldest first. */
  readonly old: readonly SetSize[];
}

/** The wanted size of each set after this turn. */
export function nextSizes(rollout: Rollout): Map<string, number> {
  const { replicas, newest, old, strategy } = rollout;
  const sizes = new Map([newest, ...old].map((set) => [set.name, set.wanted]));
  const total = (): number => [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const lower = (set: SetSize, by: number): number => {
    const size = sizes.get(set.name) ?? 0;
    const cut = Math.max(0, Math.min(size, by));
    sizes.set(set.name, size - cut);
    return cut;
  };
  if (typeOf(strategy) === 'Recreate') return recreate(rollout);
  const { surge, unavailable } = fences(strategy, replicas);
  if (newest.wanted > replicas) sizes.set(newest.name, replicas);
  else if (newest.wanted < replicas)
    sizes.set(newest.name, Math.min(replicas, newest.wanted + Math.max(0, replicas + surge - total())));
  const least = replicas - unavailable;
  const fresh = sizes.get(newest.name) ?? 0;
  const room = total() - least - (fresh - newest.available);
  if (room <= 0) return sizes;
  // Old pods that serve nobody go first, or a rollback out of a crash loop would wait for them for ever.
  let cleaned = 0;
  for (const set of old) cleaned += lower(set, Math.min(room - cleaned, set.wanted - set.available));
  let spare = [newest, ...old].reduce((sum, set) => sum + set.available, 0) - least;
  for (const set of old) {
    if (spare <= 0) break;
    spare -= lower(set, spare);
  }
  return sizes;
}

function recreate({ replicas, newest, old }: Rollout): Map<string, number> {
  const gone = old.every((set) => set.wanted === 0);
  return new Map([
    [newest.name, gone ? replicas : newest.wanted],
    ...old.map((set): [string, number] => [set.name, 0]),
  ]);
}

/** Both as numbers of pods: surge rounds up, unavailability down, and never both to nothing. */
export function fences(strategy: unknown, replicas: number): { surge: number; unavailable: number } {
  const rolling = (strategy as { rollingUpdate?: Record<string, unknown> } | undefined)?.rollingUpdate;
  const surge = podsOf(rolling?.['maxSurge'] ?? '25%', replicas, Math.ceil);
  const unavailable = Math.min(replicas, podsOf(rolling?.['maxUnavailable'] ?? '25%', replicas, Math.floor));
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}

function podsOf(amount: unknown, replicas: number, round: (value: number) => number): number {
  if (typeof amount === 'number') return amount;
  const percent = /^(\d+)%$/.exec(String(amount))?.[1];
  return percent === undefined ? 0 : round((Number(percent) * replicas) / 100);
}

function typeOf(strategy: unknown): unknown {
  return (strategy as { type?: unknown } | undefined)?.type;
}
