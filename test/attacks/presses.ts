import type { Delivery } from '../../src/lab/slack/deliveries.ts';
import type { Json } from '../../src/lab/slack/json.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import { approvalCard, pressWhenThere, rootCard, until } from '../../src/lab/watching.ts';
import { refusalsIn, standing, type RecordedRefusal } from '../scenarios/looking-in.ts';
import { openIncident } from '../scenarios/range-for-test.ts';
import type { Company } from './company.ts';

export interface Waiting {
  readonly id: string;
  readonly root: StoredMessage;
  /** The newest card of its plan. */
  card: StoredMessage;
}

/** Two incidents about the same job, each with a plan that waits: Maya activated the first one, Lena the second. */
export async function openTwo(
  company: Company,
): Promise<{ first: Waiting; second: Waiting; activation: Delivery }> {
  const { slack } = company.twins;
  const root = await openIncident(company);
  const { incident_id: id } = await standing(company);
  await pressWhenThere(slack, 'maya', root, 'incident.activate');
  const activation = slack.deliveries.log.at(-1)!;
  const again = company.scenario.alert(Date.now()) as Record<string, unknown>;
  await company.webhook({ ...again, groupKey: '{}:{alertname="SparkApplicationFailed", job="again"}' });
  const other = await until('the second root card', () => {
    const found = rootCard(slack, DATA_CHANNEL);
    return found?.ts === root.ts ? undefined : found;
  });
  const { incident_id: other_id } = await standing(company);
  await pressWhenThere(slack, 'lena', other, 'incident.activate');
  const first = { id, root, card: await newCard(company, root) };
  return { first, second: { id: other_id, root: other, card: await newCard(company, other) }, activation };
}

/** The refusal of a write is in the ledger a moment before the incident has halted over it. */
export async function untilHalted(company: Company, id: string): Promise<void> {
  await until('the halt', async () => ((await standing(company, id)).state === 'HALTED' ? true : undefined));
}

/** What attackers press, catch, bend and send again; each through the signed ingress of the twin. */

/** Opens the review dialog of a card and waits until the server has drawn it. @returns the view's id. */
export async function openReview(company: Company, user: string, card: StoredMessage): Promise<string> {
  const actor = company.twins.slack.as(user);
  const before = new Set(actor.views().map((v) => v.view.id));
  await actor.click({ channel: card.channel, ts: card.ts, action_id: 'approval.review' });
  return until(`${user}'s review`, () => {
    const view = actor.views().find((v) => !before.has(v.view.id))?.view;
    return view?.['submit'] ? view.id : undefined;
  });
}

/** The words of the dialog on top, once it is no longer loading. */
export function dialogWords(company: Company, user: string): Promise<string> {
  const actor = company.twins.slack.as(user, { force: true });
  return until(`words in ${user}'s dialog`, () => {
    const text = JSON.stringify(actor.views().at(-1)?.view ?? {});
    return text === '{}' || text.includes('loading') ? undefined : text;
  });
}

/** The request that pressing Approve in an open dialog makes, caught before it leaves. */
export async function caughtApproval(company: Company, user: string, card: StoredMessage): Promise<Delivery> {
  const { slack } = company.twins;
  await openReview(company, user, card);
  const release = slack.deliveries.hold();
  void slack.as(user).submit();
  await until('the held request', () => (slack.deliveries.waiting > 0 ? true : undefined));
  const caught = slack.deliveries.log.at(-1);
  await release([]);
  await slack.as(user).closeView();
  if (caught === undefined) throw new Error('nothing was caught');
  return caught;
}

/** Waits for the sentence that only this person sees. */
export function toldTo(company: Company, user: string, words: string): Promise<string> {
  return until(`${user} to be told "${words}"`, () =>
    company.twins.slack.store.ephemerals
      .filter((e) => e.user === user)
      .map((e) => e.text)
      .find((text) => text.includes(words)),
  );
}

let forged = 0;

/** Sends a caught approval, properly signed, with its payload bent; each is a submit of its own for the inbox. */
export async function sendBent(
  company: Company,
  caught: Delivery,
  bend: (payload: { user: Json; view: Json }) => void,
  shift_timestamp_s = 0,
): Promise<void> {
  forged += 1;
  const hash = `bent${forged}`;
  const attempt = await company.twins.slack.deliveries.redeliver(caught, {
    shift_timestamp_s,
    edit: (payload) => {
      const parts = payload as unknown as { user: Json; view: Json };
      parts.view['hash'] = hash;
      bend(parts);
    },
  });
  if (attempt.status !== 200) throw new Error(`the bent request was answered ${attempt.status}`);
}

/** Changes fields of what the dialog carries. */
export function withMeta(change: Record<string, unknown>): (payload: { view: Json }) => void {
  return ({ view }) => {
    const meta = JSON.parse(String(view['private_metadata'])) as Record<string, unknown>;
    view['private_metadata'] = JSON.stringify({ ...meta, ...change });
  };
}

/** Plan again, pressed at once: a card that shows the button may take seconds under Slack's rate limits. */
export async function planAgain(
  company: Company,
  activation: Delivery,
  user: string,
  incident_id: string,
): Promise<void> {
  const { status } = await company.twins.slack.deliveries.redeliver(activation, {
    edit: (payload) => {
      const [action] = payload['actions'] as Record<string, unknown>[];
      const value = JSON.stringify({ v: 1, inc: incident_id, rev: 0 });
      payload['user'] = { id: user, username: user, name: user, team_id: 'T0LAB' };
      payload['actions'] = [{ ...action, action_id: 'incident.plan_again', value }];
    },
  });
  if (status !== 200) throw new Error(`plan again was answered ${status}`);
}

/** The newest card that can be decided on, once it is another one than `old`. */
export function newCard(company: Company, root: StoredMessage, old?: StoredMessage): Promise<StoredMessage> {
  return until(
    'a new approval card',
    () => {
      const card = approvalCard(company.twins.slack, DATA_CHANNEL, root.ts);
      return card !== undefined && card.ts !== old?.ts ? card : undefined;
    },
    40_000,
  );
}

/** Does something and waits for the refusal that it must leave in a chain. */
export async function refusalOf(
  company: Company,
  chain: string,
  code: string,
  act: () => Promise<unknown>,
): Promise<RecordedRefusal> {
  const before = (await refusalsIn(company, chain)).length;
  await act();
  return until(`the refusal ${code} in ${chain}`, async () =>
    (await refusalsIn(company, chain)).slice(before).find((r) => r.code === code),
  );
}
