import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AUTONOMY_LEVELS } from '../../src/contract/incident.ts';
import { minLevel, standingOf } from '../../src/contract/ladder.ts';
import type { Score } from '../../src/contract/shadow.ts';
import { ShadowScore } from '../../src/contract/shadow.ts';
import { splitBecause } from '../../src/harness/shadow/cause.ts';
import { CONFIDENT_MIN, scoreShadow } from '../../src/harness/shadow/compare.ts';
import { ladderOf, proposalOf } from '../../src/harness/shadow/ladder.ts';
import { isRobot } from '../../src/harness/shadow/people.ts';
import { leadWords } from '../../src/harness/shadow/report-words.ts';
import { runStatistics, shadowStatistics, wilson } from '../../src/harness/shadow/statistics.ts';
import { at } from './fixtures.ts';
import {
  comparedPlan,
  facts,
  NEW_TEMPLATE,
  OLD_TEMPLATE,
  raise,
  rollback,
  said,
  scaling,
  score,
  scores,
  seen,
} from './shadow-samples.ts';

const marks = (input: Parameters<typeof scoreShadow>[0]) => scoreShadow(input).rows.map((row) => row.mark);

describe('the diff engine', () => {
  it('hit: people ran the same rollback', () => {
    const found = scoreShadow(facts());
    expect(found).toMatchObject({ verdict: 'hit', wrong_and_confident: false, gaps: [] });
    expect(found.rows).toMatchObject([{ mark: 'hit', at: at(160) }]);
    expect(found.rows[0]?.people).toContain('kubectl changed deployment/settlement-api');
  });

  it('equivalent: the image was set back by another command, and the template is the planned one', () => {
    const found = scoreShadow(facts({ seen: [seen({ manager: 'kubectl-set' })] }));
    expect(found).toMatchObject({ verdict: 'hit', rows: [{ mark: 'equivalent' }] });
  });

  it('no equivalent: the same field was touched and the template is another one', () => {
    const found = scoreShadow(facts({ seen: [seen({ template: NEW_TEMPLATE })] }));
    expect(found.verdict).toBe('missed');
    expect(found.rows.map((row) => row.mark)).toEqual(['extra', 'miss']);
  });

  it('miss: people did something that the plan does not have', () => {
    const other = seen({ key: 'k2', target: API_OTHER, fields: ['/spec/replicas'], template: null });
    expect(marks(facts({ seen: [seen(), other] }))).toEqual(['hit', 'miss']);
    expect(scoreShadow(facts({ seen: [other] })).verdict).toBe('missed');
  });

  it('extra: the plan has what nobody did', () => {
    const plan = comparedPlan({ actions: [rollback(), scaling(5)] });
    const found = scoreShadow(facts({ plan }));
    expect(found.verdict).toBe('partial');
    expect(found.rows).toMatchObject([{ mark: 'hit' }, { mark: 'extra', people: null, at: null }]);
  });

  it('compares values field by field, as JSON', () => {
    const plan = comparedPlan({ actions: [scaling(5)] });
    const scaled = (value: unknown) =>
      seen({ manager: 'kubectl-edit', fields: ['/spec/replicas'], values: { '/spec/replicas': value } });
    expect(marks(facts({ plan, seen: [scaled(5)] }))).toEqual(['equivalent']);
    expect(marks(facts({ plan, seen: [scaled('5')] }))).toEqual(['extra', 'miss']);
    expect(marks(facts({ plan, seen: [scaled(4)] }))).toEqual(['extra', 'miss']);
  });

  it('resolved by itself: nobody acted, and what the plan is about was looked at', () => {
    expect(scoreShadow(facts({ seen: [] }))).toMatchObject({
      verdict: 'nobody_acted',
      wrong_and_confident: false,
      lead_ms: null,
    });
    const robot = seen({ manager: 'kube-controller-manager', robot: true });
    expect(scoreShadow(facts({ seen: [robot] })).verdict).toBe('nobody_acted');
  });

  it('says unknown instead of "nobody acted" when it could not look', () => {
    const blind = { place: 'prod-1/spark-jobs/*', why: 'answered 503' };
    const kind = { place: 'prod-1/spark-jobs/deployment', why: 'forbidden' };
    const elsewhere = { place: 'prod-1/spark-jobs/statefulset', why: 'forbidden' };
    expect(scoreShadow(facts({ seen: [], unseen: [blind] }))).toMatchObject({
      verdict: 'unknown',
      gaps: ['prod-1/spark-jobs: answered 503'],
    });
    expect(scoreShadow(facts({ seen: [], unseen: [kind] })).verdict).toBe('unknown');
    expect(scoreShadow(facts({ seen: [], unseen: [elsewhere] })).verdict).toBe('nobody_acted');
    const word = said('restarted the database');
    expect(scoreShadow(facts({ seen: [], said: [word], unseen: [blind] })).verdict).toBe('unknown');
  });

  it('says unknown while the alert has not resolved, and for systems that are not watched', () => {
    expect(scoreShadow(facts({ resolved_at: null })).verdict).toBe('unknown');
    const commit = { ...rollback(), target: 'mcp://git/app/-/branch/main', tool: 'git.commit' };
    const found = scoreShadow(
      facts({ plan: comparedPlan({ actions: [commit] }), seen: [], said: [said('x')] }),
    );
    expect(found).toMatchObject({ verdict: 'unknown', gaps: ['Aegis does not watch what people do in git'] });
  });

  it('counts a controller’s write for a person who said that they had it done', () => {
    const robot = seen({ manager: 'argocd-controller', robot: true });
    const found = scoreShadow(facts({ seen: [robot], said: [said('reverted the release commit')] }));
    expect(found).toMatchObject({
      verdict: 'hit',
      rows: [{ mark: 'equivalent', at: at(150) }, { mark: 'said' }],
    });
  });

  it('no plan: people acted before there was one', () => {
    expect(scoreShadow(facts({ plan: null }))).toMatchObject({
      verdict: 'no_plan',
      wrong_and_confident: false,
      lead_ms: null,
    });
  });

  it('wrong and confident: sure, nothing of it done, and something else helped', () => {
    const other = seen({ template: NEW_TEMPLATE });
    const sure = (confidence: number, change = {}) =>
      scoreShadow(facts({ plan: comparedPlan({ confidence }), seen: [other], ...change }))
        .wrong_and_confident;
    expect(sure(CONFIDENT_MIN)).toBe(true);
    expect(sure(CONFIDENT_MIN - 0.01)).toBe(false);
    expect(sure(0.95, { seen: [] })).toBe(false);
    expect(sure(0.95, { seen: [seen()] })).toBe(false);
    expect(sure(0.95, { resolved_at: null })).toBe(false);
    // Whatever was done after it was over did not help.
    expect(sure(0.95, { resolved_at: at(110) })).toBe(false);
  });

  it('minutes: the plan was earlier, later, or there in the same second', () => {
    const lead = (offset_s: number) => scoreShadow(facts({ seen: [seen({ at: at(offset_s) })] }));
    expect(lead(220)).toMatchObject({ lead_ms: 120_000 });
    expect(leadWords(lead(220))).toBe('The plan was there 2 min before people acted.');
    expect(lead(40)).toMatchObject({ lead_ms: -60_000 });
    expect(leadWords(lead(40))).toBe('People acted 1 min before the plan was there.');
    const posted = comparedPlan({ posted_at: '2026-11-23T10:02:40.900Z' });
    const same = scoreShadow(facts({ plan: posted, seen: [seen({ at: '2026-11-23T10:02:40.000Z' })] }));
    expect(same.lead_ms).toBe(0);
    expect(leadWords(same)).toBe('The plan and people came at the same time.');
  });

  it('cause agreement: agrees, differs, or nobody can tell', () => {
    const cause = (text: string) =>
      scoreShadow(facts({ said: [{ ...said('did it'), ...splitBecause(text) }] })).cause;
    expect(cause('rolled back because revision 2 crashes')).toBe('agrees');
    expect(cause('rolled back BECAUSE OF the crashing revision')).toBe('agrees');
    expect(cause('restarted it because the database was out of disk')).toBe('differs');
    expect(cause('rolled it back')).toBe('unknown');
    expect(splitBecause('rolled back because ')).toEqual({ text: 'rolled back because', cause: null });
  });

  it('whatever is seen and said: a valid score, one row for each action, and no change counted twice', () => {
    const change = fc.record({
      manager: fc.constantFrom('kubectl', 'kubectl-set', 'argocd-controller', 'aegis'),
      template: fc.constantFrom(OLD_TEMPLATE, NEW_TEMPLATE, null),
      target: fc.constantFrom(API_OTHER, rollback().target),
      fields: fc.constantFrom<string[]>(['/spec/replicas'], ['/spec/template/spec/containers/a/image']),
      offset_s: fc.integer({ min: 0, max: 400 }),
      robot: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 60 }),
        fc.array(fc.string({ minLength: 1, maxLength: 80 }), { maxLength: 4 }),
        fc.option(fc.constantFrom('prod-1/spark-jobs/*', '*', 'prod-1/spark-jobs/deployment')),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (changes, words, place, confidence) => {
          const plan = comparedPlan({ confidence, actions: [rollback(), scaling(3)] });
          const list = changes.map((c, n) => seen({ ...c, key: `k${n}`, at: at(c.offset_s) }));
          const input = facts({
            plan,
            seen: list,
            said: words.map((text) => said(text)),
            unseen: place === null ? [] : [{ place, why: 'w' }],
          });
          const found = ShadowScore.parse(scoreShadow(input));
          expect(found.rows.filter((row) => row.plan !== null)).toHaveLength(2);
          const acted = words.length > 0 || list.some((c) => !c.robot);
          if (!acted) expect(['nobody_acted', 'unknown']).toContain(found.verdict);
          if (found.verdict === 'nobody_acted') expect(place).not.toBe('*');
          if (found.wrong_and_confident) expect(found.verdict).toBe('missed');
          expect(scoreShadow(input)).toEqual(found);
        },
      ),
    );
  });
});

const API_OTHER = 'mcp://k8s/prod-1/spark-jobs/deployment/other-api';

describe('who is a person', () => {
  it('robots are not people: by name, and by the beginning of a name', () => {
    const robots = ['kube-controller-manager', 'argocd-*'];
    expect(isRobot('kube-controller-manager', robots)).toBe(true);
    expect(isRobot('argocd-application-controller', robots)).toBe(true);
    expect(isRobot('argocd', robots)).toBe(false);
    expect(isRobot('kubectl-edit', robots)).toBe(false);
  });

  it('Aegis is not a person, whatever the list says', () => {
    expect(isRobot('aegis', [])).toBe(true);
  });
});

describe('statistics', () => {
  /** The ends of the interval are where the score test is just passed: (p̂ - p)² = z² p (1 - p) / n, found by halving. */
  function byBisection(hits: number, n: number): { low: number; high: number } {
    const z = 1.959963984540054;
    const share = hits / n;
    const passes = (p: number) => (share - p) ** 2 <= (z * z * p * (1 - p)) / n;
    const edge = (inside: number, outside: number): number => {
      let [yes, no] = [inside, outside];
      for (let turn = 0; turn < 200; turn += 1) {
        const middle = (yes + no) / 2;
        if (passes(middle)) yes = middle;
        else no = middle;
      }
      return yes;
    };
    return { low: hits === 0 ? 0 : edge(share, 0), high: hits === n ? 1 : edge(share, 1) };
  }

  it('Wilson’s interval equals the one that the score test itself gives, found by halving', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (n, share) => {
          const hits = Math.round(share * n);
          const expected = byBisection(hits, n);
          const found = wilson(hits, n);
          expect(found.low).toBeCloseTo(expected.low, 9);
          expect(found.high).toBeCloseTo(expected.high, 9);
          expect(found.low).toBeLessThanOrEqual(hits / n);
          expect(found.high).toBeGreaterThanOrEqual(hits / n);
        },
      ),
    );
  });

  it('says nothing without cases, and gives published values', () => {
    expect(wilson(0, 0)).toEqual({ low: 0, high: 1 });
    // R: binom::binom.confint(8, 10, methods = "wilson") -> 0.4901625, 0.9433178
    expect(wilson(8, 10).low).toBeCloseTo(0.4901625, 6);
    expect(wilson(8, 10).high).toBeCloseTo(0.9433178, 6);
  });

  it('counts what people did and leaves out what nobody can score', () => {
    const found = shadowStatistics([
      ...scores(3),
      score(4, { verdict: 'missed', wrong_and_confident: true }),
      score(5, { verdict: 'no_plan', lead_ms: null }),
      score(6, { verdict: 'nobody_acted' }),
      score(7, { verdict: 'unknown' }),
      score(8, { lead_ms: -60_000 }),
    ]);
    expect(found).toMatchObject({ n: 6, hits: 4, wrong_and_confident: 1, unscored: 2, median_lead_min: 2 });
  });

  it('takes the middle of two leads, and a run that failed once as failed', () => {
    expect(shadowStatistics([score(1, { lead_ms: 0 }), score(2)]).median_lead_min).toBe(1);
    const run = (verdict: Score['verdict'], kind: Score['kind'] = 'run') => score(1, { kind, verdict });
    expect(runStatistics([run('failed'), run('helped')])).toMatchObject({ n: 1, helped: 0, failed: 1 });
    expect(runStatistics([run('helped')])).toMatchObject({ n: 1, helped: 1, failed: 0 });
    expect(runStatistics([run('failed', 'denied')])).toMatchObject({ failed: 1 });
  });
});

describe('the ladder', () => {
  const place = { team: 'data', env: 'prod', service: 'settlement-api' };

  it('up: says what is missing, in figures', () => {
    const seven = [...scores(6), score(7, { verdict: 'partial' })];
    expect(proposalOf('suggest', seven, null)).toMatchObject({
      from: 'suggest',
      to: 'approve',
      ready: false,
      figures: '7 of 20 scored incidents, 0 wrong and confident, lower bound 0.49 of 0.80',
    });
  });

  it('up: is ready when it has been earned, and only then', () => {
    expect(proposalOf('suggest', scores(20), null)).toMatchObject({ ready: true });
    expect(proposalOf('suggest', scores(19), null).ready).toBe(false);
    const wrong = score(40, { verdict: 'missed', wrong_and_confident: true });
    expect(proposalOf('suggest', [...scores(60), wrong], null).ready).toBe(false);
    expect(proposalOf('suggest', [...scores(20), ...scores(9, { verdict: 'missed' }, 21)], null).ready).toBe(
      false,
    );
    expect(proposalOf('read_only', scores(5), null).ready).toBe(true);
    expect(proposalOf('approve', scores(60), null).ready).toBe(false);
    expect(proposalOf('approve', scores(50, { kind: 'run', verdict: 'helped' }), null).ready).toBe(true);
    expect(proposalOf('limited', scores(99), null)).toMatchObject({ to: null, ready: false });
  });

  it('never above what aegis.yaml allows: there the next step is a change of the file', () => {
    const view = ladderOf(place, 'suggest', scores(20), []);
    expect(view).toMatchObject({ from: 'suggest', to: 'approve', ready: true });
    expect(view.line).toContain('a reviewed change of autonomy in aegis.yaml');
  });

  it('down: by itself on a wrong and confident plan and on a failed check, one step, and the count begins anew', () => {
    const wrong = score(21, { verdict: 'missed', wrong_and_confident: true });
    const failed = score(21, { kind: 'run', verdict: 'failed', autonomy: 'approve' });
    expect(standingOf([...scores(20), wrong], [])).toMatchObject({ cap: 'read_only' });
    const view = ladderOf(place, 'approve', [...scores(20), failed, ...scores(3, {}, 22)], []);
    expect(view).toMatchObject({
      from: 'suggest',
      figures: '3 of 20 scored incidents, 0 wrong and confident, lower bound 0.44 of 0.80',
    });
    expect(view.line).toContain('It went down from approve after INC-2026-1123-021: a check said');
    expect(standingOf([score(1, { kind: 'denied', verdict: 'failed' })], []).cap).toBe('limited');
  });

  it('up again: what two people decided, one step, and no further', () => {
    const failed = score(1, { kind: 'run', verdict: 'failed', autonomy: 'approve' });
    const standing = standingOf([failed, ...scores(20, {}, 2)], [raise('approve', 30_000)]);
    expect(standing).toMatchObject({ cap: 'approve', lowered: null });
    expect(standingOf([failed], [raise('limited', 30_000)]).cap).toBe('approve');
    // A decision from before the fall does not soften it.
    expect(standingOf([failed], [raise('approve', 10)]).cap).toBe('suggest');
  });

  it('whatever happens: down only through what is bad, up only through two people, one step at a time', () => {
    const any = fc.record({
      bad: fc.boolean(),
      kind: fc.constantFrom('shadow' as const, 'run' as const),
      autonomy: fc.constantFrom(...AUTONOMY_LEVELS),
    });
    const rank = (level: (typeof AUTONOMY_LEVELS)[number]) => AUTONOMY_LEVELS.indexOf(level);
    fc.assert(
      fc.property(
        fc.array(any, { maxLength: 30 }),
        fc.array(fc.nat(30), { maxLength: 5 }),
        (list, raised) => {
          const all = list.map(({ bad, kind, autonomy }, n) =>
            kind === 'run'
              ? score(n + 1, { kind, autonomy, verdict: bad ? 'failed' : 'helped' })
              : score(n + 1, { autonomy, verdict: bad ? 'missed' : 'hit', wrong_and_confident: bad }),
          );
          const raises = raised.map((n) => raise('limited', n * 1000 + 500));
          let before = standingOf([], []).cap;
          for (let n = 1; n <= all.length; n += 1) {
            const until = raises.filter((r) => r.at <= at(n * 1000));
            const now = standingOf(all.slice(0, n), until).cap;
            const ups = until.filter((r) => r.at > at((n - 1) * 1000)).length;
            expect(rank(now)).toBeLessThanOrEqual(rank(before) + ups);
            if (list[n - 1]?.bad === true && all[n - 1]?.autonomy !== 'read_only')
              expect(rank(now)).toBeLessThan(rank(minLevel('limited', all[n - 1]?.autonomy ?? 'limited')));
            if (list[n - 1]?.bad === false && ups === 0) expect(now).toBe(before);
            before = now;
          }
        },
      ),
    );
  });
});
