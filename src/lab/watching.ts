import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredMessage } from './slack/store.ts';
import type { SlackTwin } from './slack/twin.ts';

/** How simulated people wait for what they see: they look again, as a person does, and give up with a clear sentence. */
const LOOK_EVERY_MS = 40;
const PATIENCE_MS = 20_000;

/** Waits until `look` finds something. @throws with what was waited for. */
export async function until<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  patience_ms = PATIENCE_MS,
): Promise<T> {
  const deadline = Date.now() + patience_ms;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error(`waited ${patience_ms} ms for ${what}, which never came`);
}

/** The newest root card of a channel: a bot message that starts a thread. */
export function rootCard(slack: SlackTwin, channel: string): StoredMessage | undefined {
  return slack.store
    .messages(channel)
    .findLast(
      (m) => m.thread_ts === undefined && m.bot_id !== undefined && cardKey(m)?.startsWith('root:') === true,
    );
}

/** The newest approval card of a thread that can still be decided on. */
export function approvalCard(
  slack: SlackTwin,
  channel: string,
  thread_ts: string,
): StoredMessage | undefined {
  return slack.store.thread(channel, thread_ts).findLast((m) => hasAction(m, 'approval.review'));
}

export function hasAction(message: StoredMessage, action_id: string): boolean {
  return JSON.stringify(message.blocks).includes(`"action_id":"${action_id}"`);
}

/** Presses a button as soon as it shows. */
export async function pressWhenThere(
  slack: SlackTwin,
  person: string,
  message: StoredMessage,
  action_id: string,
): Promise<void> {
  await until(`the button ${action_id}`, () => (hasAction(message, action_id) ? true : undefined));
  await slack.as(person).click({ channel: message.channel, ts: message.ts, action_id });
}

/** Opens the review modal of an approval card, waits until it is filled, and submits it. */
export async function reviewAndSubmit(slack: SlackTwin, person: string, card: StoredMessage): Promise<void> {
  const actor = slack.as(person);
  await actor.click({ channel: card.channel, ts: card.ts, action_id: 'approval.review' });
  await until(`${person}'s review to be filled`, () =>
    actor.views().at(-1)?.view['submit'] ? true : undefined,
  );
  await actor.submit();
}

function cardKey(message: StoredMessage): string | undefined {
  const payload = (message.metadata?.['event_payload'] ?? {}) as Record<string, unknown>;
  return typeof payload['card_key'] === 'string' ? payload['card_key'] : undefined;
}
