/**
 * How a Deployment replaces its pods, as fields of it. A canary sets all three in the same patch as the template: one pod
 * more, none less, and nothing further until that pod has been ready for a while. So the API server's own controller holds
 * the rollout back, also when Aegis is gone.
 */
export const PACE_PATHS = {
  min_ready_s: '/spec/minReadySeconds',
  max_surge: '/spec/strategy/rollingUpdate/maxSurge',
  max_unavailable: '/spec/strategy/rollingUpdate/maxUnavailable',
} as const;

export type PaceField = keyof typeof PACE_PATHS;

export const PACE_FIELDS = Object.keys(PACE_PATHS) as PaceField[];

/** Longest hold; a Deployment's own limit is its progress deadline. */
export const CANARY_HOLD_S_MAX = 3600;

/** Value by path while only the first pod is of the restored revision. */
export function holdValues(canary_hold_s: number): Readonly<Record<string, unknown>> {
  return {
    [PACE_PATHS.min_ready_s]: canary_hold_s,
    [PACE_PATHS.max_surge]: 1,
    [PACE_PATHS.max_unavailable]: 0,
  };
}

/** Whether a pace like this holds a rollout after its first pod. Pure. */
export function isHoldValue(path: string, after: unknown): boolean {
  if (path === PACE_PATHS.min_ready_s)
    return typeof after === 'number' && Number.isInteger(after) && after >= 1 && after <= CANARY_HOLD_S_MAX;
  return (
    (path === PACE_PATHS.max_surge && after === 1) || (path === PACE_PATHS.max_unavailable && after === 0)
  );
}

export function isPacePath(path: string): boolean {
  return Object.values<string>(PACE_PATHS).includes(path);
}
