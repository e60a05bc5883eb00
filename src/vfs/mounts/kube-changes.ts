import { WATCHED_KINDS } from '../../contract/shadow.ts';
import { z } from 'zod';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import { isMissing, wholeFile, type Look, type PathParams } from '../mount.ts';
import { onlyParams, sinceParam } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { present, yamlLines } from '../yaml-text.ts';
import { badAnswer, kubeTarget, type Place } from './kube-reader.ts';

/**
 * `namespaces/<ns>/changes.yaml?since=1h&kinds=deployment+configmap`: who wrote which fields of the namespace's workloads, oldest first, with what
 * stands there now. `since` is an age or an ISO time. Kinds that the cluster does not have are left out; kinds that may
 * not be read stand under `unseen`, so that an empty list is never taken for "nobody did anything".
 */
const SINCE_OTHERWISE = '1h';

/** One write as `k8s.changes` and `k8s.watch` tell it. */
export const KubeWrite = z.object({
  name: z.string(),
  uid: z.string(),
  generation: z.number(),
  revision: z.string().nullable(),
  manager: z.string(),
  operation: z.string(),
  at: z.string(),
  fields: z.array(z.string()),
  more_fields: z.number(),
  values: z.record(z.string(), z.unknown()),
  template: z.string().nullable(),
});
type Write = z.infer<typeof KubeWrite>;

const Answer = z.object({ writes: z.array(KubeWrite), more: z.boolean() });

export function changesFile(mount: string, place: Place, params: PathParams, now: () => number): Look {
  const bad = onlyParams(params, ['since', 'kinds']);
  if (bad !== null) return bad;
  const since = sinceParam(params, SINCE_OTHERWISE, now);
  if (isRefusal(since)) return since;
  const kinds = kindsOf(params);
  if (isRefusal(kinds)) return kinds;
  return wholeFile({
    mount,
    evidence: 'state',
    // A field manager is what the client calls itself, and values are the writer's.
    attacker_writable: true,
    asks: `LIST ${kinds.join(', ')} of ${place.cluster} ${place.namespace} with their managedFields since ${since.at}`,
    read: (io) => readChanges(io, place, kinds, since.at),
  });
}

async function readChanges(
  io: SourceReader,
  place: Place,
  kinds: readonly string[],
  since: string,
): Promise<readonly string[] | Refusal> {
  const writes: { kind: string; write: Write }[] = [];
  const unseen: { kind: string; why: string }[] = [];
  let refusal: Refusal | null = null;
  for (const kind of kinds) {
    const result = await io.call('k8s.changes', kubeTarget(place, kind, '-'), { since });
    if (isRefusal(result)) {
      if (isMissing(result)) continue;
      refusal ??= result;
      unseen.push({ kind, why: result.reason });
      continue;
    }
    const parsed = Answer.safeParse(result.result);
    if (!parsed.success) return badAnswer('k8s.changes', parsed.error);
    writes.push(...parsed.data.writes.map((write) => ({ kind, write })));
    if (parsed.data.more) unseen.push({ kind, why: 'too many writes; only the newest are shown' });
  }
  if (refusal !== null && unseen.length === kinds.length) return refusal;
  writes.sort((a, b) => Date.parse(a.write.at) - Date.parse(b.write.at));
  return yamlLines({
    kind: 'Changes',
    cluster: place.cluster,
    namespace: place.namespace,
    since,
    changes: writes.map(({ kind, write }) => changeView(place, kind, write)),
    unseen,
  });
}

function changeView(place: Place, kind: string, write: Write): Record<string, unknown> {
  return {
    target: `mcp://k8s/${place.cluster}/${place.namespace}/${kind}/${write.name}`,
    ...present({ uid: write.uid, generation: write.generation, revision: write.revision }),
    manager: write.manager,
    operation: write.operation,
    at: write.at,
    fields: write.fields,
    ...(write.more_fields === 0 ? {} : { more_fields: write.more_fields }),
    values: write.values,
    ...present({ template: write.template }),
  };
}

function kindsOf(params: PathParams): readonly string[] | Refusal {
  const names = params.get('kinds')?.split('+') ?? WATCHED_KINDS;
  const unknown = names.find((name) => !(WATCHED_KINDS as readonly string[]).includes(name));
  if (unknown === undefined) return [...new Set(names)];
  return refuse(
    'bad-parameter',
    `?kinds= does not know "${unknown}".`,
    `Name some of ${WATCHED_KINDS.join(', ')}, joined by +.`,
  );
}
