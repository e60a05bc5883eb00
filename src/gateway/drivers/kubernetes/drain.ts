import { UpstreamError } from '../../upstream-error.ts';
import { blocked } from '../answer-json.ts';
import {
  writeTool,
  type ApplyAnswer,
  type CallHandle,
  type DriverPreview,
  type Observation,
} from '../driver.ts';
import {
  cordonAsApproved,
  CordonArgs,
  isCordoned,
  NODE_TOOL,
  observeCordon,
  previewCordon,
  uncordonArgs,
  UNSCHEDULABLE,
  wantsCordon,
} from './cordon.ts';
import { nameOf, planDrain, type DrainPlan, type LeavingPod } from './drain-plan.ts';
import { runEvictions } from './drain-run.ts';
import type { PodName } from './eviction-body.ts';
import { podsOnNode, sendEviction } from './node-pods.ts';

/**
 * `kubectl drain`: cordon, then evict through the Eviction API, inside every disruption budget and never past one. What
 * is approved is the node's mark and each pod by its uid; a pod that comes later is not touched. The undo is to uncordon.
 */
const POD = /^\/pods\/([^/]+)\/([^/]+)$/;
/** With the cordon, all changes that a preview may hold. */
const PODS_MAX = 199;
const NAMED_MAX = 5;
const WARNINGS_MAX = 40;

export const K8S_DRAIN = writeTool<CordonArgs>({
  ...NODE_TOOL,
  name: 'k8s.drain',
  description:
    'Cordons a node (/spec/unschedulable true) and evicts its pods inside their disruption budgets, as kubectl drain does. Only false, its undo, uncordons.',
  input: CordonArgs,
  timeout_ms_max: 300_000,
  evicts: true,
  touched: (args) => [
    { path: UNSCHEDULABLE, after: wantsCordon(args) },
    ...(wantsCordon(args) ? [{ path: '/pods/*/*', after: null }] : []),
  ],
  approvedFor: (args, _place, { changes: [mark, ...pods] }) =>
    mark?.path === UNSCHEDULABLE &&
    mark.after === wantsCordon(args) &&
    (wantsCordon(args) || pods.length === 0) &&
    pods.every(({ path, before, after }) => POD.test(path) && typeof before === 'string' && after === null),
  undo: uncordonArgs,
  preview: previewDrain,
  observe: observeDrain,
  apply: applyDrain,
});

async function previewDrain(handle: CallHandle, args: CordonArgs): Promise<DriverPreview> {
  const cordon = await previewCordon(handle, args);
  if (!wantsCordon(args)) return cordon;
  const plan = planDrain(await podsOnNode(handle), handle.evictions?.namespaces ?? new Set());
  refuseUnfit(handle, plan);
  const held: string[] = [];
  for (const pod of plan.evict) {
    const problem = await rehearse(handle, pod);
    if (problem !== null) held.push(problem);
  }
  return {
    ...cordon,
    before: shown(handle, isCordoned(cordon.before), plan.evict),
    after: shown(handle, true, []),
    changes: [
      ...cordon.changes,
      ...plan.evict.map((pod) => ({ path: pathOf(pod), before: pod.uid, after: null })),
    ],
    warnings: [
      ...cordon.warnings,
      ...(plan.evict.length === 0 ? ['no pod has to leave'] : []),
      ...plan.stay,
      ...capped(held),
    ],
  };
}

function refuseUnfit({ target }: CallHandle, { evict, obstacles, foreign }: DrainPlan): void {
  if (foreign > 0)
    throw blocked(
      `${target.name} runs ${foreign} ${foreign === 1 ? 'pod' : 'pods'} of namespaces that are not this team's; only "drain_other_namespaces" of its mount lets it evict those`,
    );
  if (obstacles.length > 0) {
    const more = obstacles.length > NAMED_MAX ? ` and ${obstacles.length - NAMED_MAX} more` : '';
    throw blocked(`${target.name} is not drained: ${obstacles.slice(0, NAMED_MAX).join('; ')}${more}`);
  }
  if (evict.length > PODS_MAX)
    throw blocked(`${evict.length} pods would have to leave, more than ${PODS_MAX} that one change may hold`);
}

/** The server's own dry run of one eviction. It counts no disruption, so two pods of one budget may both pass. */
async function rehearse(handle: CallHandle, pod: LeavingPod): Promise<string | null> {
  try {
    const refused = await sendEviction(handle, pod);
    if (refused !== null) throw blocked(`${pod.namespace}/${pod.name}: ${refused}`);
    return null;
  } catch (error) {
    if (error instanceof UpstreamError && error.info.problem === 'held')
      return `${pod.namespace}/${pod.name} is held now: ${error.info.message}`;
    throw error;
  }
}

function capped(lines: readonly string[]): string[] {
  return lines.length <= WARNINGS_MAX
    ? [...lines]
    : [...lines.slice(0, WARNINGS_MAX), `${lines.length - WARNINGS_MAX} more pods are held now`];
}

/** The node with its pods, as people see it in the diff. */
function shown({ target }: CallHandle, unschedulable: boolean, pods: readonly LeavingPod[]): object {
  return {
    kind: 'Node',
    metadata: { name: target.name },
    spec: { unschedulable },
    pods_to_evict: pods.map(({ namespace, name, owner }) => `${namespace}/${name} (${owner})`),
  };
}

async function observeDrain(handle: CallHandle): Promise<Observation> {
  const cordon = await observeCordon(handle);
  const approved = approvedPods(handle);
  if (cordon.object_uid === null || approved.length === 0) return cordon;
  const standing = new Set((await podsOnNode(handle)).map((pod) => nameOf(pod)?.uid));
  const pods = approved.map((pod) => [pathOf(pod), standing.has(pod.uid) ? pod.uid : null]);
  return { ...cordon, values: { ...cordon.values, ...Object.fromEntries(pods) } };
}

async function applyDrain(handle: CallHandle, args: CordonArgs): Promise<ApplyAnswer> {
  const wanted = wantsCordon(args);
  const conflict = await cordonAsApproved(handle, wanted);
  if (conflict !== null) return conflict;
  return wanted
    ? runEvictions(handle, approvedPods(handle))
    : { status: 'done', result: { unschedulable: false } };
}

function approvedPods({ precondition }: CallHandle): PodName[] {
  return (precondition?.changes ?? []).flatMap(({ path, before }) => {
    const [, namespace, name] = POD.exec(path) ?? [];
    if (namespace === undefined || name === undefined || typeof before !== 'string') return [];
    return [{ namespace, name, uid: before }];
  });
}

function pathOf({ namespace, name }: PodName): string {
  return `/pods/${namespace}/${name}`;
}
