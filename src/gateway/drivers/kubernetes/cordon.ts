import { z } from 'zod';
import { valueAt } from '../../json-pointer.ts';
import { UpstreamError } from '../../upstream-error.ts';
import { blocked } from '../answer-json.ts';
import {
  writeTool,
  type ApplyAnswer,
  type CallHandle,
  type DriverPreview,
  type Observation,
  type WriteTool,
} from '../driver.ts';
import { getObject, kindOf, objectPath, parseObject, type KubeObject } from './objects.ts';
import { sideChanges } from './spec-patch.ts';

/** Whether a node takes new pods. The API leaves `false` out, so here an absent field is `false`. */
export const UNSCHEDULABLE = '/spec/unschedulable';

export const CordonArgs = z.strictObject({
  changes: z.array(z.strictObject({ path: z.literal(UNSCHEDULABLE), value: z.boolean() })).length(1),
});
export type CordonArgs = z.infer<typeof CordonArgs>;

export const NODE_TOOL = {
  system: 'k8s',
  base_class: 'write',
  target_kinds: ['node'] as string[],
  dry_run: 'server',
  result_bytes_max: 8 * 1024 * 1024,
  // The server compares uid and prior value; an eviction names its pod by uid.
  conditional: true,
} as const;

function cordonTool(name: string, description: string): WriteTool {
  return writeTool<CordonArgs>({
    ...NODE_TOOL,
    name,
    description,
    input: CordonArgs,
    timeout_ms_max: 60_000,
    touched: ({ changes }) => changes.map(({ path, value }) => ({ path, after: value })),
    undo: uncordonArgs,
    preview: previewCordon,
    observe: observeCordon,
    apply: applyCordon,
  });
}

export const K8S_CORDON = cordonTool(
  'k8s.cordon',
  'Marks a node so that no new pods come to it (/spec/unschedulable true); pods that run there stay.',
);

export const K8S_UNCORDON = cordonTool(
  'k8s.uncordon',
  'Lets new pods come to a node again (/spec/unschedulable false).',
);

export function uncordonArgs(values: Readonly<Record<string, unknown>>): CordonArgs {
  return { changes: [{ path: UNSCHEDULABLE, value: values[UNSCHEDULABLE] === true }] };
}

export function isCordoned(node: unknown): boolean {
  return valueAt(node, UNSCHEDULABLE) === true;
}

export function wantsCordon({ changes }: CordonArgs): boolean {
  return changes[0]?.value === true;
}

export async function previewCordon(handle: CallHandle, args: CordonArgs): Promise<DriverPreview> {
  const before = await getObject(handle);
  const wanted = wantsCordon(args);
  const after = parseObject((await sendCordon(handle, before, wanted)).text);
  if (isCordoned(after) !== wanted)
    throw blocked('the server does not keep the mark: a person must look at it');
  const was = isCordoned(before);
  return {
    object_uid: before.metadata.uid,
    before,
    after,
    changes: [{ path: UNSCHEDULABLE, before: was, after: wanted }],
    side_changes: sideChanges(before, after, [{ path: UNSCHEDULABLE, after: null }]),
    warnings: was === wanted ? [`the node ${wanted ? 'is cordoned' : 'takes pods'} already`] : [],
    resources: null,
  };
}

export async function observeCordon(handle: CallHandle): Promise<Observation> {
  const node = await nodeIfThere(handle);
  return node === null
    ? { object_uid: null, values: {} }
    : { object_uid: node.metadata.uid, values: { [UNSCHEDULABLE]: isCordoned(node) } };
}

async function applyCordon(handle: CallHandle, args: CordonArgs): Promise<ApplyAnswer> {
  const conflict = await cordonAsApproved(handle, wantsCordon(args));
  return conflict ?? { status: 'done', result: { unschedulable: wantsCordon(args) } };
}

/** Sets the mark under the approved precondition; a conflict when the node shows another state, else null. */
export async function cordonAsApproved(handle: CallHandle, wanted: boolean): Promise<ApplyAnswer | null> {
  const { precondition } = handle;
  const change = precondition?.changes.find(({ path }) => path === UNSCHEDULABLE);
  if (precondition === null || change === undefined || change.after !== wanted)
    throw blocked('a write needs the approved prior state');
  const changed = async (): Promise<boolean> => {
    const now = await observeCordon(handle);
    return now.object_uid !== precondition.object_uid || now.values[UNSCHEDULABLE] !== change.before;
  };
  const node = await looked(handle);
  if (node?.metadata.uid !== precondition.object_uid || isCordoned(node) !== change.before)
    return { status: 'conflict', message: 'the node shows another state now' };
  try {
    await sendCordon(handle, node, wanted);
    return null;
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    const { problem, message } = error.info;
    const is_conflict =
      problem === 'conflict' || problem === 'not-found' || (problem === 'invalid' && (await changed()));
    if (is_conflict) return { status: 'conflict', message };
    throw error;
  }
}

/** A look sends no change, whatever its own fate. */
async function looked(handle: CallHandle): Promise<KubeObject | null> {
  try {
    return await nodeIfThere(handle);
  } catch (error) {
    if (error instanceof UpstreamError) throw new UpstreamError({ ...error.info, sent: 'no' });
    throw error;
  }
}

async function nodeIfThere(handle: CallHandle): Promise<KubeObject | null> {
  try {
    return await getObject(handle);
  } catch (error) {
    if (error instanceof UpstreamError && error.info.problem === 'not-found') return null;
    throw error;
  }
}

function sendCordon(handle: CallHandle, node: KubeObject, wanted: boolean): Promise<{ text: string }> {
  const shown = valueAt(node, UNSCHEDULABLE);
  const edits = wanted
    ? [{ op: 'add', path: UNSCHEDULABLE, value: true }]
    : shown === undefined
      ? []
      : [{ op: 'remove', path: UNSCHEDULABLE }];
  return handle.http.request({
    method: 'PATCH',
    path: objectPath(handle.target, kindOf(handle.target)),
    query: { fieldManager: 'aegis' },
    body: [
      { op: 'test', path: '/metadata/uid', value: node.metadata.uid },
      // "Absent" cannot be tested: the map that lacks the field must be the one that was read.
      shown === undefined
        ? { op: 'test', path: '/spec', value: valueAt(node, '/spec') }
        : { op: 'test', path: UNSCHEDULABLE, value: shown },
      ...edits,
    ],
    content_type: 'application/json-patch+json',
  });
}
