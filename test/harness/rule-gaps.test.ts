import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { Guardrails } from '../../src/contract/guardrails.ts';
import { Settings } from '../../src/contract/settings.ts';
import { limitedGaps, stepUpGaps } from '../../src/harness/rule-gaps.ts';

const guardrails = Guardrails.parse(parse(readFileSync('policies/guardrails.yaml', 'utf8')));

interface Change {
  tier?: 'tier1' | 'tier2' | 'tier3';
  service_tier?: 'tier1' | 'tier2' | 'tier3';
  autonomy?: 'approve' | 'suggest' | 'limited';
  public_url?: string;
}

function settings({
  tier = 'tier2',
  service_tier = 'tier2',
  autonomy = 'approve',
  public_url,
}: Change): Settings {
  const base = Settings.parse(parse(EXAMPLE_CONFIG));
  const prod = base.teams['data']?.environments['prod'];
  if (prod === undefined) throw new Error('the example has no data/prod');
  return {
    ...base,
    http: { ...base.http, public_url },
    teams: { data: { environments: { prod: { ...prod, tier, autonomy } } } },
    services: base.services.map((service) => ({ ...service, tier: service_tier })),
  };
}

describe('a step-up that nobody could give', () => {
  it.each<[string, Change, string[]]>([
    ['the top tier without an address', { tier: 'tier1' }, ['data/prod']],
    ['a service of the top tier', { service_tier: 'tier1' }, ['data/prod']],
    ['an address', { tier: 'tier1', public_url: 'https://aegis.example.com' }, []],
    ['a lower tier', {}, []],
    ['an environment where nothing is executed', { tier: 'tier1', autonomy: 'suggest' }, []],
  ])('%s', (_what, change, gaps) => {
    expect(stepUpGaps(settings(change), guardrails)).toEqual(gaps);
  });

  it('as shipped only production of tier1 asks for it, with two people', () => {
    const rows = guardrails.approval.filter(({ rule }) => rule.step_up);
    expect(rows).toMatchObject([{ when: { env: ['prod'], tier: ['tier1'] }, rule: { people: 2 } }]);
  });
});

describe('autonomy that no rule makes use of', () => {
  it.each<[string, Change, string[]]>([
    ['limited where every rule asks people', { autonomy: 'limited' }, ['data/prod']],
    ['limited in the lowest tier', { autonomy: 'limited', tier: 'tier3' }, []],
    ['limited with a service of the lowest tier', { autonomy: 'limited', service_tier: 'tier3' }, []],
    ['approve asks people by its name', { autonomy: 'approve' }, []],
  ])('%s', (_name, change, gaps) => expect(limitedGaps(settings(change), guardrails)).toEqual(gaps));

  it('the bounds in the README are those that are shipped', () => {
    const [, snippet] = /^```yaml guardrails\n([^]*?)^```$/m.exec(readFileSync('README.md', 'utf8')) ?? [];
    expect(parse(snippet ?? '')).toEqual({ limited: guardrails.limited });
  });

  it('rows that ask nobody need bounds, and neither step-up nor distinct roles', () => {
    const { limited: _gone, ...unbounded } = guardrails;
    expect(Guardrails.safeParse(unbounded).error?.issues[0]?.path).toEqual(['limited']);
    const row = guardrails.approval.find(({ rule }) => rule.people === 0);
    for (const change of [{ step_up: true }, { distinct_roles: true }, { roles: [] }])
      expect(
        Guardrails.safeParse({ ...guardrails, approval: [{ ...row, rule: { ...row?.rule, ...change } }] })
          .success,
      ).toBe(false);
  });
});
