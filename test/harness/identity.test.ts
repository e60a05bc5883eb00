import { describe, expect, it } from 'vitest';
import type { Identity } from '../../src/contract/settings.ts';
import { rolesOf } from '../../src/contract/settings.ts';
import { requireMember, resolveAccount } from '../../src/harness/identity.ts';
import type { SlackAccount } from '../../src/harness/intake.ts';

const dan: Identity = {
  principal: 'dan',
  name: 'Dan',
  slack: [
    { workspace: 'T1', user: 'U1' },
    { workspace: 'T1', user: 'U2' },
  ],
  roles: [
    { team: 'data', env: 'prod', role: 'oncall' },
    { team: 'data', env: '*', role: 'viewer' },
  ],
};
const account = (change: Partial<SlackAccount> = {}): SlackAccount => ({
  workspace: 'T1',
  user: 'U1',
  is_bot: false,
  is_guest: false,
  is_deactivated: false,
  ...change,
});

describe('who acts', () => {
  it.each([
    ['another workspace', { workspace: 'T9' }, 'foreign-workspace'],
    ['a bot', { is_bot: true }, 'bot-account'],
    ['a deactivated account', { is_deactivated: true }, 'deactivated-account'],
    ['a guest', { is_guest: true }, 'guest-account'],
    ['an account that is not in the identity map', { user: 'U9' }, 'unknown-account'],
  ])('%s is refused', (_who, change, code) => {
    expect(resolveAccount([dan], 'T1', account(change))).toMatchObject({ allow: false, code });
  });

  it('is one person with two Slack accounts', () => {
    expect(resolveAccount([dan], 'T1', account())).toBe(dan);
    expect(resolveAccount([dan], 'T1', account({ user: 'U2' }))).toBe(dan);
  });

  it('has roles per team and environment only', () => {
    expect(rolesOf(dan, 'data', 'prod')).toEqual(['oncall', 'viewer']);
    expect(rolesOf(dan, 'data', 'staging')).toEqual(['viewer']);
    expect(rolesOf(dan, 'fraud', 'prod')).toEqual([]);
    expect(requireMember(dan, 'fraud', 'prod')).toMatchObject({ allow: false, code: 'not-a-member' });
  });
});
