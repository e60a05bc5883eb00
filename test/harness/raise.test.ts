import { describe, expect, it } from 'vitest';
import { Settings } from '../../src/contract/settings.ts';
import type { Score } from '../../src/contract/shadow.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { ladderView, underLadder } from '../../src/harness/shadow/ladder-facts.ts';
import { voteRaise } from '../../src/harness/shadow/raise.ts';
import { INC, step } from '../store/samples.ts';
import { sqlitePlace, useBench } from '../store/store-place.ts';
import { incidentContext } from './fixtures.ts';
import { score } from './shadow-samples.ts';

/** The way up again, over a real store: earned, then decided by two people of the team, never above aegis.yaml. */
const settings = Settings.parse({
  v: 1,
  slack: {
    workspace: 'T0LAB',
    bot_token: { env: 'X' },
    signing_secret: { env: 'Y' },
    fallback_channel: 'C0DATA',
  },
  teams: { data: { environments: { prod: { tier: 'tier2', autonomy: 'approve', channel: 'C0DATA' } } } },
  identity: ['dan', 'ines', 'omar'].map((principal) => ({
    principal,
    name: principal,
    slack: [],
    roles: [{ team: principal === 'omar' ? 'fraud' : 'data', env: 'prod', role: 'oncall' }],
  })),
});
const person = (name: string) => settings.identity.find((i) => i.principal === name) as never;
const PLACE = 'data/prod/settlement-api';

describe('the way up again', () => {
  const bench = useBench(sqlitePlace);
  const deps = () => ({ store: bench.store, settings });
  const put = async (list: readonly Score[]) => {
    for (const each of list) {
      const at_step = (await bench.store.incidents.get(INC))?.step ?? 0;
      const scored = { ...each, incident_id: INC, step: at_step + 1 };
      await bench.store.step.commit(step(at_step, { scores: [scored] }));
    }
  };
  const vote = async (name: string, place = PLACE) => {
    const answer = await voteRaise(deps(), person(name), place);
    return isRefusal(answer) ? answer.code : answer;
  };
  const opened = async () =>
    (
      await underLadder(
        deps(),
        incidentContext({ scope: { ...incidentContext().scope, service: 'settlement-api' } }),
      )
    ).autonomy;

  it('an incident opens with what aegis.yaml allows until something went wrong', async () => {
    expect(await opened()).toBe('approve');
    await put([score(1, { kind: 'run', verdict: 'failed', autonomy: 'approve' })]);
    expect(await opened()).toBe('suggest');
    await bench.restart();
    expect(await opened()).toBe('suggest');
    // Another service of the same environment is another place.
    expect((await underLadder(deps(), incidentContext())).autonomy).toBe('approve');
  });

  it('gives a shadowed incident the terms of its observation, and others none', async () => {
    const suggest = { ...settings, shadow: { ...settings.shadow, quiet_s: 7, watch_h: 2 } };
    const low = await underLadder(
      { store: bench.store, settings: suggest },
      incidentContext({ autonomy: 'suggest' }),
    );
    expect(low.shadow).toEqual({ quiet_s: 7, watch_s: 7200 });
    expect((await underLadder(deps(), incidentContext())).shadow).toBeUndefined();
    const { data } = suggest.teams;
    const prod = data?.environments['prod'];
    const own = (name: string) => ({ system: 'git' as const, name, namespaces: [] });
    const systems = [own('infra'), { ...own('orders'), system: 'pg' as const }, own('apps'), own('infra')];
    const owning = { ...suggest.teams, data: { environments: { prod: { ...prod, systems } } } };
    const watched = await underLadder(
      { store: bench.store, settings: { ...suggest, teams: owning as typeof suggest.teams } },
      incidentContext({ autonomy: 'suggest' }),
    );
    expect(watched.shadow).toEqual({ quiet_s: 7, watch_s: 7200, repositories: ['apps', 'infra'] });
  });

  it('refuses what has not been earned, with the figures', async () => {
    await put([score(1, { kind: 'run', verdict: 'failed', autonomy: 'approve' }), score(2)]);
    expect(await vote('dan')).toBe('not-earned');
    const found = await ladderView(deps(), { team: 'data', env: 'prod', service: 'settlement-api' });
    expect(found?.line).toContain('For approve: 1 of 20 scored incidents');
  });

  it('takes two distinct people of the team, and only they hear that the place exists', async () => {
    const later = Array.from({ length: 20 }, (_, n) => score(n + 2));
    await put([score(1, { kind: 'run', verdict: 'failed', autonomy: 'approve' }), ...later]);
    expect(await vote('omar')).toBe('no-such-place');
    expect(await vote('dan', 'data/staging')).toBe('no-such-place');
    expect(await vote('dan', 'nonsense')).toBe('no-such-place');
    expect(await vote('dan')).toContain('One more person of the team has to say /aegis raise');
    expect(await vote('dan')).toBe('same-person');
    expect(await opened()).toBe('suggest');
    bench.clock.at = Date.parse('2026-11-24T10:00:00.000Z');
    expect(await vote('dan')).toContain('One more person');
    expect(await vote('ines')).toContain('Decided by dan and ines');
    expect(await opened()).toBe('approve');
    expect(await vote('dan')).toBe('at-ceiling');
  });
});
