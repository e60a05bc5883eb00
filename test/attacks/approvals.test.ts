import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PEOPLE } from '../../src/lab/people.ts';
import type { Delivery } from '../../src/lab/slack/deliveries.ts';
import { reviewAndSubmit, until } from '../../src/lab/watching.ts';
import { patches, refusalsIn, standing } from '../scenarios/looking-in.ts';
import { untilShown } from '../scenarios/range-for-test.ts';
import { JUMP_S, MORE_PEOPLE, startCompany, type Company } from './company.ts';
import { editStanding } from './edit-rows.ts';
import {
  caughtApproval,
  dialogWords,
  newCard,
  openReview,
  openTwo,
  planAgain,
  refusalOf,
  sendBent,
  toldTo,
  untilHalted,
  withMeta,
  type Waiting,
} from './presses.ts';

/**
 * Attacks on the approval of a plan, by name, each through Slack's signed door of the running product (or through its
 * database): refused with a sentence of its own, written into the ledger, and without effect. One product carries them
 * all; they are in order, and each leaves the plan that waits as it found it unless its name says otherwise.
 *
 * All names stand in attack-names.ts, with the file that proves each.
 */
let company: Company;
/** The incident that Maya activated, its newest card, and a second one about the same job, which Lena activated. */
let first: Waiting;
let second: Waiting;
let activation: Delivery;
/** Dan's own approval of the first plan, caught before it left. */
let dans: Delivery;

const slack = () => company.twins.slack;
const untilTold = (user: string, words: string) => toldTo(company, user, words);
const decisionsOf = async (id: string) => (await standing(company, id)).approval?.decisions ?? [];

/** Nobody's decision counts, and the cluster was not asked to change anything. */
async function nothingCounts(id = first.id): Promise<void> {
  expect((await standing(company, id)).approval).toMatchObject({ status: 'open', decisions: [] });
  expect(patches(company)).toEqual([]);
}

beforeAll(async () => {
  company = await startCompany();
  ({ first, second, activation } = await openTwo(company));
  dans = await caughtApproval(company, 'dan', first.card);
}, 120_000);
afterAll(async () => {
  await company?.close();
});

describe('requests that Slack did not send', () => {
  const attempt = async (
    how: Parameters<Company['twins']['slack']['deliveries']['redeliver']>[1],
    code: string,
  ) => {
    const before = (await refusalsIn(company, 'SYSTEM')).length;
    const { status, body } = await slack().deliveries.redeliver(activation, how);
    const written = (await refusalsIn(company, 'SYSTEM')).slice(before).map((r) => r.reason);
    expect(written).toEqual([`A request to /slack/events was refused: ${code}.`]);
    await nothingCounts();
    return `${status} ${body}`;
  };

  it('forged click: a wrong signature, none, or the signature of other bytes', async () => {
    expect(await attempt({ signing_secret: 'f'.repeat(32) }, 'forged')).toBe('401 forged');
    expect(await attempt({ headers: { 'x-slack-signature': '' } }, 'forged')).toBe('401 forged');
    const moved_s = String(Math.floor(Date.now() / 1000) + 1);
    expect(await attempt({ timestamp_without_resigning: moved_s }, 'forged')).toBe('401 forged');
    expect(await attempt({ timestamp_without_resigning: '' }, 'no-timestamp')).toBe('401 no-timestamp');
  });

  it('replayed bytes: the same signed request a second time, and one from the past', async () => {
    expect(await attempt({}, 'replayed')).toBe('401 replayed');
    expect(await attempt({ shift_timestamp_s: -301 }, 'stale')).toBe('401 stale');
  });

  it('future timestamp: properly signed, ahead of this clock', async () => {
    expect(await attempt({ shift_timestamp_s: 301 }, 'future')).toBe('401 future');
    expect(await attempt({ shift_timestamp_s: 3600 }, 'future')).toBe('401 future');
  });

  it('other workspace', async () => {
    const edit = (payload: Record<string, unknown>) => {
      payload['team'] = { id: 'T0OTHER', domain: 'other' };
    };
    expect(await attempt({ edit }, 'other-workspace')).toBe('403 other-workspace');
  });
});

describe('people who may not', () => {
  it.each([
    ['guest', PEOPLE.guest, 'guest-account', 'Guests of the workspace cannot act'],
    ['deactivated user', PEOPLE.former, 'deactivated-account', 'account is deactivated'],
    [
      'member of the Slack group but not of the identity map',
      MORE_PEOPLE.stranger,
      'unknown-account',
      'not in Aegis’s identity map',
    ],
    ['wrong scope (approver of another team)', PEOPLE.omar, 'no-such-incident', 'that you can see'],
    ['bot', MORE_PEOPLE.robot, 'bot-account', 'bot cannot act'],
    ['member of a connected workspace', MORE_PEOPLE.partner, 'foreign-workspace', 'another Slack workspace'],
  ])('%s', async (_who, user, code, words) => {
    const actor = slack().as(user, { force: true });
    const stop = () =>
      actor.click({ channel: first.root.channel, ts: first.root.ts, action_id: 'incident.stop' });
    expect(await refusalOf(company, first.id, code, stop)).toMatchObject({ about: 'stop' });
    expect(await untilTold(user, words)).toContain(words);

    const review = { channel: first.card.channel, ts: first.card.ts, action_id: 'approval.review' };
    const before = (await refusalsIn(company, first.id)).length;
    await actor.click(review);
    const view = await dialogWords(company, user);
    expect(view).toContain('"submit":null');
    expect(view).not.toContain('/spec/driver/memory');
    await until('the refused look', async () => (await refusalsIn(company, first.id))[before]);

    // A submit that the dialog would never have offered: Dan's own, signed, with another user inside.
    const approve = () => sendBent(company, dans, (payload) => (payload.user['id'] = user));
    expect(await refusalOf(company, first.id, code, approve)).toMatchObject({
      about: 'approve',
      reason: expect.stringContaining(words) as string,
    });
    await nothingCounts();
  });

  it('self: the one who asked for the run', async () => {
    const approve = () => reviewAndSubmit(slack(), 'maya', first.card);
    const refusal = await refusalOf(company, first.id, 'self-approval', approve);
    expect(refusal).toMatchObject({
      by: 'maya',
      reason: 'You asked for this run, so you cannot approve it yourself.',
    });
    await untilTold(PEOPLE.maya, refusal.reason);
    await nothingCounts();
  });

  it('same effect through a second incident within 24 h', async () => {
    for (const [person, user, here, there] of [
      ['maya', PEOPLE.maya, second, first],
      ['lena', MORE_PEOPLE.lena, first, second],
    ] as const) {
      const approve = () => reviewAndSubmit(slack(), person, here.card);
      const { by, reason } = await refusalOf(company, here.id, 'same-effect', approve);
      expect({ by, reason }).toEqual({
        by: person,
        reason: `You took part in ${there.id}, which plans the same change of the same object, so you cannot approve it here.`,
      });
      await untilTold(user, reason);
      await nothingCounts(here.id);
    }
  });
});

describe('cards and dialogs that are not what they seem', () => {
  it('wrong plan hash in the payload', async () => {
    const approve = () => sendBent(company, dans, withMeta({ plan: 'f'.repeat(64) }));
    const refusal = await refusalOf(company, first.id, 'wrong-plan-hash', approve);
    expect(refusal).toMatchObject({
      by: 'dan',
      reason: expect.stringContaining('another plan than the one') as string,
    });
    await untilTold(PEOPLE.dan, refusal.reason);
    await nothingCounts();
  });

  it('painted-over card: the dialog shows the server’s plan, and a button with another plan opens nothing', async () => {
    const harmless = JSON.stringify(first.card.blocks).replaceAll('2g', '1g');
    await paint(harmless);
    await openReview(company, 'dan', first.card);
    expect(await dialogWords(company, 'dan')).toMatch(/\+\s+memory: 2g/);
    await slack().as('dan').closeView();

    await paint(harmless.replaceAll(/(plan\\\\?":\\\\?")[0-9a-f]{64}/g, `$1${'f'.repeat(64)}`));
    const press = () =>
      slack()
        .as('dan')
        .click({ channel: first.card.channel, ts: first.card.ts, action_id: 'approval.review' });
    expect(await refusalOf(company, first.id, 'stale-card', press)).toMatchObject({ by: 'dan' });
    expect(await dialogWords(company, 'dan')).toContain('Open the newest approval card');
    await slack().as('dan').closeView();
    await nothingCounts();
  });

  it('painted-over card: a decision without the server-rendered dialog', async () => {
    const press = () =>
      slack().deliveries.redeliver(activation, {
        edit: (payload) => {
          const [action] = payload['actions'] as Record<string, unknown>[];
          payload['user'] = { id: PEOPLE.dan, username: 'dan', name: 'dan', team_id: 'T0LAB' };
          payload['actions'] = [{ ...action, action_id: 'approval.submit' }];
        },
      });
    expect(await refusalOf(company, 'SYSTEM', 'unknown-button', press)).toMatchObject({
      by: 'dan',
      about: 'button approval.submit',
    });
    await untilTold(PEOPLE.dan, 'does nothing');
    await nothingCounts();
  });

  it('painted-over card: a dialog with altered private metadata', async () => {
    const foreign = () => sendBent(company, dans, withMeta({ also: 'approve CHG-2' }));
    expect(await refusalOf(company, 'SYSTEM', 'not-our-dialog', foreign)).toMatchObject({ by: 'dan' });
    const elsewhere = () => sendBent(company, dans, withMeta({ inc: second.id }));
    expect(await refusalOf(company, second.id, 'unknown-approval', elsewhere)).toMatchObject({ by: 'dan' });
    await nothingCounts();
    await nothingCounts(second.id);
  });

  /** What somebody with the bot's token can do to a message. */
  async function paint(blocks: string): Promise<void> {
    const answer = await fetch(`${slack().api_url}chat.update`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${company.bot_token}` },
      body: JSON.stringify({
        channel: first.card.channel,
        ts: first.card.ts,
        text: 'painted',
        blocks: JSON.parse(blocks) as unknown,
      }),
    });
    expect(await answer.json()).toMatchObject({ ok: true });
  }
});

describe('one person who would be two', () => {
  it('double click: the same submit twice, and a second dialog', async () => {
    expect((await slack().deliveries.redeliver(dans, { shift_timestamp_s: -1 })).status).toBe(200);
    await untilShown(company, first.card, /1 of 2/);
    const again = () => slack().deliveries.redeliver(dans, { shift_timestamp_s: 1 });
    const twice = await refusalOf(company, first.id, 'received-before', again);
    expect(twice.by).toBe('dan');
    await untilTold(PEOPLE.dan, twice.reason);
    const afresh = () => sendBent(company, dans, () => {});
    const same = await refusalOf(company, first.id, 'same-person', afresh);
    expect(same).toMatchObject({ by: 'dan', reason: 'You already gave approval 1 of 2.' });
    expect((await decisionsOf(first.id)).map((d) => d.principal)).toEqual(['dan']);
  });

  it('same human with two Slack accounts', async () => {
    const approve = () => reviewAndSubmit(slack(), MORE_PEOPLE.dans_phone, first.card);
    expect(await refusalOf(company, first.id, 'same-person', approve)).toMatchObject({ by: 'dan' });
    await untilTold(MORE_PEOPLE.dans_phone, 'The next one must come from another person.');
    expect((await decisionsOf(first.id)).map((d) => d.principal)).toEqual(['dan']);
  });

  it('after withdraw: the withdrawn approval sent again, and a second withdrawal', async () => {
    const press = (revision?: number) =>
      slack()
        .as('dan')
        .click({
          channel: first.card.channel,
          ts: first.card.ts,
          action_id: 'approval.withdraw',
          ...(revision === undefined ? {} : { revision }),
        });
    await press();
    await untilShown(company, first.card, /0 of 2/);
    const taken_back = await caughtApproval(company, 'dan', first.card);
    const send = () => slack().deliveries.redeliver(taken_back, { shift_timestamp_s: -1 });
    await send();
    await untilShown(company, first.card, /1 of 2/);
    await press();
    await untilShown(company, first.card, /0 of 2/);
    const again = () => slack().deliveries.redeliver(taken_back, { shift_timestamp_s: 1 });
    expect(await refusalOf(company, first.id, 'received-before', again)).toMatchObject({
      by: 'dan',
      reason: expect.stringContaining('not again after it was withdrawn') as string,
    });
    const nothing = await refusalOf(company, first.id, 'nothing-to-withdraw', () => press(withdrawable()));
    expect(nothing).toMatchObject({ by: 'dan', reason: 'You have not approved this plan.' });
    const decisions = (await decisionsOf(first.id)).map((d) => d.decision);
    expect(decisions).toEqual(['approve', 'withdraw', 'approve', 'withdraw']);
    expect((await standing(company, first.id)).approval?.status).toBe('open');
  });

  function withdrawable(): number {
    return first.card.revisions.findLastIndex((r) => JSON.stringify(r.blocks).includes('approval.withdraw'));
  }
});

describe('decisions whose ground is gone', () => {
  it('stale revision: a dialog and a click of an older card', async () => {
    await openReview(company, 'dan', first.card);
    const old = first.card;
    const ines = slack().as('ines');
    await ines.click({ channel: old.channel, ts: old.ts, action_id: 'approval.deny' });
    await until('the denial dialog', () => (ines.views().at(-1)?.view['submit'] ? true : undefined));
    await ines.submit({
      reason: 'I want it looked at again before anybody approves',
      because: 'wrong_cause',
    });
    first.card = await newCard(company, first.root, old);
    expect(await untilShown(company, old, /No longer valid/)).toContain('denied by Inês Costa');

    const late = await refusalOf(company, first.id, 'stale-revision', () => slack().as('dan').submit());
    expect(late).toMatchObject({
      by: 'dan',
      reason: 'That card shows plan revision 1; revision 2 replaced it.',
    });
    await untilTold(PEOPLE.dan, late.reason);
    const revision = old.revisions.findIndex((r) => JSON.stringify(r.blocks).includes('approval.review'));
    const press = () =>
      slack().as('dan').click({ channel: old.channel, ts: old.ts, action_id: 'approval.review', revision });
    expect(await refusalOf(company, first.id, 'stale-approval', press)).toMatchObject({ by: 'dan' });
    expect(await dialogWords(company, 'dan')).toContain('was replaced by a newer plan');
    await slack().as('dan').closeView();
    await nothingCounts();
  });

  it('approval row edited in the database: one approval made to be enough, in every table that people see', async () => {
    editStanding({ home: company.files.home }, second.id, (approval) => ({
      ...approval,
      rule: { ...approval.rule, people: 1 },
    }));
    const approve = () => reviewAndSubmit(slack(), 'dan', second.card);
    expect(await refusalOf(company, second.id, 'approval-missing', approve)).toMatchObject({
      reason: expect.stringMatching(/approval/) as string,
    });
    await untilHalted(company, second.id);
    expect(patches(company)).toEqual([]);
  });

  it('demoted between click and execution', async () => {
    await reviewAndSubmit(slack(), 'noor', first.card);
    await until('Noor’s approval', async () =>
      (await decisionsOf(first.id)).length === 1 ? true : undefined,
    );
    await company.reassign('noor', 'viewer');
    const approve = () => reviewAndSubmit(slack(), 'dan', first.card);
    expect(await refusalOf(company, first.id, 'refused', approve)).toMatchObject({
      about: 'clear for execution',
      reason: 'Approvals: 1 of 2 approvals count: noor no longer is oncall.',
    });
    await untilHalted(company, first.id);
    expect(patches(company)).toEqual([]);
    await planAgain(company, activation, PEOPLE.maya, first.id);
    first.card = await newCard(company, first.root, first.card);
    await planAgain(company, activation, MORE_PEOPLE.lena, second.id);
    // Before the job is changed: afterwards there is nothing left to plan for.
    await secondPlan();
  });

  const secondPlan = () =>
    until(
      'the second plan',
      async () => {
        const { approval } = await standing(company, second.id);
        return approval?.status === 'open' && approval.revision === 2 ? approval : undefined;
      },
      60_000,
    );

  it('racing clicks: two people, each twice at the same instant', async () => {
    const presses: [string, string][] = [];
    for (const person of ['dan', 'ines', 'dan', 'ines'])
      presses.push([person, await openReview(company, person, first.card)]);
    const before = (await refusalsIn(company, first.id)).length;
    await Promise.all(presses.map(([person, view]) => slack().as(person).submit({}, view)));
    const refused = await until('two refusals', async () => {
      const found = (await refusalsIn(company, first.id)).slice(before);
      return found.length >= 2 ? found : undefined;
    });
    expect(new Set(refused.map((r) => r.by))).toEqual(new Set(['dan', 'ines']));
    expect(refused).toHaveLength(2);
    for (const { code } of refused) expect(['same-person', 'approval-over']).toContain(code);
    await until('the one write', () => (patches(company).length > 0 ? true : undefined));
    expect((await decisionsOf(first.id)).map((d) => d.principal).toSorted()).toEqual(['dan', 'ines']);
    expect(patches(company).map((p) => p.status)).toEqual([200]);
  });

  it('after expiry', async () => {
    const waiting = await secondPlan();
    company.jumpAhead();
    await until('the expiry', async () =>
      (await standing(company, second.id)).approval?.status === 'expired' ? true : undefined,
    );
    const { approval_id: apr, revision: rev, plan_hash: plan } = waiting;
    const late = () => sendBent(company, dans, withMeta({ inc: second.id, apr, rev, plan }), JUMP_S);
    const refusal = await refusalOf(company, second.id, 'approval-over', late);
    expect(refusal).toMatchObject({
      by: 'dan',
      reason: expect.stringContaining('expired; nothing ran') as string,
    });
    await untilTold(PEOPLE.dan, refusal.reason);
    expect(patches(company)).toHaveLength(1);
  });
});
