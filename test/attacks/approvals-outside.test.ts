import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decide } from '../../src/cli/decide.ts';
import { token as tokenVerb } from '../../src/cli/token.ts';
import type { Approval } from '../../src/contract/approval.ts';
import { publicKeyOf, signDecision, type DecisionStatement } from '../../src/contract/person-token.ts';
import { createSignedIntake } from '../../src/harness/intake.ts';
import { DATA_CHANNEL, PEOPLE, TEAM_ID } from '../../src/lab/people.ts';
import type { Delivery } from '../../src/lab/slack/deliveries.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { pressWhenThere, reviewAndSubmit, until } from '../../src/lab/watching.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { systemClock } from '../../src/system-ports.ts';
import { mintedFor, revokeToken, withPersonToken } from '../cli/person.ts';
import { aegis, inProcess, json, type Ran } from '../cli/run-aegis.ts';
import { patches, refusalsIn, standing } from '../scenarios/looking-in.ts';
import { openIncident, untilShown } from '../scenarios/range-for-test.ts';
import { startCompany, type Company } from './company.ts';
import { forgeInboxRow, forgePersonToken, involve, unrevoke } from './edit-rows.ts';
import { newCard, planAgain, refusalOf, untilHalted } from './presses.ts';

/**
 * Attacks on decisions from outside Slack: on the command line, with persons' tokens, by somebody with the database file,
 * and over the step-up page; then involvement in roles that no scenario of the range brings about by itself. Each is
 * refused with a sentence of its own, is a ledger entry, and leaves the plan that waits as it found it.
 */
let company: Company;
let first: { id: string; root: StoredMessage; card: StoredMessage };
let activation: Delivery;
let dan: { token: string; token_id: string };
let ines: { token: string; token_id: string };

const config = () => company.files.config;
const place = () => ({ home: company.files.home });
const slack = () => company.twins.slack;
const approvalOf = async (id = first.id): Promise<Approval> => {
  const { approval } = await standing(company, id);
  if (approval === null) throw new Error(`${id} has no approval`);
  return approval;
};
const counted = async (id = first.id) =>
  (await approvalOf(id)).decisions.map((d) => `${d.principal} ${d.decision} ${d.via}`);

/** `aegis approve` at a terminal of the company, with this token in the environment. */
async function atTerminal(
  text: string,
  verb: DecisionStatement['decision'] = 'approve',
  more: Record<string, string> = {},
): Promise<Ran> {
  const { approval_id, plan_hash } = await approvalOf();
  return withPersonToken(text, () =>
    decide({ config: config(), json: true }, verb, approval_id, { planHash: plan_hash, wait: '60', ...more }),
  );
}

async function withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ home: company.files.home, clock: systemClock });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** What Dan would sign now; attackers bend it. */
async function statement(change: Partial<DecisionStatement> = {}): Promise<DecisionStatement> {
  const { approval_id, incident_id, revision, plan_hash, effect_hash } = await approvalOf();
  return {
    v: 1,
    token_id: dan.token_id,
    via: 'cli',
    decision: 'approve',
    approval_id,
    incident_id,
    revision,
    plan_hash,
    effect_hash,
    reason: '',
    because: null,
    at: new Date().toISOString(),
    nonce: randomBytes(16).toString('base64url'),
    ...change,
  };
}

beforeAll(async () => {
  company = await startCompany();
  const root = await openIncident(company);
  const { incident_id: id } = await standing(company);
  await pressWhenThere(slack(), 'maya', root, 'incident.activate');
  activation = slack().deliveries.log.at(-1)!;
  first = { id, root, card: await newCard(company, root) };
  dan = await mintedFor(config(), 'dan');
  ines = await mintedFor(config(), 'ines');
}, 120_000);
afterAll(async () => {
  await company?.close();
});

describe('two hats on the CLI', () => {
  it('two hats on the CLI: one person, in Slack and at the terminal', async () => {
    await reviewAndSubmit(slack(), 'dan', first.card);
    await untilShown(company, first.card, /1 of 2/);
    let ran: Ran | null = null;
    const refusal = await refusalOf(company, first.id, 'same-person', async () => {
      ran = await atTerminal(dan.token);
    });
    expect(refusal).toMatchObject({ by: 'dan', reason: 'You already gave approval 1 of 2.' });
    expect(ran).toMatchObject({ code: 1, err: expect.stringContaining('You already gave approval 1 of 2') });
    expect(json(await atTerminal(dan.token, 'withdraw'))).toMatchObject({
      counted: true,
      approvals_given: 0,
    });
    expect(await counted()).toEqual(['dan approve slack', 'dan withdraw cli']);
  });

  it('two hats on the CLI: two tokens of two people from one terminal', async () => {
    const ran = await atTerminal(dan.token);
    expect(json(ran)).toMatchObject({ by: 'dan', via: 'cli', counted: true, approvals_given: 1, people: 2 });
    let second: Ran | null = null;
    const refusal = await refusalOf(company, first.id, 'two-hats', async () => {
      second = await atTerminal(ines.token);
    });
    expect(refusal).toMatchObject({
      by: 'ines',
      reason: expect.stringContaining('dan already approved outside Slack') as string,
    });
    expect(second).toMatchObject({ code: 1, err: expect.stringContaining('Give this approval in Slack') });
    expect(await untilShown(company, first.card, /1 of 2/)).toContain('command line');
    expect((await atTerminal(dan.token, 'withdraw')).code).toBe(0);
  });

  it('two hats on the CLI: the one who asked for the run, with a token of her own', async () => {
    const maya = await mintedFor(config(), 'maya');
    const refusal = await refusalOf(company, first.id, 'self-approval', () => atTerminal(maya.token));
    expect(refusal.by).toBe('maya');
  });

  it('wrong plan hash at the terminal, or nobody who could type it: nothing is written down', async () => {
    const before = await counted();
    const other = await atTerminal(dan.token, 'approve', { planHash: 'f'.repeat(12) });
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining('is for another plan') });
    const { approval_id } = await approvalOf();
    const args = ['--config', config(), 'approve', approval_id];
    const piped = await aegis(args, { env: { AEGIS_PERSON_TOKEN: dan.token } });
    expect(piped).toMatchObject({ code: 2, err: expect.stringContaining('--plan-hash') });
    expect(piped.out).toMatch(/\+\s+memory: 2g[^]*Rollback: [^]*Plan sha256:[0-9a-f]{64}/);
    expect(await counted()).toEqual(before);
  });
});

describe('tokens that do not count', () => {
  const refusedHere = async (text: string, code: string) => {
    const before = await counted();
    const refusal = await refusalOf(company, 'SYSTEM', code, async () => {
      expect((await atTerminal(text)).code).toBe(1);
    });
    expect(await counted()).toEqual(before);
    return refusal;
  };

  it('expired person token', async () => {
    const text = `apt_${randomBytes(32).toString('base64url')}`;
    const now = Date.now();
    const grant = { token_id: 'ptok_old', principal: 'dan', public_key: publicKeyOf(text) };
    await withStore((store) =>
      store.persons.mint({ ...grant, minted_at_ms: now - 10, expires_at_ms: now }, text, 'cli:test'),
    );
    await refusedHere(text, 'token-expired');
  });

  it('revoked person token, also when its row says that nobody revoked it', async () => {
    const gone = await mintedFor(config(), 'dan');
    await revokeToken(config(), gone.token_id);
    await refusedHere(gone.token, 'token-revoked');
    unrevoke(place(), gone.token_id);
    await refusedHere(gone.token, 'token-revoked');
  });

  it('person token made up by somebody with the database file', async () => {
    const text = `apt_${randomBytes(32).toString('base64url')}`;
    const now = Date.now();
    const grant = { token_id: 'ptok_forged', principal: 'dan', public_key: publicKeyOf(text) };
    const before = await counted();
    forgePersonToken(place(), { ...grant, minted_at_ms: now, expires_at_ms: now + 60_000 }, text);
    await refusedHere(text, 'token-forged');
    const signed = signDecision(text, await statement({ token_id: 'ptok_forged' }));
    await refusalOf(company, 'SYSTEM', 'token-forged', () =>
      withStore((store) => createSignedIntake(store.inbox, () => undefined).put(signed)),
    );
    expect(await counted()).toEqual(before);
  });

  it('gateway token at the command line, and a guess', async () => {
    const reader = await inProcess(() =>
      tokenVerb({ config: config(), json: true }, 'mint', undefined, {
        principal: 'agent',
        scope: 'data/prod',
        class: 'read',
        ttl: '1h',
      }),
    );
    const refusal = await refusedHere(String(json(reader)['token']), 'gateway-token');
    expect(refusal.reason).toContain('decides nothing');
    await refusedHere(`apt_${'x'.repeat(43)}`, 'token-unknown');
    await refusedHere('dan', 'token-unknown');
  });

  it('person token at the gateway’s door', async () => {
    const knock = async () => {
      const answer = await fetch(`${company.url}/mcp`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${dan.token}`,
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
      });
      expect([answer.status, await answer.text()]).toEqual([
        401,
        expect.stringContaining('opens nothing at the gateway'),
      ]);
    };
    expect((await refusalOf(company, 'SYSTEM', 'http-401', knock)).about).toBe('POST /mcp');
  });

  it('person token revoked after the decision was written down and before it is taken in', async () => {
    const lost = await mintedFor(config(), 'dan');
    const before = await counted();
    await company.product().stop();
    const ran = await atTerminal(lost.token, 'approve', { wait: '0' });
    expect(ran).toMatchObject({ code: 1, err: expect.stringContaining('is it running?') });
    await revokeToken(config(), lost.token_id);
    await refusalOf(company, 'SYSTEM', 'token-revoked', () => company.restart());
    expect(await counted()).toEqual(before);
  });
});

describe('inbox row forged', () => {
  it('inbox row forged by somebody with the database file: a click, a decision, a ready-made event', async () => {
    const before = await counted();
    const { approval_id, incident_id, revision, plan_hash } = await approvalOf();
    const account = {
      workspace: TEAM_ID,
      user: PEOPLE.dan,
      is_bot: false,
      is_guest: false,
      is_deactivated: false,
    };
    const origin = { account, channel: DATA_CHANNEL, thread_ts: null };
    const about = { approval_id, incident_id, revision, plan_hash };
    const click = { act: 'approve', origin, ...about };
    const decided = { decision: 'approve', via: 'slack', role: 'oncall', reason: '', because: null };
    const event = { type: 'decided', at: new Date().toISOString(), by: 'dan', ...about, ...decided };
    const garbage = { statement: await statement(), signature: 'AAAA' };
    delete (event as Record<string, unknown>)['incident_id'];
    const rows: [string, unknown][] = [
      ['person', click],
      ['event', event],
      ['signed', garbage],
    ];
    for (const [kind, payload] of rows)
      for (const mac of [null, 'f'.repeat(64)])
        await refusalOf(company, 'SYSTEM', 'forged-row', async () =>
          forgeInboxRow(
            place(),
            { dedup_key: `forged:${kind}:${mac}`, source: 'slack', incident_id, kind, payload },
            mac,
          ),
        );
    expect(await counted()).toEqual(before);
  });

  it('inbox row forged by somebody with a shell and all keys, but without the token', async () => {
    const before = await counted();
    const put = (payload: Record<string, unknown>, kind = 'signed', dedup_key = `shell:${Math.random()}`) =>
      withStore((store) =>
        store.inbox.append({ source: 'cli', dedup_key, incident_id: first.id, kind, payload }),
      );
    const foreign = signDecision(ines.token, await statement());
    await refusalOf(company, 'SYSTEM', 'forged-decision', () => put({ ...foreign }));
    const bent = signDecision(dan.token, await statement({ decision: 'withdraw' }));
    const approve = { ...bent, statement: { ...bent.statement, decision: 'approve' } };
    await refusalOf(company, 'SYSTEM', 'forged-decision', () => put(approve));
    await refusalOf(company, 'SYSTEM', 'not-a-decision', () => put({ approve: true }));
    const { approval_id, revision, plan_hash } = await approvalOf();
    const at = new Date().toISOString();
    const said = { decision: 'approve', via: 'cli', role: 'oncall', reason: '', because: null };
    const event = { type: 'decided', at, by: 'dan', approval_id, revision, plan_hash, ...said };
    await refusalOf(company, 'SYSTEM', 'forged-row', () => put(event, 'event'));
    expect(await counted()).toEqual(before);
  });

  it('a signed decision put in again, after it was withdrawn, under another key, or hours later', async () => {
    const signed = signDecision(dan.token, await statement());
    await withStore((store) => createSignedIntake(store.inbox, () => undefined).put(signed));
    await until('the approval', async () => ((await approvalOf()).decisions.length > 4 ? true : undefined));
    expect((await atTerminal(dan.token, 'withdraw')).code).toBe(0);
    const before = await counted();
    const again = (payload: Record<string, unknown>) => () =>
      withStore((store) =>
        store.inbox.append({
          source: 'cli',
          dedup_key: `again:${Math.random()}`,
          incident_id: first.id,
          kind: 'signed',
          payload,
        }),
      );
    await refusalOf(company, first.id, 'received-before', again({ ...signed }));
    const old = signDecision(
      dan.token,
      await statement({ at: new Date(Date.now() - 3_600_000).toISOString() }),
    );
    await refusalOf(company, first.id, 'received-before', () =>
      withStore((store) => createSignedIntake(store.inbox, () => undefined).put(old)),
    );
    const other = signDecision(dan.token, await statement({ effect_hash: 'f'.repeat(64) }));
    await refusalOf(company, first.id, 'wrong-effect-hash', () =>
      withStore((store) => createSignedIntake(store.inbox, () => undefined).put(other)),
    );
    expect(await counted()).toEqual(before);
  });
});

describe('self, in the other roles', () => {
  it.each([
    ['starter', 'You started this incident, so you cannot approve it yourself.'],
    ['author', 'You wrote the change that it undoes, so you cannot approve it yourself.'],
  ] as const)('self: the %s, through Slack and at the terminal', async (role, reason) => {
    const undo = involve(place(), first.id, 'dan', role);
    const press = () => reviewAndSubmit(slack(), 'dan', first.card);
    expect(await refusalOf(company, first.id, 'self-approval', press)).toMatchObject({ by: 'dan', reason });
    const type = () => atTerminal(dan.token);
    expect(await refusalOf(company, first.id, 'self-approval', type)).toMatchObject({ by: 'dan', reason });
    undo();
  });
});

describe('stolen person token', () => {
  it('stolen person token: an approval given with it does not count once it is revoked', async () => {
    const stolen = await mintedFor(config(), 'dan');
    expect((await atTerminal(stolen.token)).code).toBe(0);
    await revokeToken(config(), stolen.token_id);
    const approve = () => reviewAndSubmit(slack(), 'ines', first.card);
    expect(await refusalOf(company, first.id, 'refused', approve)).toMatchObject({
      reason: 'Approvals: 1 of 2 approvals count: the token that dan used was revoked.',
    });
    await untilHalted(company, first.id);
    expect(patches(company)).toEqual([]);
    await planAgain(company, activation, PEOPLE.maya, first.id);
    first.card = await newCard(company, first.root, first.card);
  });

  it('and with a token that is in force, one approval of two may come from the terminal', async () => {
    const before = (await refusalsIn(company, first.id)).length;
    expect(json(await atTerminal(dan.token))).toMatchObject({ counted: true, approvals_given: 1 });
    await reviewAndSubmit(slack(), 'ines', first.card);
    await until('the one write', () => (patches(company).length > 0 ? true : undefined));
    expect(patches(company).map((p) => p.status)).toEqual([200]);
    expect(await refusalsIn(company, first.id)).toHaveLength(before);
  });
});
