import { DATA_CHANNEL } from './people.ts';
import type { Range } from './range.ts';
import type { StoredMessage } from './slack/store.ts';
import { approvalCard, pressWhenThere, reviewAndSubmit, rootCard, until } from './watching.ts';

/** What every hands-off story has in common: how it begins, how Dan approves, how it is told afterwards. */
type Say = (line: string) => void;

/** Posts the alert and lets Maya press Activate; returns the root card and the approval card. */
export async function untilApprovalCard(
  range: Range,
  alert: unknown,
  say: Say,
  words: { readonly posts: string; readonly activates: string },
  patience_ms: number,
): Promise<{ root: StoredMessage; card: StoredMessage }> {
  const { slack } = range.twins;
  const root = await untilActivated(range, alert, say, words);
  const card = await until(
    'the approval card',
    () => approvalCard(slack, DATA_CHANNEL, root.ts),
    patience_ms,
  );
  return { root, card };
}

/** Posts the alert and lets Maya press Activate; returns the root card. */
export async function untilActivated(
  range: Range,
  alert: unknown,
  say: Say,
  words: { readonly posts: string; readonly activates: string },
): Promise<StoredMessage> {
  const { slack } = range.twins;
  say(words.posts);
  const posted = await range.webhook(alert);
  if (posted.status !== 200) throw new Error(`the webhook was answered ${posted.status}: ${posted.body}`);
  const root = await until('the root card', () => rootCard(slack, DATA_CHANNEL));
  say(words.activates);
  await pressWhenThere(slack, 'maya', root, 'incident.activate');
  return root;
}

export async function danApproves(range: Range, card: StoredMessage, say: Say): Promise<void> {
  const { slack } = range.twins;
  say('Dan reads the diff and approves');
  await reviewAndSubmit(slack, 'dan', card);
  await until('one approval on the card', () =>
    slack.plainText(newest(range, card)).includes('1 of 2') ? true : undefined,
  );
}

/** The message as it stands now. */
export function newest(range: Range, message: StoredMessage): StoredMessage {
  return range.twins.slack.store.get(message.channel, message.ts) ?? message;
}

export async function untilPostmortem(range: Range, root: StoredMessage, patience_ms: number): Promise<void> {
  const { store } = range.twins.slack;
  await until(
    'the postmortem',
    () => store.thread(DATA_CHANNEL, root.ts).find((m) => /postmortem/i.test(m.text)),
    patience_ms,
  );
}
