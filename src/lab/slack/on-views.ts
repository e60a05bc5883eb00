// People and modals: fill in, submit, close. The client-side checks (required, lengths) refuse before anything is sent.
import { str, type Json } from './json.ts';
import { checkView } from '../block-kit/check-blocks.ts';
import { characters } from '../block-kit/findings.ts';
import type { Core } from './core.ts';
import type { Attempt } from './deliveries.ts';
import { chosen, initialChoice, type Choice } from './interactive.ts';
import { changeView, showModal } from './methods/views.ts';
import { viewPayload } from './payloads.ts';
import type { OpenView } from './store.ts';
import type { UserDefinition } from './workspace.ts';

/** Values by `block_id`, by `action_id`, or by `block_id/action_id`. */
export type FormValues = Readonly<Record<string, Choice>>;

export interface SubmitResult {
  /** False when the client or the app found something wrong: see `errors`. */
  accepted: boolean;
  errors: Record<string, string>;
  /** What the app asked for. */
  response_action: 'close' | 'errors' | 'update' | 'push' | 'clear' | 'none';
  attempt?: Attempt;
}

const DEPTH_MAX = 3;
const LOST = 'We had some trouble connecting. Try again?';

function lookUp(values: FormValues, block: Json, element: Json): Choice | undefined {
  const [block_id, action_id] = [str(block['block_id']), str(element['action_id'])];
  return values[`${block_id}/${action_id}`] ?? values[block_id] ?? values[action_id];
}

function isEmpty(choice: Choice | undefined): boolean {
  return choice === undefined || choice.length === 0;
}

function clientError(block: Json, element: Json, choice: Choice | undefined): string | undefined {
  if (isEmpty(choice)) return block['optional'] === true ? undefined : 'Please complete this required field.';
  if (element['type'] !== 'plain_text_input') return undefined;
  const length = characters(String(choice));
  const [min, max] = [Number(element['min_length'] ?? 0), Number(element['max_length'] ?? 3000)];
  if (length < min) return `This must be at least ${min} characters long.`;
  return length > max ? `This must be no more than ${max} characters long.` : undefined;
}

interface Filled {
  values: Record<string, Record<string, Json>>;
  errors: Record<string, string>;
}

function fillIn(entry: OpenView, values: FormValues): Filled {
  const filled: Filled = { values: structuredClone(entry.view.state.values), errors: {} };
  const used = new Set<Choice>();
  for (const block of entry.view.blocks) {
    const element = block['element'] as Json | undefined;
    if (block['type'] !== 'input' || !element) continue;
    const given = lookUp(values, block, element);
    if (given !== undefined) used.add(given);
    const choice = given ?? initialChoice(element);
    const error = clientError(block, element, choice);
    const block_id = str(block['block_id']);
    if (error) filled.errors[block_id] = error;
    const value = { type: element['type'], ...chosen(element, isEmpty(choice) ? undefined : choice) };
    filled.values[block_id] = { ...filled.values[block_id], [str(element['action_id'])]: value };
  }
  const lost = Object.entries(values).filter(([, value]) => !used.has(value));
  if (lost.length > 0) {
    throw new Error(`the modal has no input named ${lost.map(([name]) => `"${name}"`).join(', ')}`);
  }
  return filled;
}

function close(core: Core, entry: OpenView): void {
  entry.open = false;
  core.store.emit('view', entry);
}

function shutAll(core: Core, user: string): void {
  for (const entry of core.store.stackOf(user)) close(core, entry);
}

function lost(core: Core, entry: OpenView, why: string, attempt: Attempt): SubmitResult {
  entry.errors = { '': LOST };
  core.store.trouble(entry.user, `${LOST} (${why})`);
  core.store.emit('view', entry);
  return { accepted: false, errors: entry.errors, response_action: 'none', attempt };
}

function showErrors(core: Core, entry: OpenView, body: Json, attempt: Attempt): SubmitResult {
  const errors = (body['errors'] ?? {}) as Record<string, string>;
  const known = new Set(entry.view.blocks.map((block) => str(block['block_id'])));
  const unknown = Object.keys(errors).filter((block_id) => !known.has(block_id));
  if (Object.keys(errors).length === 0 || unknown.length > 0) {
    return lost(core, entry, `errors name unknown blocks: ${unknown.join(', ')}`, attempt);
  }
  entry.errors = errors;
  core.store.emit('view', entry);
  return { accepted: false, errors, response_action: 'errors', attempt };
}

function showNext(
  core: Core,
  entry: OpenView,
  action: 'update' | 'push',
  view: Json,
  attempt: Attempt,
): SubmitResult {
  const verdict = checkView(view);
  if (verdict.error)
    return lost(core, entry, `${verdict.error}: ${JSON.stringify(verdict.findings)}`, attempt);
  if (action === 'update') changeView(core, entry, view);
  else {
    const depth = core.store.stackOf(entry.user).length;
    if (depth >= DEPTH_MAX) return lost(core, entry, 'push_limit_reached', attempt);
    showModal(core, view, entry.user, entry.view);
  }
  return { accepted: true, errors: {}, response_action: action, attempt };
}

function follow(core: Core, entry: OpenView, attempt: Attempt): SubmitResult {
  const accepted = { accepted: true, errors: {}, attempt };
  if (attempt.body.trim() === '') {
    close(core, entry);
    return { ...accepted, response_action: 'close' };
  }
  const body = JSON.parse(attempt.body) as Json;
  const action = body['response_action'];
  if (action === 'errors') return showErrors(core, entry, body, attempt);
  if (action === 'clear') {
    shutAll(core, entry.user);
    return { ...accepted, response_action: 'clear' };
  }
  if (action === 'update' || action === 'push') {
    return showNext(core, entry, action, body['view'] as Json, attempt);
  }
  return lost(core, entry, `unknown response_action ${JSON.stringify(action)}`, attempt);
}

/** Presses the submit button of a modal. */
export async function submitView(
  core: Core,
  user: UserDefinition,
  entry: OpenView,
  values: FormValues,
): Promise<SubmitResult> {
  if (!entry.view['submit']) throw new Error('the modal has no submit button');
  const filled = fillIn(entry, values);
  if (Object.keys(filled.errors).length > 0) {
    entry.errors = filled.errors;
    core.store.emit('view', entry);
    return { accepted: false, errors: filled.errors, response_action: 'none' };
  }
  entry.view.state = { values: filled.values };
  entry.errors = {};
  const attempt = await core.deliveries.send(
    'interaction',
    viewPayload(core, 'view_submission', user, entry.view),
  );
  if (attempt.status !== 200) return lost(core, entry, attempt.problem ?? `HTTP ${attempt.status}`, attempt);
  return follow(core, entry, attempt);
}

/** Closes the modal; the app hears of it only when it asked to (`notify_on_close`). */
export async function closeView(
  core: Core,
  user: UserDefinition,
  entry: OpenView,
): Promise<Attempt | undefined> {
  const stack = core.store.stackOf(user.id);
  if (entry.view['clear_on_close'] === true) shutAll(core, user.id);
  else {
    const from = stack.indexOf(entry);
    for (const above of stack.slice(from)) close(core, above);
  }
  if (entry.view['notify_on_close'] !== true) return undefined;
  return core.deliveries.send('interaction', viewPayload(core, 'view_closed', user, entry.view));
}
