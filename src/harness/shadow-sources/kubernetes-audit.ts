import type { SeenChange, Unseen } from '../../contract/shadow.ts';
import type { EffectInput } from '../effects/effect.ts';
import { watchedPlaces } from '../shadow/look.ts';
import { readAudit } from '../shadow/read-audit.ts';
import { incidentOf } from '../state.ts';
import { isOutage } from '../world-session.ts';
import type { ReadSession } from '../world-session.ts';
import type { Looked, ShadowSource } from './source.ts';

/** What the API server's audit log tells: deletions, what was overwritten since, and who the user was. */
export const kubernetesAudit: ShadowSource = {
  source: 'kubernetes-audit',
  async look(input, read, targets) {
    const { clusters } = input.deps.settings;
    const places = watchedPlaces(incidentOf(input.context).scope, [...targets]).filter(
      ({ cluster }) => clusters[cluster]?.audit !== undefined,
    );
    const changes: SeenChange[] = [];
    const unseen: Unseen[] = [];
    let outage = false;
    for (const place of places) {
      const seen = await lookAt(input, read, place);
      changes.push(...seen.changes);
      unseen.push(...seen.unseen);
      outage ||= seen.outage;
    }
    return { changes, unseen, outage };
  },
};

async function lookAt(
  input: EffectInput,
  read: ReadSession,
  place: { readonly cluster: string; readonly namespace: string },
): Promise<Looked> {
  const { scope, opened_at } = incidentOf(input.context);
  const path = `/teams/${scope.team}/${scope.env}/k8s/clusters/${place.cluster}/namespaces/${place.namespace}/audit.yaml`;
  const response = await read.world.call(
    { op: 'run', command: `read ${path}?since=${opened_at}`, why_needed: 'shadow: what people do by hand' },
    input.signal,
  );
  // What stands in the objects is seen without it: the audit log alone makes nobody blind.
  const blind = (why: string, outage: boolean): Looked => ({
    changes: [],
    unseen: [{ place: `${place.cluster}/${place.namespace}/audit log`, why: why.slice(0, 300) }],
    outage,
  });
  if (!response.ok) return blind(response.refusal.reason, isOutage(response.refusal.code));
  if (response.op !== 'run') return blind('the answer is no file', false);
  const opened = await input.deps.store.evidence.open(response.capture.pointer.evidence_id);
  if ('problem' in opened) return blind(`what was read cannot be opened (${opened.problem})`, false);
  const look = readAudit(opened.text, input.deps.settings.shadow);
  return look === null ? blind('the file of acts has another form', false) : { ...look, outage: false };
}
