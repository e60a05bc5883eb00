// One act, one key, however often it is delivered. Slack retries events with a fresh signature, people click twice; the
// inbox keeps the first. Parts are ids from the signed envelope and never contain a blank.
import type { Click, Happening, ShortcutCall, SlashCall, Submit } from './listeners/listener.ts';

function key(kind: string, ...parts: readonly string[]): string {
  return ['slack', kind, ...parts].join(' ');
}

export function clickKey(click: Click): string {
  return key('action', click.workspace, click.user, click.message_ts, click.action_ts, click.action_id);
}

export function submitKey(submit: Submit): string {
  return key('view', submit.workspace, submit.user, submit.view.id, submit.view.hash);
}

export function commandKey(call: SlashCall): string {
  return key('command', call.workspace, call.user, call.trigger_id);
}

export function eventKey(happening: Happening): string {
  return key('event', happening.workspace, happening.event_id);
}

export function shortcutKey(call: ShortcutCall): string {
  return key('shortcut', call.workspace, call.user, call.message_ts, call.action_ts, call.callback_id);
}
