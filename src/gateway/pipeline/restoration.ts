import type { IncidentContext } from '../../contract/incident.ts';
import { hashOf } from '../../contract/canonical.ts';
import type { FieldChange, Phase, Target } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import { imageOfChange, type ChangeImage } from '../change-image.ts';
import type { Precondition, Restoration } from '../drivers/driver.ts';
import { valueAt } from '../json-pointer.ts';
import { isHoldValue, isPacePath } from '../rollout-pace.ts';
import { templateMark } from '../template-mark.ts';
import type { Admission } from './admit.ts';
import type { GatewayCore } from './core.ts';
import { incidentOf } from './prove-approval.ts';
import { readVerifiedChain } from './verified-chain.ts';

/**
 * A rollback sets images and commands, which is privileged, and still it may be a plain write: when the template is, byte
 * for byte, one that a ReplicaSet of this very Deployment held before the incident opened. That is established here, from
 * the objects as the API server sent them and the time of opening in the verified ledger, at the preview and once more
 * right before the write. No plan, revision number or word of a server takes part in it.
 */
export interface RestorationCall {
  readonly incident_id: string | null;
  readonly change_id: string;
  /** `null` in a preview, which serves apply and undo. */
  readonly phase: Phase | null;
  /** `null`: the opening is read from the ledger. */
  readonly context: IncidentContext | null;
  readonly precondition: Pick<Precondition, 'object_uid' | 'changes'>;
  readonly restoration: Restoration | null;
}

const TEMPLATE = '/spec/template';

export async function restorationRefusal(
  core: GatewayCore,
  admission: Admission,
  call: RestorationCall,
): Promise<Refusal | null> {
  const { tool } = admission.entry;
  if (tool.mode !== 'write' || tool.restores !== true) return null;
  const { incident_id, change_id, phase, precondition, restoration } = call;
  if (incident_id === null)
    return unproven('a rollback outside of an incident has no time before which it must have run');
  const problem = historyProblem(admission.route.target, precondition, restoration);
  if (problem !== null) return unproven(problem);
  const image = await imageOfChange(core.store.journal, incident_id, change_id);
  const pace = paceProblem(precondition.changes, image);
  if (pace !== null) return unproven(pace);
  // The undo brings back what was seen before the change, however young that was.
  const change = precondition.changes.find(({ path }) => path === TEMPLATE);
  const is_undo = phase === 'undo' || phase === null;
  if (is_undo && image !== null && change !== undefined && image[TEMPLATE] === change.after) return null;
  const context = call.context ?? (await openingOf(core, incident_id));
  if (isRefusal(context)) return context;
  const age = ageProblem(valueAt(restoration?.source, '/metadata/creationTimestamp'), context.opened_at);
  return age === null ? null : unproven(age);
}

async function openingOf(core: GatewayCore, incident_id: string): Promise<IncidentContext | Refusal> {
  const entries = await readVerifiedChain(core.store.ledger, incident_id);
  if (isRefusal(entries)) return entries;
  const facts = incidentOf(entries);
  return isRefusal(facts) ? facts : facts.context;
}

/** Why the restored template is none of the object's own, or null. Pure. */
export function historyProblem(
  target: Target,
  { object_uid, changes }: Pick<Precondition, 'object_uid' | 'changes'>,
  restoration: Restoration | null,
): string | null {
  if (restoration === null) return 'its history holds no such template any more';
  const { owner, source, current } = restoration;
  const change = changes.find(({ path }) => path === TEMPLATE);
  if (change === undefined || !changes.every(({ path }) => path === TEMPLATE || isPacePath(path)))
    return 'more than the template would change';
  if (
    !isObjectOf(owner, 'Deployment', target) ||
    valueAt(owner, '/metadata/name') !== target.name ||
    valueAt(owner, '/metadata/uid') !== object_uid
  )
    return 'the object is not the Deployment that was looked at';
  if (templateMark(owner) !== change.before) return 'the Deployment has another template by now';
  const name = shownName(source);
  if (!isObjectOf(source, 'ReplicaSet', target)) return `${name} is no ReplicaSet of its namespace`;
  if (templateMark(source) !== change.after) return `${name} does not hold the restored template`;
  if (!isControlledBy(source, object_uid, target.name))
    return `${name} is not controlled by this Deployment alone`;
  if (valueAt(source, '/metadata/deletionTimestamp') !== undefined) return `${name} is being deleted`;
  if (!isNamedByController(source, target.name))
    return `${name} does not carry the name and labels that the Deployment controller gives`;
  const writer = templateWriter(source);
  if (writer === null || writer !== templateWriter(current))
    return `the template of ${name} was not written by the Deployment controller alone (managedFields)`;
  return hasRun(source) ? null : `${name} never ran a pod`;
}

/** Beside the template only the pace of the rollout may change: to that of a canary, or back to what it was. Pure. */
export function paceProblem(changes: readonly FieldChange[], image: ChangeImage | null): string | null {
  const stray = changes.find(
    ({ path, after }) =>
      isPacePath(path) &&
      !isHoldValue(path, after) &&
      !(image !== null && Object.hasOwn(image, path) && hashOf(image[path]) === hashOf(after)),
  );
  if (stray === undefined) return null;
  return `${stray.path} would become ${JSON.stringify(stray.after)}, which is neither a canary's pace nor what it was`;
}

/** Clocks of the API server and of Aegis may differ by this much; nearer than that nobody can tell what came first. */
const CLOCK_SKEW_MS_MAX = 60_000;

/** Why the time of its making does not lie before the opening, or null. The API server sets it and never changes it. Pure. */
export function ageProblem(created_at: unknown, opened_at: string): string | null {
  const made_ms = typeof created_at === 'string' ? Date.parse(created_at) : Number.NaN;
  const opened_ms = Date.parse(opened_at);
  if (!Number.isFinite(made_ms) || !Number.isFinite(opened_ms)) return 'its age cannot be read';
  if (made_ms + CLOCK_SKEW_MS_MAX <= opened_ms) return null;
  return made_ms > opened_ms
    ? `its ReplicaSet was made at ${String(created_at)}, after the incident opened at ${opened_at}`
    : `its ReplicaSet was made at ${String(created_at)}, too near to the opening at ${opened_at} to tell what came first`;
}

function isObjectOf(object: unknown, kind: string, target: Target): boolean {
  return (
    valueAt(object, '/apiVersion') === 'apps/v1' &&
    valueAt(object, '/kind') === kind &&
    valueAt(object, '/metadata/namespace') === target.namespace
  );
}

function isControlledBy(object: unknown, uid: string, name: string): boolean {
  const owners = valueAt(object, '/metadata/ownerReferences');
  if (!Array.isArray(owners) || owners.length !== 1) return false;
  const [owner] = owners as unknown[];
  return (
    valueAt(owner, '/controller') === true &&
    valueAt(owner, '/apiVersion') === 'apps/v1' &&
    valueAt(owner, '/kind') === 'Deployment' &&
    valueAt(owner, '/name') === name &&
    valueAt(owner, '/uid') === uid
  );
}

/** `<deployment>-<pod-template-hash>`, and the hash in labels, template and the immutable selector. */
function isNamedByController(source: unknown, deployment: string): boolean {
  const hash = valueAt(source, '/spec/selector/matchLabels/pod-template-hash');
  return (
    typeof hash === 'string' &&
    hash !== '' &&
    valueAt(source, '/metadata/name') === `${deployment}-${hash}` &&
    valueAt(source, '/metadata/labels/pod-template-hash') === hash &&
    valueAt(source, '/spec/template/metadata/labels/pod-template-hash') === hash
  );
}

/** A set that had pods was scaled down since, which its generation counts, or has pods still. */
function hasRun(source: unknown): boolean {
  const generation = valueAt(source, '/metadata/generation');
  const replicas = valueAt(source, '/status/replicas');
  return (
    (typeof generation === 'number' && generation >= 2) || (typeof replicas === 'number' && replicas >= 1)
  );
}

/**
 * The one field manager of the template; null when there is none or several. It shows hands that edited a ReplicaSet; it
 * does not stop somebody who writes under the controller's name, and who could run any pod in this namespace anyway.
 */
function templateWriter(set: unknown): string | null {
  const entries = valueAt(set, '/metadata/managedFields');
  if (!Array.isArray(entries)) return null;
  const writers = (entries as unknown[]).filter(
    (entry) => valueAt(entry, '/fieldsV1/f:spec/f:template') !== undefined,
  );
  const manager = valueAt(writers[0], '/manager');
  return writers.length === 1 && typeof manager === 'string' ? manager : null;
}

function shownName(object: unknown): string {
  const name = valueAt(object, '/metadata/name');
  return typeof name === 'string' ? `ReplicaSet ${name}` : 'The source';
}

function unproven(why: string): Refusal {
  return refuse(
    'class-forbidden',
    `The rollback is of class privileged: it sets images and commands, and it is not shown that this template ran before the incident opened: ${why}.`,
    'Choose a revision that ran before the incident, or let a person roll back by hand (kubectl rollout undo).',
  );
}
