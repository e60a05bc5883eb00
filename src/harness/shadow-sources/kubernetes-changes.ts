import type { SeenChange, Unseen } from '../../contract/shadow.ts';
import type { EffectInput } from '../effects/effect.ts';
import { readLook, watchedPlaces } from '../shadow/look.ts';
import { incidentOf } from '../state.ts';
import { isOutage } from '../world-session.ts';
import type { ReadSession } from '../world-session.ts';
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
    const changes: SeenChange[] = [];
    const unseen: Unseen[] = [];
    let outage = false;
    for (const place of places) {
      const seen = await lookAt(input, read, place, targets);
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
  targets: ReadonlySet<string>,
): Promise<Looked> {
  const { scope, opened_at } = incidentOf(input.context);
  const kinds = input.deps.settings.shadow.kinds.join('+');
  const path = `/teams/${scope.team}/${scope.env}/k8s/clusters/${place.cluster}/namespaces/${place.namespace}/changes.yaml`;
  const response = await read.world.call(
    {
      op: 'run',
      command: `read ${path}?since=${opened_at}&kinds=${kinds}`,
      why_needed: 'shadow: what people do by hand',
    },
    input.signal,
  );
  const blind = (why: string, outage: boolean): Looked => ({
    changes: [],
    unseen: [{ place: `${place.cluster}/${place.namespace}/*`, why: why.slice(0, 300) }],
    outage,
  });
  if (!response.ok) return blind(response.refusal.reason, isOutage(response.refusal.code));
  if (response.op !== 'run') return blind('the answer is no file', false);
  const opened = await input.deps.store.evidence.open(response.capture.pointer.evidence_id);
  if ('problem' in opened) return blind(`what was read cannot be opened (${opened.problem})`, false);
  const look = readLook(opened.text, input.deps.settings.shadow.robots, targets);
  return look === null ? blind('the file of changes has another form', false) : { ...look, outage: false };
}
