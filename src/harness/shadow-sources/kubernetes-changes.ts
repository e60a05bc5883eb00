import { readLook, watchedPlaces } from '../shadow/look.ts';
import { incidentOf } from '../state.ts';
import { readActs } from './read-acts.ts';
import { allOf } from './source.ts';
import type { Looked, ShadowSource } from './source.ts';

/** What stands in the objects themselves: `managedFields` name the last writer of each field, and when. */
export const kubernetesChanges: ShadowSource = {
  source: 'kubernetes-changes',
  async look(input, read, targets) {
    const places = watchedPlaces(incidentOf(input.context).scope, [...targets]);
    if (places.length === 0)
      return {
        changes: [],
        unseen: [{ place: '*', why: 'the incident names no namespace, so nobody could be watched' }],
        outage: false,
      };
    const { kinds, robots } = input.deps.settings.shadow;
    const looks: Looked[] = [];
    for (const { cluster, namespace } of places)
      looks.push(
        await readActs(input, read, {
          file: `k8s/clusters/${cluster}/namespaces/${namespace}/changes.yaml`,
          more: { kinds: kinds.join('+') },
          why_needed: 'shadow: what people do by hand',
          place: `${cluster}/${namespace}/*`,
          parse: (text) => {
            const look = readLook(text, robots, targets);
            return look === null ? null : { ...look, outage: false };
          },
        }),
      );
    return allOf(looks);
  },
};
