import { existsSync, rmSync } from 'node:fs';
import type { ProductCommand } from '../../src/lab/product.ts';
import { startRange } from '../../src/lab/range.ts';
import type { Range } from '../../src/lab/range.ts';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Scenario } from '../../src/lab/scenarios/scenario.ts';
import { sparkDriverOom } from '../../src/lab/scenarios/spark-driver-oom.ts';
import { approvalCard, pressWhenThere, reviewAndSubmit, rootCard, until } from '../../src/lab/watching.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { BUILT_ENTRY } from '../built-product.ts';

export const PRODUCT: ProductCommand = {
  command: process.execPath,
  args: [BUILT_ENTRY],
};

/** A range whose files are gone after `close`. */
export async function startStory(
  options: Parameters<typeof startRange>[2] = {},
  scenario: Scenario = sparkDriverOom,
): Promise<Range> {
  const range = await startRange(scenario, PRODUCT, options);
  return {
    ...range,
    async close() {
      await range.close();
      rmSync(range.files.dir, { recursive: true, force: true });
    },
  };
}

/** Posts the alert and waits for the root card. */
export async function openIncident(range: Range): Promise<StoredMessage> {
  const posted = await range.webhook(range.scenario.alert(Date.now()));
  if (posted.status !== 200) throw new Error(`webhook: ${posted.status} ${posted.body}`);
  return until('the root card', () => rootCard(range.twins.slack, DATA_CHANNEL));
}

/** From the alert to an approval card. */
export async function planIncident(range: Range): Promise<{ root: StoredMessage; card: StoredMessage }> {
  const root = await openIncident(range);
  await pressWhenThere(range.twins.slack, 'maya', root, 'incident.activate');
  const card = await until(
    'the approval card',
    () => approvalCard(range.twins.slack, DATA_CHANNEL, root.ts),
    40_000,
  );
  return { root, card };
}

export async function approveByTwo(range: Range, card: StoredMessage): Promise<void> {
  await reviewAndSubmit(range.twins.slack, 'dan', card);
  await reviewAndSubmit(range.twins.slack, 'ines', card);
}

/** What a person reads on a message now. */
export function shown(range: Range, message: StoredMessage): string {
  return range.twins.slack.plainText(range.twins.slack.store.get(message.channel, message.ts) ?? message);
}

export function untilShown(
  range: Range,
  message: StoredMessage,
  pattern: RegExp,
  patience_ms = 40_000,
): Promise<string> {
  return until(
    `the card to show ${String(pattern)}`,
    () => {
      const text = shown(range, message);
      return pattern.test(text) ? text : undefined;
    },
    patience_ms,
  );
}

/** Whole text of a thread. */
export function threadText(range: Range, root: StoredMessage): string {
  return range.twins.slack.store
    .thread(root.channel, root.ts)
    .map((m) => range.twins.slack.plainText(m))
    .join('\n');
}

/** The thread and its root card are two messages: what is in one may not be in the other yet. */
export function untilThread(
  range: Range,
  root: StoredMessage,
  pattern: RegExp,
  patience_ms = 40_000,
): Promise<string> {
  return until(
    `the thread to say ${String(pattern)}`,
    () => {
      const text = threadText(range, root);
      return pattern.test(text) ? text : undefined;
    },
    patience_ms,
  );
}

export function hasBinary(path: string): boolean {
  return existsSync(path);
}
