import { isoTime } from '../../contract/ports.ts';
import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import { wholeFile, type Look, type PathParams } from '../mount.ts';
import { numberParam, onlyParams } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { present, yamlLines } from '../yaml-text.ts';
import { asList, asObject, type KubeObject } from './kube-objects.ts';
import { getObject, listObjects, type Place } from './kube-reader.ts';

/**
 * `deployments/<name>/rollout.yaml?stable_s=60`: the revisions of a Deployment and how its newest one fares, from the
 * Deployment, its ReplicaSets and their pods. `outcome` stays `progressing` until there is something to tell:
 *
 * - `stable`: every pod is of the newest revision, ready, and has run for `stable_s` without a restart.
 * - `crashing`: a container of the newest revision ended at least twice and its rollout is not stable.
 *
 * `first_pods` asks the same of the pods of the newest revision alone, which is what a canary shows while the others are
 * still of an earlier one: `running` once all that there are have run for `stable_s`, `crashing`, or `starting`.
 *
 * `settled_at` is when that came true, so that a reader knows whether it is older than a change.
 */
const STABLE_S = 60;
const STABLE_S_MAX = 3600;
/** One restart may be a dependency that was slow; two are a pattern. */
const CRASHES_MIN = 2;
const HISTORY_MAX = 10;
const REVISION = 'deployment.kubernetes.io/revision';

export function rolloutFile(
  mount: string,
  place: Place,
  name: string,
  params: PathParams,
  now: () => number,
): Look {
  const stable_s = numberParam(params, 'stable_s', STABLE_S, STABLE_S_MAX);
  const bad = onlyParams(params, ['stable_s']);
  if (bad !== null) return bad;
  if (isRefusal(stable_s)) return stable_s;
  return wholeFile({
    mount,
    evidence: 'state',
    attacker_writable: false,
    asks: `GET ${place.cluster} ${place.namespace}/deployment/${name}; LIST replicasets and pods of ${place.namespace}`,
    async read(io) {
      const parts = await readParts(io, place, name);
      return isRefusal(parts) ? parts : yamlLines(rolloutView(parts, stable_s, now()));
    },
  });
}

interface RolloutParts {
  readonly deployment: KubeObject;
  readonly sets: readonly KubeObject[];
  readonly pods: readonly KubeObject[];
}

async function readParts(io: SourceReader, place: Place, name: string): Promise<RolloutParts | Refusal> {
  const deployment = await getObject(io, place, 'deployment', name);
  if (isRefusal(deployment)) return deployment;
  const sets = await listObjects(io, place, 'replicaset');
  if (isRefusal(sets)) return sets;
  const pods = await listObjects(io, place, 'pod');
  return isRefusal(pods) ? pods : { deployment, sets, pods };
}

/** Pure. */
export function rolloutView(parts: RolloutParts, stable_s: number, now_ms: number): Record<string, unknown> {
  const { deployment } = parts;
  const sets = ownedBy(parts.sets, deployment).toSorted((a, b) => revisionOf(b) - revisionOf(a));
  const [current, ...earlier] = sets;
  const wanted = numberOf(asObject(deployment.spec)['replicas'] ?? 1);
  const pods = current === undefined ? [] : ownedBy(parts.pods, current).map(podFacts);
  const strangers = earlier.flatMap((set) => ownedBy(parts.pods, set)).length;
  const settled = settledAt({ deployment, wanted, pods, strangers }, stable_s, now_ms);
  const first = firstPods(deployment, pods, stable_s, now_ms);
  const worst = pods.toSorted((a, b) => b.restarts - a.restarts || (a.name < b.name ? -1 : 1))[0];
  return {
    kind: 'Rollout',
    name: deployment.metadata.name,
    ...present({ namespace: deployment.metadata.namespace, uid: deployment.metadata.uid }),
    outcome: settled?.outcome ?? 'progressing',
    ...present({ settled_at: settled === null ? undefined : isoTime(settled.at_ms) }),
    pods: {
      wanted,
      of_newest_revision: pods.length,
      of_earlier_revisions: strangers,
      ready: pods.filter((pod) => pod.ready).length,
      restarts: pods.reduce((sum, pod) => sum + pod.restarts, 0),
    },
    first_pods: {
      outcome: first?.outcome ?? 'starting',
      ...present({ settled_at: first === null ? undefined : isoTime(first.at_ms) }),
    },
    ...present({ worst_pod: worst?.name, last_crash: worst?.last_crash }),
    ...present({ current: current === undefined ? undefined : setView(current) }),
    ...present({ previous: earlier[0] === undefined ? undefined : setView(earlier[0]) }),
    history: sets.slice(0, HISTORY_MAX).map(revisionOf),
  };
}

interface Fate {
  readonly outcome: 'stable' | 'crashing';
  readonly at_ms: number;
}

interface Standing {
  readonly deployment: KubeObject;
  readonly wanted: number;
  readonly pods: readonly PodFacts[];
  /** Pods of earlier revisions that are still there. */
  readonly strangers: number;
}

function settledAt(standing: Standing, stable_s: number, now_ms: number): Fate | null {
  const { deployment, wanted, pods, strangers } = standing;
  const is_whole = isSeen(deployment) && pods.length === wanted && strangers === 0 && pods.every(runs);
  if (is_whole) {
    const at_ms = stableFrom(deployment, pods) + stable_s * 1000;
    if (at_ms <= now_ms) return { outcome: 'stable', at_ms };
  }
  return crashOf(pods);
}

function firstPods(
  deployment: KubeObject,
  pods: readonly PodFacts[],
  stable_s: number,
  now_ms: number,
): { readonly outcome: 'running' | 'crashing'; readonly at_ms: number } | null {
  if (isSeen(deployment) && pods.length > 0 && pods.every(runs)) {
    const at_ms = stableFrom(deployment, pods) + stable_s * 1000;
    if (at_ms <= now_ms) return { outcome: 'running', at_ms };
  }
  return crashOf(pods);
}

function crashOf(pods: readonly PodFacts[]): { readonly outcome: 'crashing'; readonly at_ms: number } | null {
  const crashes = pods.filter((pod) => pod.restarts >= CRASHES_MIN && pod.last_crash_ms !== null);
  if (crashes.length === 0) return null;
  return { outcome: 'crashing', at_ms: Math.max(...crashes.map((pod) => pod.last_crash_ms ?? 0)) };
}

/** The controller has taken note of the newest specification. */
function isSeen(deployment: KubeObject): boolean {
  return numberOf(asObject(deployment.status)['observedGeneration']) >= (deployment.metadata.generation ?? 0);
}

function runs(pod: PodFacts): boolean {
  return pod.ready && pod.running_since_ms !== null;
}

function stableFrom(deployment: KubeObject, pods: readonly PodFacts[]): number {
  return Math.max(progressedAt(deployment), ...pods.map((pod) => pod.running_since_ms ?? 0));
}

/** When the controller last said that the rollout moved; 0 where it keeps no such condition. */
function progressedAt(deployment: KubeObject): number {
  const conditions = asList(asObject(deployment.status)['conditions']).map(asObject);
  return timeOf(conditions.find((c) => c['type'] === 'Progressing')?.['lastUpdateTime']) ?? 0;
}

interface PodFacts {
  readonly name: string;
  readonly ready: boolean;
  readonly restarts: number;
  /** Start of its youngest container; null while one does not run. */
  readonly running_since_ms: number | null;
  readonly last_crash_ms: number | null;
  /** Why the container that crashed last ended: no times, so that the same crash again is the same text. */
  readonly last_crash: Record<string, unknown> | undefined;
}

function podFacts(pod: KubeObject): PodFacts {
  const statuses = asList(asObject(pod.status)['containerStatuses']).map(asObject);
  const starts = statuses.map((s) => timeOf(asObject(asObject(s['state'])['running'])['startedAt']));
  const ends = statuses
    .flatMap((s) => [asObject(s['state'])['terminated'], asObject(s['lastState'])['terminated']])
    .map(asObject)
    .filter((ended) => timeOf(ended['finishedAt']) !== null)
    .toSorted((a, b) => numberOf(timeOf(b['finishedAt'])) - numberOf(timeOf(a['finishedAt'])));
  const [last] = ends;
  const is_running = starts.length > 0 && starts.every((at) => at !== null);
  return {
    name: pod.metadata.name,
    ready: statuses.length > 0 && statuses.every((s) => s['ready'] === true),
    restarts: statuses.reduce((sum, s) => sum + numberOf(s['restartCount']), 0),
    running_since_ms: is_running ? Math.max(...starts.map(numberOf)) : null,
    last_crash_ms: timeOf(last?.['finishedAt']),
    last_crash:
      last === undefined ? undefined : present({ reason: last['reason'], exit_code: last['exitCode'] }),
  };
}

function setView(set: KubeObject): Record<string, unknown> {
  const containers = asList(asObject(asObject(asObject(set.spec)['template'])['spec'])['containers']);
  return present({
    revision: revisionOf(set),
    replica_set: set.metadata.name,
    created_at: set.metadata.creationTimestamp,
    images: containers
      .map((container) => asObject(container)['image'])
      .filter((image) => typeof image === 'string'),
  });
}

/** What is being deleted counts no more. */
function ownedBy(objects: readonly KubeObject[], owner: KubeObject): KubeObject[] {
  const { uid } = owner.metadata;
  return objects.filter(({ metadata }) => {
    const owners = asList((metadata as Record<string, unknown>)['ownerReferences']).map(asObject);
    const is_own = owners.some((each) => each['controller'] === true && each['uid'] === uid);
    return uid !== undefined && is_own && (metadata.deletionTimestamp ?? null) === null;
  });
}

function revisionOf(set: KubeObject): number {
  const notes = asObject((set.metadata as Record<string, unknown>)['annotations']);
  return numberOf(Number(notes[REVISION]));
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function timeOf(value: unknown): number | null {
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isFinite(at) ? at : null;
}
