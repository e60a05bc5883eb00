import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  attendedEntries,
  judgeUnattended,
  levelProblem,
  pastChanges,
  saidNo,
  unattendedEntries,
} from '../../src/contract/unattended.ts';
import type { PastChange, UnattendedLimits, UnattendedPlan } from '../../src/contract/unattended.ts';

/** The bounds of what runs without a person. */

const HOUR_MS = 3_600_000;
const NOW_MS = Date.parse('2026-11-23T12:00:00.000Z');
const JOB = 'mcp://k8s/prod-1/spark-jobs/sparkapplication/nightly';
const API = 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api';
const LIMITS: UnattendedLimits = {
  per_target_day_max: 2,
  per_service_day_max: 3,
  per_environment_day_max: 5,
  since_approval_max: 3,
  drift_factor_max: 2,
  announce_s: 30,
};
let changes = 0;

function plan(change: Partial<UnattendedPlan> = {}, before = '1g', after = '2g'): UnattendedPlan {
  changes += 1;
  return {
    incident_id: 'INC-2026-1123-001',
    team: 'data',
    env: 'prod',
    service: 'nightly',
    actions: [
      {
        change_id: `CHG-${changes}`,
        target: JOB,
        changes: [{ path: '/spec/driver/memory', before, after }],
      },
    ],
    ...change,
  };
}

/** What a plan leaves behind that ran so many hours ago. */
function ran(hours_ago: number, of: UnattendedPlan = plan()): PastChange[] {
  return unattendedEntries(of, []).map((entry) => ({ ...entry, at_ms: NOW_MS - hours_ago * HOUR_MS }));
}

function attended(hours_ago: number, target = JOB): PastChange {
  const at_ms = NOW_MS - hours_ago * HOUR_MS;
  return { type: 'attended_change', incident_id: 'INC-2026-1120-009', change_id: 'CHG-9000', target, at_ms };
}

const judge = (of: UnattendedPlan, past: readonly PastChange[], limits = LIMITS) =>
  judgeUnattended(limits, of, past, NOW_MS);
const other = (target: string) =>
  plan({ actions: [{ change_id: `CHG-x${changes}`, target, changes: [] }], service: 'other' });

describe('caps of a day', () => {
  it('the object: two a day, the third asks people and says why', () => {
    expect(judge(plan(), ran(5)).may).toBe(true);
    expect(judge(plan(), [...ran(5, plan({}, '1g', '1g')), ...ran(2, plan({}, '1g', '1g'))])).toEqual({
      may: false,
      words:
        'Aegis has changed sparkapplication/nightly 2 times in 24 h without a person, and this plan would do so once more; at most 2 are allowed.',
    });
  });

  it('a day is the last 24 hours, and no calendar day', () => {
    const past = [...ran(24.1), ...ran(23.9)];
    expect(judge(plan({}, '1g', '1g'), past).may).toBe(true);
    expect(judge(plan({}, '1g', '1g'), [...past, ...ran(23.8)]).may).toBe(false);
  });

  it('the service and the environment count all of their objects', () => {
    const of_service = [1, 2, 3].flatMap((n) =>
      ran(n, plan({ actions: [{ change_id: `CHG-s${n}`, target: `${API}-${n}`, changes: [] }] })),
    );
    expect(judge(plan(), of_service)).toMatchObject({
      may: false,
      words: expect.stringContaining('changed data/prod/nightly 3 times'),
    });
    const of_env = [1, 2, 3, 4, 5].flatMap((n) => ran(n, other(`${API}-${n}`)));
    expect(judge(plan(), of_env)).toMatchObject({
      may: false,
      words: expect.stringContaining('changed data/prod 5 times'),
    });
  });

  it('other teams and environments do not count', () => {
    const elsewhere = [1, 2, 3, 4, 5, 6].flatMap((n) => ran(n, { ...other(`${API}-${n}`), team: 'fraud' }));
    expect(judge(plan(), elsewhere).may).toBe(true);
  });

  it('a plan of several actions needs room for all of them, and takes it at once', () => {
    const two = plan({
      actions: [1, 2].map((n) => ({ change_id: `CHG-t${n}`, target: JOB, changes: [] })),
    });
    expect(judge(two, []).may).toBe(true);
    expect(judge(two, ran(1, plan({}, '1g', '1g'))).may).toBe(false);
    expect(unattendedEntries(two, [])).toHaveLength(2);
  });

  it('a plan that has begun goes on, whatever others did meanwhile, and takes nothing twice', () => {
    const mine = plan();
    const past = [...ran(1, mine), ...[1, 2, 3, 4, 5].flatMap((n) => ran(n, other(`${API}-${n}`)))];
    expect(judge(mine, past).may).toBe(true);
    expect(unattendedEntries(mine, past)).toEqual([]);
  });

  it('the change of another incident is not mine because it has the same number', () => {
    const mine = plan({ incident_id: 'INC-2026-1123-002' });
    const theirs = ran(1, { ...mine, incident_id: 'INC-2026-1123-003' });
    expect(unattendedEntries(mine, theirs)).toHaveLength(1);
  });

  it('an entry of the future counts: a clock that went back gives no new day', () => {
    expect(judge(plan({}, '1g', '1g'), [...ran(-30, plan({}, '1g', '1g')), ...ran(-40)]).may).toBe(false);
  });
});

describe('drift', () => {
  const slow = { ...LIMITS, per_target_day_max: 50, per_service_day_max: 50, per_environment_day_max: 50 };

  it('small steps add up: the third leaves the factor of two from where the first one began', () => {
    const past = [...ran(200, plan({}, '1000m', '1400m')), ...ran(100, plan({}, '1400m', '1900m'))];
    expect(judge(plan({}, '1900m', '1950m'), past, slow).may).toBe(true);
    expect(judge(plan({}, '1900m', '2400m'), past, slow)).toEqual({
      may: false,
      words:
        '/spec/driver/memory of sparkapplication/nightly would be 2.40 times away from where it stood when Aegis last began to change it alone; at most 2 is allowed.',
    });
  });

  it('holds downwards too, and for the very first step', () => {
    expect(judge(plan({}, '4g', '1g'), [], slow).may).toBe(false);
    expect(judge(plan({}, '1g', '4g'), [], slow).may).toBe(false);
    expect(judge(plan({}, '4g', '2g'), [], slow).may).toBe(true);
  });

  it('an object that somebody else moved meanwhile is still measured from the beginning of the row', () => {
    expect(judge(plan({}, '4g', '5g'), ran(100, plan({}, '1g', '2g')), slow).may).toBe(false);
  });

  it('what is no quantity any more, or nothing, is beyond measure', () => {
    const past = ran(100, plan({}, '1g', '2g'));
    expect(judge(plan({}, '2g', 'plenty'), past, slow).may).toBe(false);
    expect(judge(plan({}, '2g', '0'), past, slow).may).toBe(false);
  });

  it('a number of changes since the last approval, however long ago they were', () => {
    const past = [900, 600, 300].flatMap((hours) => ran(hours, plan({}, '1g', '1g')));
    expect(judge(plan({}, '1g', '1g'), past, slow)).toEqual({
      may: false,
      words:
        'Aegis has changed sparkapplication/nightly 3 times since a person last approved a change of it; at most 3 are allowed.',
    });
  });

  it('an approved change of the object begins the row anew, one of another object does not', () => {
    const past = [900, 600, 300].flatMap((hours) => ran(hours, plan({}, '1g', '1g')));
    expect(judge(plan({}, '8g', '16g'), [...past, attended(200)], slow).may).toBe(true);
    expect(judge(plan({}, '1g', '1g'), [...past, attended(200, API)], slow).may).toBe(false);
  });

  it('an approval gives back no room of the day', () => {
    const past = [...ran(5, plan({}, '1g', '1g')), ...ran(4, plan({}, '1g', '1g')), attended(3)];
    expect(judge(plan({}, '1g', '1g'), past).may).toBe(false);
  });

  it('an approval is written down only where there is a row to end', () => {
    const change = { incident_id: 'INC-2026-1123-004', change_id: 'CHG-1', target: JOB };
    expect(attendedEntries(change, [])).toEqual([]);
    expect(attendedEntries(change, ran(5))).toEqual([{ type: 'attended_change', ...change }]);
    expect(attendedEntries(change, [...ran(5), attended(4)])).toEqual([]);
  });

  it('property: no course of admitted steps leaves the factor, and none is longer than the number', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 64 }), { maxLength: 12 }), (values) => {
        const past: PastChange[] = [];
        let now = 8;
        let admitted = 0;
        for (const next of values) {
          const step = plan({}, `${now}g`, `${next}g`);
          if (!judge(step, past, slow).may) continue;
          past.push(...ran(100 - admitted, step));
          now = next;
          admitted += 1;
          expect(Math.max(now / 8, 8 / now)).toBeLessThanOrEqual(2);
        }
        expect(admitted).toBeLessThanOrEqual(3);
      }),
    );
  });

  it('property: more of the past never gives more room', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ hours: fc.integer({ min: 0, max: 60 }), mine: fc.boolean() }), {
          maxLength: 12,
        }),
        (rows) => {
          const past = rows.flatMap(({ hours, mine }, n) =>
            ran(hours, mine ? plan({}, '1g', '1g') : other(`${API}-${n}`)),
          );
          const next = plan({}, '1g', '1g');
          for (let n = 1; n <= past.length; n += 1)
            if (judge(next, past.slice(0, n)).may) expect(judge(next, past.slice(0, n - 1)).may).toBe(true);
        },
      ),
    );
  });
});

describe('levels', () => {
  const place = { team: 'data', env: 'prod' };
  const all = { incident: 'limited', configured: 'limited', earned: 'limited', lowered: null } as const;

  it('all must be limited, and the lowest says why', () => {
    expect(levelProblem(place, all)).toBeNull();
    expect(levelProblem(place, { ...all, incident: 'approve' })).toContain('runs with autonomy approve');
    expect(levelProblem(place, { ...all, configured: 'suggest' })).toContain(
      'gives data/prod autonomy suggest',
    );
    expect(levelProblem(place, { ...all, earned: 'approve', lowered: 'a check failed' })).toBe(
      'The ladder went down to approve: a check failed.',
    );
  });
});

describe('a person’s no', () => {
  const at = '2026-11-23T11:00:00.000Z';
  const event = (payload: Record<string, unknown>, kind = 'event' as 'event' | 'refusal') => ({
    kind,
    at,
    payload,
  });
  const said = (...entries: ReturnType<typeof event>[]) => saidNo('INC-1', entries, Date.parse(at));

  it('is a denial, Stop, or taking over, and nothing else', () => {
    expect(said(event({ type: 'decided', by: 'dan', decision: 'deny' }))).toBe('dan denied a plan of INC-1.');
    expect(said(event({ type: 'stopped', by: 'dan' }))).toBe('dan pressed Stop in INC-1.');
    expect(said(event({ type: 'handed_over', by: 'dan' }))).toBe('dan took INC-1 over by hand.');
    const others = ['approve', 'withdraw'].map((decision) => event({ type: 'decided', by: 'dan', decision }));
    expect(said(...others, event({ type: 'activated', by: 'dan' }))).toBeNull();
    expect(said(event({ type: 'stopped', by: 'dan' }, 'refusal'))).toBeNull();
  });

  it('of before that time does not count', () => {
    const stopped = event({ type: 'stopped', by: 'dan' });
    expect(saidNo('INC-1', [stopped], Date.parse(at) + 1)).toBeNull();
  });
});

describe('the SYSTEM chain', () => {
  it('gives what it says, and an entry that is none of ours stops everything', () => {
    const [entry] = unattendedEntries(plan(), []);
    const at = '2026-11-23T11:00:00.000Z';
    expect(
      pastChanges([
        { kind: 'event', at, payload: { type: 'freeze_set' } },
        { kind: 'permit', at, payload: { ...entry } },
      ]),
    ).toEqual([{ ...entry, at_ms: Date.parse(at) }]);
    expect(() => pastChanges([{ kind: 'permit', at, payload: { type: 'unattended' } }])).toThrow();
  });
});
