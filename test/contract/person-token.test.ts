import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tallyDecisions } from '../../src/contract/approval.ts';
import type { ApprovalRule, Decision } from '../../src/contract/approval.ts';
import {
  DecisionStatement,
  isPersonToken,
  provesDecision,
  publicKeyOf,
  signDecision,
} from '../../src/contract/person-token.ts';

const HASH = 'a'.repeat(64);
const said: DecisionStatement = {
  v: 1,
  token_id: 'ptok_1',
  via: 'cli',
  decision: 'approve',
  incident_id: 'INC-2026-1126-001',
  approval_id: 'APR-7',
  revision: 1,
  plan_hash: HASH,
  effect_hash: HASH,
  reason: '',
  because: null,
  at: '2026-11-26T11:00:00.000Z',
  nonce: 'n'.repeat(22),
};
const token = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => `apt_${Buffer.from(bytes).toString('base64url')}`);

describe('a decision that was signed with a person’s token', () => {
  it('is proved by the public half of its token, and by no other', () => {
    fc.assert(
      fc.property(token, token, (mine, other) => {
        fc.pre(mine !== other);
        const signed = signDecision(mine, said);
        expect(isPersonToken(mine)).toBe(true);
        expect(provesDecision(signed, publicKeyOf(mine))).toBe(true);
        expect(provesDecision(signed, publicKeyOf(other))).toBe(false);
        expect(publicKeyOf(mine)).not.toContain(mine.slice(4, 20));
      }),
      { numRuns: 40 },
    );
  });

  it('proves nothing once any field of it is another one', () => {
    const text = `apt_${'x'.repeat(43)}`;
    const signed = signDecision(text, said);
    const key = publicKeyOf(text);
    const bent: Partial<DecisionStatement>[] = [
      { token_id: 'ptok_2' },
      { via: 'link' },
      { decision: 'withdraw' },
      { incident_id: 'INC-2026-1126-002' },
      { approval_id: 'APR-8' },
      { revision: 2 },
      { plan_hash: 'b'.repeat(64) },
      { effect_hash: 'b'.repeat(64) },
      { reason: 'because' },
      { because: 'other' },
      { at: '2026-11-26T11:00:00.001Z' },
      { nonce: 'm'.repeat(22) },
    ];
    expect(bent.flatMap((change) => Object.keys(change))).toEqual(
      Object.keys(said).filter((name) => name !== 'v'),
    );
    for (const change of bent)
      expect(provesDecision({ ...signed, statement: { ...said, ...change } }, key)).toBe(false);
    for (const signature of ['', 'AAAA', `${signed.signature}A`, signed.signature.slice(0, -2)])
      expect(provesDecision({ ...signed, signature }, key)).toBe(false);
  });

  it('says why when it denies', () => {
    const denial = { ...said, decision: 'deny', because: 'other', reason: 'long enough' };
    expect(DecisionStatement.safeParse(denial).success).toBe(true);
    expect(DecisionStatement.safeParse({ ...denial, reason: 'short' }).success).toBe(false);
    expect(DecisionStatement.safeParse({ ...denial, because: null }).success).toBe(false);
  });
});

describe('ways of approving under a rule', () => {
  const rule: ApprovalRule = {
    name: 'r',
    people: 2,
    roles: ['oncall'],
    distinct_roles: false,
    step_up: false,
    expires_after_s: 900,
  };
  const by = (principal: string, via: Decision['via']): Decision => ({
    principal,
    via,
    role: 'oncall',
    decision: 'approve',
    reason: '',
    at: said.at,
  });
  const satisfied = (change: Partial<ApprovalRule>, ...decisions: Decision[]) =>
    tallyDecisions({ ...rule, ...change }, decisions, new Set(), Date.parse(said.at) + 1).satisfied;

  it.each<[boolean, Partial<ApprovalRule>, Decision['via'][]]>([
    [true, {}, ['slack', 'slack']],
    [true, {}, ['slack', 'cli']],
    [true, {}, ['link', 'slack']],
    [false, {}, ['cli', 'cli']],
    [false, {}, ['cli', 'link']],
    [false, {}, ['link', 'link']],
    [true, {}, ['cli', 'link', 'slack']],
    [true, { people: 1 }, ['cli']],
    [false, { step_up: true }, ['slack', 'slack']],
    [false, { step_up: true }, ['slack', 'cli']],
    [true, { step_up: true }, ['slack', 'link']],
    [true, { step_up: true, people: 1 }, ['link']],
    [false, { step_up: true, people: 1 }, ['slack']],
    [false, { people: 3 }, ['slack', 'cli', 'link']],
  ])('%s under %j: %j', (expected, change, ways) => {
    expect(satisfied(change, ...ways.map((via, n) => by(`p${n}`, via)))).toBe(expected);
  });
});
