// views.*: modals and the Home tab. A modal opens only with a fresh trigger, three deep at most, and changes only under
// the hash that the app last saw when it sends one.
import { str, type Json } from '../json.ts';
import { createHash } from 'node:crypto';
import { checkView } from '../../block-kit/check-blocks.ts';
import { withBlockIds, type Core } from '../core.ts';
import { type Args, type Method, refuse, refuseArgument, refuseFindings } from '../method.ts';
import { slackId } from '../short-lived.ts';
import type { OpenView, StoredView } from '../store.ts';

const DEPTH_MAX = 3;

function checkedView(value: unknown, type: 'modal' | 'home'): Json {
  if (typeof value !== 'object' || value === null)
    return refuseArgument('missing required field: view', 'view');
  const verdict = checkView(value);
  if (verdict.error === 'view_too_large') return refuse('view_too_large');
  if (verdict.error) return refuseFindings(verdict.error, verdict.findings, false);
  const view = value as Json;
  if (view['type'] !== type) return refuseArgument(`unsupported type: ${str(view['type'])}`, 'view/type');
  return view;
}

function viewArgument(args: Args, type: 'modal' | 'home'): Json {
  return checkedView(args.structure('view', 'invalid_arguments'), type);
}

function hashOf(core: Core): string {
  const seconds = Math.floor(core.clock() / 1000);
  return `${seconds}.${createHash('sha1').update(core.store.nextTs()).digest('base64url').slice(0, 8)}`;
}

/** Keeps what a person typed where block and action are the same as before. */
function keptState(view: Json, before: StoredView | undefined): StoredView['state'] {
  const values: StoredView['state']['values'] = {};
  for (const block of view['blocks'] as Json[]) {
    const old = before?.state.values[str(block['block_id'])];
    if (old) values[str(block['block_id'])] = old;
  }
  return { values };
}

function stored(
  core: Core,
  view: Json,
  place: Pick<StoredView, 'id' | 'root_view_id' | 'previous_view_id'>,
  before?: StoredView,
): StoredView {
  const { workspace } = core;
  const blocks = withBlockIds(view['blocks'] as Json[], () => slackId('b').slice(1, 6));
  return {
    team_id: workspace.team_id,
    callback_id: '',
    private_metadata: '',
    external_id: '',
    title: null,
    submit: null,
    close: null,
    clear_on_close: false,
    notify_on_close: false,
    ...view,
    type: view['type'] as 'modal' | 'home',
    ...place,
    blocks,
    hash: hashOf(core),
    state: keptState({ blocks }, before),
    app_id: workspace.definition.app_id,
    bot_id: workspace.definition.bot.bot_id,
    app_installed_team_id: workspace.team_id,
  };
}

function keep(core: Core, entry: OpenView): OpenView {
  core.store.views.set(entry.view.id, entry);
  core.store.emit('view', entry);
  return entry;
}

/** Puts a modal on screen, on top of `below` when there is one. Used by the API and by `response_action: push`. */
export function showModal(core: Core, view: Json, user: string, below: StoredView | undefined): OpenView {
  const id = slackId('V');
  const place = { id, root_view_id: below?.root_view_id ?? id, previous_view_id: below?.id ?? null };
  return keep(core, { view: stored(core, view, place), user, open: true, errors: {} });
}

/** Replaces what a view shows; its id stays. Used by the API and by `response_action: update`. */
export function changeView(core: Core, entry: OpenView, view: Json): OpenView {
  const { id, root_view_id, previous_view_id } = entry.view;
  entry.view = stored(core, view, { id, root_view_id, previous_view_id }, entry.view);
  entry.errors = {};
  return keep(core, entry);
}

function spend(core: Core, args: Args): { user: string; view_id: string | undefined } {
  const id = args.text('trigger_id') ?? args.text('interactivity_pointer');
  const spent = core.triggers.exchange(id ?? '');
  if (spent === 'invalid_trigger_id') return refuseArgument('invalid `trigger_id`', 'trigger_id');
  return typeof spent === 'string' ? refuse(spent) : spent;
}

function checkExternalId(core: Core, view: Json): void {
  const wanted = view['external_id'];
  if (typeof wanted !== 'string' || wanted === '') return;
  for (const entry of core.store.views.values()) {
    if (entry.open && entry.view['external_id'] === wanted) refuse('duplicate_external_id');
  }
}

function open(core: Core, args: Args): Json {
  const view = viewArgument(args, 'modal');
  checkExternalId(core, view);
  const { user } = spend(core, args);
  return { ok: true, view: showModal(core, view, user, undefined).view };
}

function push(core: Core, args: Args): Json {
  const view = viewArgument(args, 'modal');
  checkExternalId(core, view);
  const { user, view_id } = spend(core, args);
  const stack = core.store.stackOf(user);
  const below = stack.find((entry) => entry.view.id === view_id);
  if (!below) return refuse('not_found');
  const depth = stack.filter((entry) => entry.view.root_view_id === below.view.root_view_id).length;
  if (depth >= DEPTH_MAX) return refuse('push_limit_reached');
  return { ok: true, view: showModal(core, view, user, below.view).view };
}

function update(core: Core, args: Args): Json {
  const view = viewArgument(args, 'modal');
  const [id, external_id] = [args.text('view_id'), args.text('external_id')];
  if ((id === undefined) === (external_id === undefined)) {
    return refuseArgument('must define either `view_id` or `external_id`', 'view_id');
  }
  const entry = [...core.store.views.values()].find(
    ({ view, open }) => open && (id === undefined ? view['external_id'] === external_id : view.id === id),
  );
  if (!entry || entry.view.type !== 'modal') return refuse('not_found');
  const hash = args.text('hash');
  if (hash !== undefined && hash !== entry.view.hash) return refuse('hash_conflict');
  return { ok: true, view: changeView(core, entry, view).view };
}

function publish(core: Core, args: Args): Json {
  const user = core.workspace.users.get(args.need('user_id'));
  if (!user) return refuse('user_not_found');
  const view = viewArgument(args, 'home');
  const before = core.store.homeOf(user.id);
  const hash = args.text('hash');
  if (before && hash !== undefined && hash !== before.view.hash) return refuse('hash_conflict');
  if (before) return { ok: true, view: changeView(core, before, view).view };
  const id = slackId('V');
  const place = { id, root_view_id: id, previous_view_id: null };
  const entry = keep(core, { view: stored(core, view, place), user: user.id, open: true, errors: {} });
  return { ok: true, view: entry.view };
}

export const viewMethods: Readonly<Record<string, Method>> = {
  'views.open': { tier: 4, run: open },
  'views.push': { tier: 4, run: push },
  'views.update': { tier: 4, run: update },
  'views.publish': { tier: 4, run: publish },
};
