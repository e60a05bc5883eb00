import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { Guardrails } from '../../src/contract/guardrails.ts';
import { Settings } from '../../src/contract/settings.ts';
import { stepUpGaps } from '../../src/harness/step-up-gaps.ts';

const guardrails = Guardrails.parse(parse(readFileSync('policies/guardrails.yaml', 'utf8')));

interface Change {
  tier?: 'tier1' | 'tier2';
  service_tier?: 'tier1' | 'tier2';
  autonomy?: 'approve' | 'suggest';
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
