import { z } from 'zod';
import { UpstreamError } from '../../upstream-error.ts';
import {
  readTool,
  writeTool,
  type ApplyAnswer,
  type CallHandle,
  type DriverPreview,
  type Observation,
  type ReadAnswer,
  type TouchedField,
} from '../driver.ts';
import type { DriverTerraform, SavedPlan, StateMark } from '../driver-terraform.ts';
import { isReached, parsePlan, planProblem, shownPlan, shownState } from './plan-changes.ts';

const COMMON = { system: 'tf', target_kinds: ['workspace'], result_bytes_max: 4 * 1024 * 1024 };
const READ = { ...COMMON, base_class: 'read' as const, dry_run: 'none' as const, timeout_ms_max: 300_000 };
const SIDE_CHANGES_MAX = 200;

export const TF_STATE_LIST = readTool({
  ...READ,
  name: 'tf.state_list',
  description: 'Lists what a Terraform workspace manages, by address, with serial and lineage of its state.',
  input: z.strictObject({}),
  read: async (handle): Promise<ReadAnswer> => {
    const { mark, json } = await readState(handle);
    const addresses = shownState(json).map((resource) => resource.address);
    return { result: { ...mark, addresses }, source_query: 'terraform state list' };
  },
});

export const TF_SHOW = readTool({
  ...READ,
  name: 'tf.show',
  description: 'Shows what a Terraform workspace manages with its values, the sensitive ones masked.',
  input: z.strictObject({
    /** Only what stands below this address: `module.db`, `terraform_data.a`. */
    address: z.string().min(1).max(500).optional(),
  }),
  read: async (handle, { address }): Promise<ReadAnswer> => {
    const { mark, json } = await readState(handle);
    const resources = shownState(json).filter(
      (resource) => address === undefined || isBelow(resource.address, address),
    );
    return { result: { ...mark, resources }, source_query: 'terraform show -json' };
  },
});

const ApplyArgs = z.strictObject({
  /** A commit of the protected branch; what is planned stands there and nowhere else. */
  commit: z.string().regex(/^[0-9a-f]{40}$/, 'the full id of a commit, 40 hex digits'),
});
type ApplyArgs = z.infer<typeof ApplyArgs>;

const APPLIED = '/applied';

export const TERRAFORM_APPLY = writeTool<ApplyArgs>({
  ...COMMON,
  name: 'terraform.apply',
  description:
    'Plans a commit of the protected branch, and after approval applies exactly that saved plan. Deletes, replacements and identities are refused.',
  base_class: 'write',
  dry_run: 'pure',
  timeout_ms_max: 900_000,
  input: ApplyArgs,
  // A run that was cut off may still be working: a person decides, it is never sent again from here.
  conditional: false,
  touched: touchedBy,
  // People plan the reverse as a change of its own: no arguments lead back.
  undo: () => ({ none: true }),
  preview: previewApply,
  observe: observeApply,
  apply: applySaved,
});

function touchedBy({ commit }: ApplyArgs): TouchedField[] {
  return [{ path: APPLIED, after: `commit ${commit}` }];
}

async function previewApply(handle: CallHandle, args: ApplyArgs): Promise<DriverPreview> {
  const tf = terraformOf(handle);
  await tf.open(args.commit);
  const saved = await tf.plan();
  const plan = parsePlan(saved.json);
  const problem = planProblem(plan);
  if (problem !== null) throw blocked(problem);
  const { before, after, fields } = shownPlan(plan);
  const hidden = fields.length - SIDE_CHANGES_MAX;
  return {
    object_uid: uidOf(saved),
    before: { resources: before },
    after: { resources: after },
    changes: touchedBy(args).map(({ path, after: wanted }) => ({
      path,
      before: serialText(saved.state),
      after: wanted,
    })),
    side_changes: fields.slice(0, SIDE_CHANGES_MAX),
    warnings: hidden > 0 ? [`${hidden} more fields change; the diff shows all of them`] : [],
    resources: null,
  };
}

/** Before: the state that was planned on. After: a later one that shows what the plan was to bring about. */
async function observeApply(handle: CallHandle, args: ApplyArgs): Promise<Observation> {
  const approved = approvedPlan(handle);
  const tf = terraformOf(handle);
  await tf.open(args.commit);
  const now = await tf.state();
  const object_uid = handle.precondition?.object_uid ?? null;
  if (sameMark(now, approved.state)) return { object_uid, values: { [APPLIED]: serialText(now) } };
  const saved = await tf.saved(args.commit, approved.state);
  const reached =
    saved !== null &&
    saved.hash === approved.hash &&
    (approved.state.lineage === null || now.lineage === approved.state.lineage) &&
    now.serial > approved.state.serial &&
    isReached(parsePlan(saved.json), await tf.show());
  return { object_uid, values: { [APPLIED]: reached ? `commit ${args.commit}` : serialText(now) } };
}

async function applySaved(handle: CallHandle, args: ApplyArgs): Promise<ApplyAnswer> {
  const approved = approvedPlan(handle);
  const tf = terraformOf(handle);
  await tf.open(args.commit);
  const saved = await tf.saved(args.commit, approved.state);
  if (saved === null || saved.hash !== approved.hash)
    throw blocked('the saved plan is gone: preview and approve it again');
  const problem = planProblem(parsePlan(saved.json));
  if (problem !== null) throw blocked(problem);
  const run = await tf.apply(saved);
  if (run.status === 'stale') return { status: 'conflict', message: run.message };
  return { status: 'done', result: { commit: args.commit, plan: saved.hash, ...(await markAfter(tf)) } };
}

/** The change is done; a look that fails does not make it undone. */
async function markAfter(tf: DriverTerraform): Promise<Partial<StateMark>> {
  try {
    return await tf.state();
  } catch (error) {
    if (error instanceof UpstreamError) return {};
    throw error;
  }
}

async function readState(handle: CallHandle): Promise<{ mark: StateMark; json: unknown }> {
  const tf = terraformOf(handle);
  await tf.open(null);
  return { mark: await tf.state(), json: await tf.show() };
}

/** The plan file, lineage and serial: what people approve. */
function uidOf({ hash, state }: SavedPlan): string {
  return `plan ${hash} lineage ${state.lineage ?? '-'} serial ${state.serial}`;
}

function approvedPlan({ precondition }: CallHandle): { hash: string; state: StateMark } {
  const match = /^plan ([0-9a-f]{64}) lineage (\S+) serial (\d+)$/.exec(precondition?.object_uid ?? '');
  if (match === null) throw blocked('only an approved plan is looked for or applied');
  const [, hash = '', lineage = '-', serial = '0'] = match;
  return { hash, state: { lineage: lineage === '-' ? null : lineage, serial: Number(serial) } };
}

function serialText({ lineage, serial }: StateMark): string {
  return lineage === null ? 'no state' : `serial ${serial}`;
}

function sameMark(a: StateMark, b: StateMark): boolean {
  return a.lineage === b.lineage && a.serial === b.serial;
}

function isBelow(address: string, wanted: string): boolean {
  return address === wanted || address.startsWith(`${wanted}.`) || address.startsWith(`${wanted}[`);
}

function terraformOf({ terraform }: CallHandle): DriverTerraform {
  if (terraform === undefined) throw new Error('the call has no Terraform face');
  return terraform;
}

function blocked(message: string): UpstreamError {
  return new UpstreamError({ problem: 'blocked', sent: 'no', status: null, message });
}
