/** The one eviction that is ever sent: of this pod and no later one of its name, with its own grace period. */
export interface PodName {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export function evictionBody({ namespace, name, uid }: PodName): object {
  return {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name, namespace },
    deleteOptions: { preconditions: { uid } },
  };
}
