import { watchedPlaces } from '../shadow/look.ts';
import { readAudit } from '../shadow/read-audit.ts';
import { incidentOf } from '../state.ts';
import { readActs } from './read-acts.ts';
import { allOf } from './source.ts';
import type { Looked, ShadowSource } from './source.ts';

/** What the API server's audit log tells: deletions, what was overwritten since, and who the user was. */
export const kubernetesAudit: ShadowSource = {
  source: 'kubernetes-audit',
  async look(input, read, targets) {
    const { clusters, shadow } = input.deps.settings;
    const looks: Looked[] = [];
    for (const { cluster, namespace } of watchedPlaces(incidentOf(input.context).scope, [...targets]))
      if (clusters[cluster]?.audit !== undefined)
        looks.push(
          await readActs(input, read, {
            file: `k8s/clusters/${cluster}/namespaces/${namespace}/audit.yaml`,
            why_needed: 'shadow: what people do by hand',
            // What stands in the objects is seen without it: the audit log alone makes nobody blind.
            place: `${cluster}/${namespace}/audit log`,
            parse: (text) => {
              const look = readAudit(text, shadow);
              return look === null ? null : { ...look, outage: false };
            },
          }),
        );
    return allOf(looks);
  },
};
