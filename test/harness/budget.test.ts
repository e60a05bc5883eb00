import fc from 'fast-check';
import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { Cognition } from '../../src/cognition/cognition.ts';
import type { Payer } from '../../src/contract/budgets.ts';
import { Budgets } from '../../src/contract/budgets.ts';
import type { World } from '../../src/contract/world.ts';
import { budgetsOf, payerOf } from '../../src/harness/budget-accounts.ts';
import { readBudgets } from '../../src/harness/budget-facts.ts';
import { verifyEffect } from '../../src/harness/effects/verify.ts';
import type { EffectInput } from '../../src/harness/effects/effect.ts';
import { budgetGate } from '../../src/harness/gates/budget.ts';
import type { GateFacts } from '../../src/harness/gates/gate.ts';
import { incidentNotice } from '../../src/harness/notices/incident-notice.ts';
import { parseSnapshot } from '../../src/harness/machine.ts';
import { replayIncident } from '../../src/harness/replay.ts';
import type { MachineContext } from '../../src/harness/state.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import {
  alertGroup,
  incidents,
  newHome,
  past,
  PLACE,
  press,
  raise,
  standsIn,
  startRig,
  thread,
  until,
} from './budget-rig.ts';
import type { Rig, RigOptions } from './budget-rig.ts';
import { schemaBefore } from '../store/older-schema.ts';
import type { HarnessEvent } from '../../src/harness/events.ts';
import {
  answered,
  asked,
  beforeRead,
  NEAR_READS_MAX,
  NO_READS,
  NOTHING_NEW_READS_MAX,
  SAME_READ_MAX,
} from '../../src/harness/loop-detector.ts';
import type { Breach } from '../../src/harness/loop-detector.ts';
import { planLoop, SAME_PLAN_MAX } from '../../src/harness/plan-loops.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import {
  at,
  decide,
  draft,
  findings,
  ID,
  incidentContext,
  outcome,
  preparedEvent,
  runningId,
  take,
  walkTo,
} from './fixtures.ts';

let rigs: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const rig of rigs) await rig.close();
  rigs = [];
});

async function rigOf(options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(options);
  rigs.push(rig);
  await rig.start();
  return rig;
}

async function restarted(rig: Rig, options?: RigOptions): Promise<Rig> {
  const next = await rig.restart(options);
  rigs.push(next);
  return next;
}

const read = (world: World, command: string) => world.call({ op: 'run', command, why_needed: 'to see' });

/** Reads one file after the other, so many, and finds nothing. */
const reading =
  (files: number): Cognition['investigate'] =>
  async (world) => {
    for (let n = 0; n < files; n++) await read(world, `read /teams/data/prod/k8s/file-${n}.yaml`);
    return findings(false);
  };

/** Does what it wants: reads again and again, heeds no refusal and no signal. */
const stubborn =
  (command: (n: number) => string): Cognition['investigate'] =>
  async (world) => {
    for (let n = 0; ; n++) {
      await read(world, command(n)).catch(() => null);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

const HALTED = 'HALTED' as const;
const today = '2026-11-23';

async function spent(rig: Rig, key: string, day: string | null = null) {
  const [found] = await rig.store.budgets.spent([{ key, day }]);
  if (found === undefined) throw new Error('no answer');
  return found;
}

describe('who pays', () => {
  const running = (context: MachineContext) => payerOf(context, at(30))?.accounts.map((a) => a.key);

  it('looking and thinking is paid by the incident and by the day of team, trigger and everything', () => {
    const own = [`investigate:${ID}`, 'team:data', 'trigger:prod-alerts', 'all'];
    for (const state of ['DIAGNOSING', 'PLANNING'] as const)
      expect(running(walkTo(state).context)).toEqual(own);
    expect(payerOf(walkTo('DIAGNOSING').context, at(30))?.accounts.map((a) => a.day)).toEqual([
      null,
      today,
      today,
      today,
    ]);
  });

  it('gates, change, checks and undo are paid from the reserve of their plan alone', () => {
    for (const state of ['CLEARING', 'EXECUTING', 'VERIFYING'] as const)
      expect(running(walkTo(state).context)).toEqual([`reserve:${ID}:1`]);
    const undo = { ...walkTo('VERIFYING').context };
    const kind = { ...undo, running: { effect_id: `${ID}/9/0`, kind: 'undo' as const, change_id: 'CHG-10' } };
    expect(running(kind)).toEqual([`reserve:${ID}:1`]);
  });

  it('a new plan has a reserve of its own, and the review after the end costs nobody', () => {
    const { context } = walkTo('VERIFYING');
    expect(running({ ...context, revision: 2 })).toEqual([`reserve:${ID}:2`]);
    expect(running(walkTo('CLOSED').context)).toBeUndefined();
  });

  it('takes the numbers of one team or trigger from its own row, the rest from each_*', () => {
    const budgets = Budgets.parse({
      each_team: { investigations_per_day_max: 9 },
      teams: { data: { calls_per_day_max: 3 } },
      triggers: { 'prod-alerts': { investigations_per_day_max: 1 } },
    });
    const lines = budgetsOf(walkTo('DIAGNOSING').context, budgets, at(30));
    const of = (whose: string) => lines.find((line) => line.whose === whose)?.max;
    expect(of('team')).toMatchObject({ investigations: 9, calls: 3 });
    expect(of('trigger')).toMatchObject({ investigations: 1, calls: 20_000 });
    expect(of('incident')).toMatchObject({ investigations: null, calls: 60, tokens: 1000 });
  });
});

describe('counters', () => {
  const payer = (effect_id: string, attempt: string): Payer => ({
    effect_id,
    attempt,
    accounts: [
      { key: 'investigate:X', day: null },
      { key: 'all', day: today },
    ],
  });
  const append = (store: Store, by: Payer, calls: number, kind = 'call') =>
    store.ledger.append('SYSTEM', [
      { kind: kind as 'call', actor: 'aegis:test', payload: {}, spend: { payer: by, calls } },
    ]);

  it('an effect that is run again after a crash is charged only for what goes beyond its dearest attempt', async () => {
    const rig = await rigOf();
    await fc.assert(
      fc.asyncProperty(
        fc.uuid(),
        fc.array(fc.array(fc.nat(5), { maxLength: 4 }), { minLength: 1, maxLength: 4 }),
        async (effect_id, attempts) => {
          const before = (await spent(rig, 'all', today)).calls;
          for (const [n, charges] of attempts.entries())
            for (const calls of charges) await append(rig.store, payer(effect_id, `try-${n}`), calls);
          const dearest = Math.max(...attempts.map((charges) => charges.reduce((a, b) => a + b, 0)));
          expect((await spent(rig, 'all', today)).calls - before).toBe(dearest);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('is written with the ledger entry that it belongs to, or not at all', async () => {
    const rig = await rigOf();
    await expect(append(rig.store, payer('E1', 'a'), 7, 'no-such-kind')).rejects.toThrow();
    expect((await spent(rig, 'investigate:X')).calls).toBe(0);
    await append(rig.store, payer('E1', 'a'), 7);
    expect((await spent(rig, 'investigate:X')).calls).toBe(7);
  });

  it('survives a restart, and money does not drift', async () => {
    const rig = await rigOf();
    for (let n = 0; n < 10; n++)
      await rig.store.ledger.append('SYSTEM', [
        {
          kind: 'cost',
          actor: 'aegis:test',
          payload: {},
          spend: { payer: payer('E2', 'a'), cost_usd: 0.1, tokens: 3 },
        },
      ]);
    const next = await restarted(rig);
    expect(await spent(next, 'all', today)).toMatchObject({ cost_usd: 1, tokens: 30 });
  });

  it('an investigation is charged once for its effect, to every account or to none', async () => {
    const { budgets } = (await rigOf()).store;
    const limited = (max: number) => [
      { key: 'team:data', day: today, investigations_max: null },
      { key: 'all', day: today, investigations_max: max },
    ];
    expect(await budgets.beginInvestigation('E1', limited(1))).toBeNull();
    expect(await budgets.beginInvestigation('E1', limited(1))).toBeNull();
    expect(await budgets.beginInvestigation('E2', limited(1))).toMatchObject({ key: 'all' });
    const used = await budgets.spent(limited(1));
    expect(used.map((s) => s.investigations)).toEqual([1, 1]);
  });

  it('many that begin at once never pass the limit together', async () => {
    const { budgets } = (await rigOf()).store;
    const limited = [{ key: 'all', day: today, investigations_max: 7 }];
    const begun = await Promise.all(
      Array.from({ length: 50 }, (_, n) => budgets.beginInvestigation(`E${n}`, limited)),
    );
    expect(begun.filter((full) => full === null)).toHaveLength(7);
  });

  it('incidents that were open before there were counters keep what their ledger says they have used', async () => {
    const home = newHome();
    const clock = { now: () => Date.parse(at()) };
    const first = await startRig({}, home);
    await past(first, [
      { type: 'opened', at: at(), context: incidentContext(), channel: 'C1' },
      { type: 'triaged', at: at(1), effect_id: `${ID}/1/0`, skills: [] },
    ]);
    const rows = { phase: 'before' };
    const cost = { bytes: 10, cost: { tokens: 5, usd: 0, ms: 1 } };
    await first.store.ledger.append(ID, [
      { kind: 'call', actor: 'aegis:gateway', payload: rows },
      { kind: 'call', actor: 'aegis:gateway', payload: { phase: 'after' } },
      { kind: 'read', actor: 'aegis:vfs', payload: cost },
      { kind: 'read', actor: 'aegis:vfs:verify', payload: cost },
    ]);
    await first.store.close();
    schemaBefore(home, 'budgets');
    const store = await openStore({ home, clock });
    const [found] = await store.budgets.spent([{ key: `investigate:${ID}`, day: null }]);
    expect(found).toMatchObject({ calls: 1, reads: 1, bytes: 10, tokens: 5 });
    await store.close();
    rmSync(home, { recursive: true, force: true });
  });
});

describe('a budget of the day that is used up', () => {
  it.each([
    ['a team', { each_team: { investigations_per_day_max: 1 } }, 'team data'],
    ['one team by name', { teams: { data: { investigations_per_day_max: 1 } } }, 'team data'],
    ['a trigger', { each_trigger: { investigations_per_day_max: 1 } }, 'trigger prod-alerts'],
    ['the installation', { all: { investigations_per_day_max: 1 } }, 'all of Aegis'],
  ])('%s: the incident opens and is told, cognition does not start', async (_whose, budgets, name) => {
    const rig = await rigOf({ budgets });
    await standsIn(rig, await raise(rig, 'one'), HALTED);
    const id = await raise(rig, 'two');
    const halted = await standsIn(rig, id, HALTED);
    expect(rig.begun()).toBe(1);
    expect(rig.reads()).toBe(0);
    expect(halted.context.halt).toMatchObject({ reason: 'budget', resume_to: 'DIAGNOSING' });
    expect(halted.context.halt?.text).toContain(
      `The budget of ${name} for ${today} (UTC) is used up: 1 of 1 investigations.`,
    );
    expect(halted.context.halt?.next_step).toMatch(/renews at 2026-11-24 00:00 UTC.*Press Resume.*Hand over/);
    expect(await thread(rig, id)).toContain(`The budget of ${name}`);
    const root = await rig.store.outbox.get(`root:${id}`);
    expect(root?.notice).toMatchObject({ buttons: ['resume', 'plan_again', 'hand_over'] });
    const refusals = await rig.store.ledger.read(id, { kinds: ['refusal'] });
    expect(refusals.some((entry) => entry.payload['code'] === 'out-of-budget')).toBe(true);
    // What comes in is kept all the same.
    await rig.intake.alerts([alertGroup('two', { n: 1 })]);
    await until('the second alert', async () => {
      const row = await rig.store.incidents.get(id);
      return JSON.stringify(row?.snapshot).includes('two-1');
    });
    expect((await replayIncident(rig.store, id))?.equal).toBe(true);
  });

  it('of one team leaves the others alone', async () => {
    const rig = await rigOf({ budgets: { teams: { data: { investigations_per_day_max: 0 } } } });
    const own = await standsIn(rig, await raise(rig, 'one'), HALTED);
    const other = await raise(rig, 'two', { place: { ...PLACE, team: 'web' } });
    expect(own.context.halt?.reason).toBe('budget');
    expect((await standsIn(rig, other, HALTED)).context.halt?.reason).toBe('inconclusive');
    expect(rig.begun()).toBe(1);
  });

  it('Resume by a person grants this incident one round, and only one', async () => {
    const rig = await rigOf({ budgets: { all: { investigations_per_day_max: 0 } } });
    const id = await raise(rig, 'one');
    const first = await standsIn(rig, id, HALTED);
    await press(rig, 'resume', id);
    const second = await standsIn(rig, id, HALTED, first.context.step);
    expect(second.context.halt?.reason).toBe('inconclusive');
    expect(second.context.shared_budget).toBe('granted');
    expect((await spent(rig, 'all', today)).investigations).toBe(1);
    await press(rig, 'plan_again', id);
    const third = await standsIn(rig, id, HALTED, second.context.step);
    expect(third.context.halt?.reason).toBe('budget');
    expect(rig.begun()).toBe(1);
    expect((await replayIncident(rig.store, id))?.equal).toBe(true);
  });

  it('the granted round ends with its plan: what follows a denial asks the day again', () => {
    const diagnosing = walkTo('DIAGNOSING');
    let s = take(diagnosing, {
      type: 'out_of_budget',
      at: at(3),
      effect_id: runningId(diagnosing),
      whose: 'team',
      name: 'data',
      unit: 'investigations',
      used: 1,
      max: 1,
      day: today,
    });
    expect(s.context).toMatchObject({ shared_budget: 'spent', halt: { reason: 'budget' } });
    s = take(s, { type: 'resumed', at: at(4), by: 'maya' });
    expect(s).toMatchObject({ state: 'DIAGNOSING', context: { shared_budget: 'granted', rounds: 1 } });
    s = take(s, { type: 'investigated', at: at(5), effect_id: runningId(s), findings: findings() });
    s = take(s, { type: 'drafted', at: at(6), effect_id: runningId(s), draft: draft() });
    expect(s.context.shared_budget).toBe('granted');
    s = take(s, preparedEvent(runningId(s), s.context.revision, 7));
    expect(s.context.shared_budget).toBe('kept');
    s = take(s, decide(s, 'dan', 'deny', 8, { because: 'wrong_cause' }));
    expect(s).toMatchObject({ state: 'DIAGNOSING', context: { shared_budget: 'kept' } });
  });

  it('snapshots of before there were budgets of the day are read as they were', () => {
    const snapshot = walkTo('PENDING_APPROVAL');
    const { shared_budget, ...context } = snapshot.context;
    expect(shared_budget).toBe('kept');
    expect(parseSnapshot({ state: snapshot.state, context })).toEqual(snapshot);
  });

  it('renews at midnight UTC, also when the clock jumps there', async () => {
    const rig = await rigOf({ budgets: { all: { investigations_per_day_max: 1 } } });
    await standsIn(rig, await raise(rig, 'one'), HALTED);
    rig.clock.ms = Date.parse('2026-11-23T23:59:59.999Z');
    expect((await standsIn(rig, await raise(rig, 'two'), HALTED)).context.halt?.reason).toBe('budget');
    rig.clock.ms = Date.parse('2026-11-24T00:00:00.000Z');
    expect((await standsIn(rig, await raise(rig, 'three'), HALTED)).context.halt?.reason).toBe(
      'inconclusive',
    );
    expect((await standsIn(rig, await raise(rig, 'four'), HALTED)).context.halt?.reason).toBe('budget');
    // A clock that is set back finds the old day as it was left.
    rig.clock.ms = Date.parse('2026-11-23T12:00:00.000Z');
    expect((await standsIn(rig, await raise(rig, 'five'), HALTED)).context.halt?.reason).toBe('budget');
    expect(rig.begun()).toBe(2);
  });

  it.each([
    ['calls', { calls_per_day_max: 4 }, '4 of 4 calls'],
    ['tokens', { tokens_per_day_max: 400 }, '400 of 400 tokens'],
    ['cost_usd', { cost_usd_per_day_max: 0.4 }, '$0.40 of $0.40'],
  ])('%s: ends the investigation under way, which is told', async (_unit, all, amount) => {
    const rig = await rigOf({ budgets: { all }, cognition: { investigate: reading(30) }, cost_usd: 0.1 });
    const halted = await standsIn(rig, await raise(rig, 'one'), HALTED);
    expect(halted.context.halt?.reason).toBe('budget');
    expect(halted.context.halt?.text).toContain(`all of Aegis for ${today} (UTC) is used up: ${amount}`);
    expect(rig.reads()).toBe(4);
  });

  it('a storm of 10,000 alerts in 50 groups: all kept and told, cognition within the cap of the day', async () => {
    const rig = await rigOf({ budgets: { all: { investigations_per_day_max: 7 } } });
    const groups = Array.from({ length: 50 }, (_, g) => `group-${g}`);
    for (let batch = 0; batch < 4; batch++)
      await rig.intake.alerts(
        groups.map((group) => ({
          ...alertGroup(group),
          alerts: Array.from(
            { length: 50 },
            (_, n) => alertGroup(group, { n: batch * 50 + n }).alerts,
          ).flat(),
        })),
      );
    await until('an empty inbox and 50 halted incidents', async () => {
      const rows = await incidents(rig);
      const idle = (await rig.store.inbox.pending(1)).length === 0;
      return idle && rows.length === 50 && rows.every((row) => row.state === HALTED);
    });
    expect(rig.begun()).toBe(7);
    let alerts = 0;
    let waiting = 0;
    for (const { incident_id } of await incidents(rig)) {
      const { context } = await standsIn(rig, incident_id, HALTED);
      alerts += context.incident?.alerts.length ?? 0;
      if (context.halt?.reason === 'budget') waiting += 1;
      expect(await rig.store.outbox.get(`root:${incident_id}`)).not.toBeNull();
    }
    expect(alerts).toBe(10_000);
    expect(waiting).toBe(43);
  });
});

describe("an incident's own budget", () => {
  it.each([
    ['calls', { tool_calls_max: 5 }, '5 of 5 calls'],
    ['tokens', { tokens_max: 500 }, '500 of 500 tokens'],
    ['money', { cost_usd_max: 0.5 }, '$0.50 of $0.50'],
  ])('%s: halts, and Resume grants another round of the same size', async (_unit, budget, amount) => {
    const rig = await rigOf({ budget, cognition: { investigate: reading(30) }, cost_usd: 0.1 });
    const id = await raise(rig, 'one');
    const first = await standsIn(rig, id, HALTED);
    expect(first.context.halt).toMatchObject({ reason: 'budget', resume_to: 'DIAGNOSING' });
    expect(first.context.halt?.text).toContain(`The budget of this incident is used up: ${amount}.`);
    await press(rig, 'resume', id);
    const second = await standsIn(rig, id, HALTED, first.context.step);
    expect(second.context.rounds).toBe(2);
    expect(rig.reads()).toBe(10);
  });

  it('a limit of no money stops nobody who costs nothing', async () => {
    const rig = await rigOf({ budget: { cost_usd_max: 0 }, cognition: { investigate: reading(3) } });
    expect((await standsIn(rig, await raise(rig, 'one'), HALTED)).context.halt?.reason).toBe('inconclusive');
  });

  it('ends cognition that heeds no refusal and no signal', async () => {
    const rig = await rigOf({
      budget: { tool_calls_max: 5 },
      cognition: { investigate: stubborn((n) => `read /teams/data/prod/k8s/file-${n}.yaml`) },
    });
    const halted = await standsIn(rig, await raise(rig, 'one'), HALTED);
    expect(halted.context.halt?.reason).toBe('budget');
    expect(rig.reads()).toBe(5);
  });

  it('a cause that was found on the last call stands', async () => {
    const investigate: Cognition['investigate'] = async (world) => {
      for (let n = 0; n < 6; n++) await read(world, `read /teams/data/prod/k8s/file-${n}.yaml`);
      return findings(true);
    };
    const rig = await rigOf({ budget: { tool_calls_max: 5 }, cognition: { investigate } });
    const halted = await standsIn(rig, await raise(rig, 'one'), HALTED);
    expect(halted.context.findings?.conclusive).toBe(true);
    expect(halted.context.halt?.text).toBe('No plan: There is no plan for it.');
  });
});

describe('kill -9', () => {
  it('between spending and the result: run again after the restart, charged once', async () => {
    let lost = 0;
    const losing = (store: Store): Store => ({
      ...store,
      effects: {
        ...store.effects,
        finish: async (effect_id, result) => {
          if ((result.payload as { type: string }).type !== 'investigated')
            return store.effects.finish(effect_id, result);
          lost += 1;
          throw new Error('killed here');
        },
      },
    });
    const options = {
      budgets: { all: { investigations_per_day_max: 1 } },
      cognition: { investigate: reading(4) },
    };
    const rig = await rigOf({ ...options, wrap: losing });
    const id = await raise(rig, 'one');
    await until('the lost result', async () => lost > 0);
    expect(await spent(rig, 'all', today)).toMatchObject({ investigations: 1, calls: 4 });
    const next = await restarted(rig, options);
    const halted = await standsIn(next, id, HALTED);
    expect(halted.context.halt?.reason).toBe('inconclusive');
    expect(next.begun()).toBe(1);
    for (const key of ['all', 'team:data', 'trigger:prod-alerts'])
      expect(await spent(next, key, today)).toMatchObject({ investigations: 1, calls: 4, tokens: 400 });
    expect(await spent(next, `investigate:${id}`)).toMatchObject({ calls: 4, reads: 4, tokens: 400 });
    expect((await replayIncident(next.store, id))?.equal).toBe(true);
  });
});

describe('an outage', () => {
  it('is retried within the investigation that was charged', async () => {
    const rig = await rigOf({
      budgets: { all: { investigations_per_day_max: 1 } },
      cognition: {
        investigate: async (world) => {
          if ((await read(world, `read ${POD}`)).ok) throw new Error('the source is ill');
          return findings(false);
        },
      },
    });
    const id = await raise(rig, 'one');
    const retries = await until('the first failed try', async () => {
      const row = await rig.store.incidents.get(id);
      return row !== null && JSON.stringify(row.snapshot).includes('the source is ill') ? row : null;
    });
    expect(retries.state).toBe('DIAGNOSING');
    rig.clock.ms += 60_000;
    await until('the second try', async () => rig.begun() >= 2);
    expect((await spent(rig, 'all', today)).investigations).toBe(1);
  });
});

describe('the reserve', () => {
  it('is there in full when the investigation and the day have nothing left', async () => {
    const rig = await rigOf({ budgets: { all: { investigations_per_day_max: 0, calls_per_day_max: 0 } } });
    const { context } = walkTo('CLEARING');
    const spend = {
      payer: { ...payerOf(walkTo('DIAGNOSING').context, at()), attempt: 'a' } as Payer,
      calls: 999,
    };
    await rig.store.ledger.append('SYSTEM', [{ kind: 'call', actor: 'aegis:test', payload: {}, spend }]);
    const gate = budgetGate.check({ budgets: await readBudgets(rig.deps, context) } as unknown as GateFacts);
    expect(gate.status).toBe('passed');
    expect(gate.reason).toMatch(/^999 of 60 calls used by the investigation; reserve .*: 0 of 300 calls/);
  });

  it('pays for checks that poll, and polling is no loop', async () => {
    const rig = await rigOf({ content: () => 'state: RUNNING' });
    const { context } = walkTo('VERIFYING');
    const input: EffectInput = {
      deps: rig.deps,
      context: shortChecks(context),
      running: context.running ?? { effect_id: 'none', kind: 'verify', change_id: null },
      signal: new AbortController().signal,
      at: () => at(60),
    };
    const polls = setInterval(() => (rig.clock.ms += 1000), 5);
    const event = await verifyEffect(input).finally(() => clearInterval(polls));
    expect(event.type).toBe('verified');
    expect(rig.reads()).toBeGreaterThan(15);
    expect((await spent(rig, `reserve:${ID}:1`)).calls).toBe(rig.reads());
    expect((await spent(rig, `investigate:${ID}`)).calls).toBe(0);
    expect((await spent(rig, 'all', today)).calls).toBe(0);
  });

  it('too small for change, checks and undo: the gate says so before anything runs, Plan again has its own', async () => {
    const rig = await rigOf();
    const { context } = walkTo('CLEARING');
    const spend = { payer: { ...payerOf(context, at()), attempt: 'a' } as Payer, calls: 280 };
    await rig.store.ledger.append('SYSTEM', [{ kind: 'call', actor: 'aegis:test', payload: {}, spend }]);
    const check = async (c: MachineContext) =>
      budgetGate.check({ budgets: await readBudgets(rig.deps, c) } as unknown as GateFacts);
    expect(await check(context)).toMatchObject({
      status: 'refused',
      reason: expect.stringMatching(/^280 of 300 calls of this plan's reserve/) as string,
      remedy: expect.stringMatching(/Resume.*Plan again/) as string,
    });
    expect((await check({ ...context, rounds: 2 })).status).toBe('passed');
    expect((await check({ ...context, revision: 2 })).status).toBe('passed');
  });
});

/** The checks of the walk, polled as often as a test can wait for. */
function shortChecks(context: MachineContext): MachineContext {
  const { plan } = context;
  if (plan === null) return context;
  const verify = plan.payload.plan.verify.map((check) => ({ ...check, every_s: 0.001, within_s: 60 }));
  return {
    ...context,
    plan: { ...plan, payload: { ...plan.payload, plan: { ...plan.payload.plan, verify } } },
  };
}

describe('the cards', () => {
  it('say what is used, of what, and whose', async () => {
    const rig = await rigOf({
      budgets: { each_team: { investigations_per_day_max: 2 } },
      budget: { tool_calls_max: 20 },
      cognition: { investigate: reading(6) },
    });
    const id = await raise(rig, 'one');
    const first = await standsIn(rig, id, HALTED);
    const root = async () => (await rig.store.outbox.get(`root:${id}`))?.notice;
    expect(await root()).toMatchObject({
      budget: { tool_calls: 6, tool_calls_max: 20, shared: 'team data today: 1 of 2 investigations' },
    });
    await press(rig, 'plan_again', id);
    await standsIn(rig, id, HALTED, first.context.step + 1);
    expect(await root()).toMatchObject({
      budget: { tool_calls: 12, shared: 'team data today: 2 of 2 investigations' },
    });
  });

  it('offer Hand over where the choice is a person’s', () => {
    const halted = take(walkTo('DIAGNOSING'), {
      type: 'looped',
      at: at(9),
      effect_id: runningId(walkTo('DIAGNOSING')),
      pattern: 'same_read',
      what: 'read /x',
      times: 5,
    });
    const view = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: false, approvers: 'Dan' };
    expect(incidentNotice(halted, view).buttons).toEqual(['resume', 'plan_again', 'hand_over']);
  });
});

/** Feeds reads with what came of them until one is refused. */
function feed(reads: Iterable<readonly [command: string, content: string | null]>): {
  breach: Breach | null;
  made: number;
} {
  let state = NO_READS;
  let made = 0;
  for (const [command, content] of reads) {
    const breach = beforeRead(state, command);
    if (breach !== null) return { breach, made };
    state = answered(asked(state, command), content === null ? 'refused' : { sha256: content });
    made += 1;
  }
  return { breach: null, made };
}

const times = (n: number, of: (n: number) => readonly [string, string | null]) =>
  Array.from({ length: n }, (_, i) => of(i));
const POD = '/teams/data/prod/k8s/pods/a.yaml';
const LOG = '/teams/data/prod/logs/driver.log';

describe('the loop detector, over the reads of one round', () => {
  it('exact repetition: the same read is refused the time after the last that is allowed', () => {
    const asked = feed(times(20, (n) => [`read ${POD}`, `c${n}`]));
    expect(asked).toMatchObject({
      made: SAME_READ_MAX,
      breach: { pattern: 'same_read', what: `read ${POD}` },
    });
    expect(feed(times(20, (n) => [`read${' '.repeat((n % 3) + 1)}${POD}`, `c${n}`])).made).toBe(
      SAME_READ_MAX,
    );
    expect(feed(times(20, () => [`read ${POD}`, null])).breach?.pattern).toBe('same_read');
  });

  it.each<[string, (n: number) => string]>([
    ['limits', (n) => `tail -n ${n + 50} ${LOG}`],
    ['windows', (n) => `grep "OOM" ${LOG} --since ${n + 1}h | tail -n 50`],
    ['absolute times', (n) => `grep "OOM" ${LOG} --since 2026-11-23T10:${String(n).padStart(2, '0')}:00Z`],
    ['parameters', (n) => `read ${LOG}?limit=${n + 10}&window=${n}m`],
    ['ranges that overlap', (n) => `read ${LOG} --lines 1-${100 + n}`],
    [
      'order of the words',
      (n) => (n % 2 === 0 ? `tail -n ${n} ${LOG} --since 1h` : `tail --since 2h -n ${n} ${LOG}`),
    ],
  ])('near repetition: the same question with other %s, though each answer is new', (_what, command) => {
    const asked = feed(times(40, (n) => [command(n), `c${n}`]));
    expect(asked).toMatchObject({ made: NEAR_READS_MAX, breach: { pattern: 'near_read' } });
  });

  it.each<[string, (n: number) => string]>([
    ['pages of a long file', (n) => `read ${LOG} --lines ${n * 400 + 1}-${n * 400 + 400}`],
    ['pods of a stateful set', (n) => `read /teams/data/prod/k8s/pods/db-${n}.yaml`],
    ['patterns', (n) => `grep "request ${n}" ${LOG} --since 1h | tail -n 50`],
    [
      'files in a long pipeline',
      (n) => `grep -i "a" /logs/${n}.log --since 1h | grep -v "b" | grep "c" | tail -n 9`,
    ],
  ])('is not excited by other %s', (_what, command) => {
    expect(feed(times(100, (n) => [command(n), `c${n}`])).breach).toBeNull();
  });

  it('no new evidence: reads in a row that bring what was seen, or nothing', () => {
    const seen = feed(times(60, (n) => [`read /teams/data/prod/k8s/file-${n}.yaml`, 'always the same']));
    expect(seen).toMatchObject({ made: NOTHING_NEW_READS_MAX + 1, breach: { pattern: 'nothing_new' } });
    const refused = feed(times(60, (n) => [`read /no/such/file-${n}`, null]));
    expect(refused).toMatchObject({ made: NOTHING_NEW_READS_MAX, breach: { pattern: 'nothing_new' } });
    const now_and_then = times(
      200,
      (n) => [`read /f/${n}`, n % NOTHING_NEW_READS_MAX === 0 ? `c${n}` : 'old'] as const,
    );
    expect(feed(now_and_then).breach).toBeNull();
  });

  it('a source that does not answer says nothing about the reader', () => {
    let state = NO_READS;
    for (let n = 0; n < 60; n++) {
      expect(beforeRead(state, `read /f/${n}`)).toBeNull();
      state = answered(asked(state, `read /f/${n}`), 'unreachable');
    }
  });

  it('property: never fires on distinct reads that each bring something new', () => {
    const name = fc.stringMatching(/^[a-z]{3,8}(-[0-9a-f]{1,4})?$/);
    const question = fc.tuple(fc.constantFrom('read', 'head', 'tail -n 20', 'grep "x"'), name);
    fc.assert(
      fc.property(fc.uniqueArray(question, { maxLength: 120, selector: ([, file]) => file }), (asked) => {
        expect(feed(asked.map(([verb, file], n) => [`${verb} /t/${file}`, `c${n}`])).breach).toBeNull();
      }),
    );
  });

  it('property: always fires within a bound on what repeats with any period, whatever the answers', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.stringMatching(/^[a-z0-9 -]{1,20}$/), { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        (period, fresh) => {
          const bound = period.length * SAME_READ_MAX;
          const asked = times(bound + 1, (n) => [
            `read /t/x ${period[n % period.length] ?? ''}`,
            fresh ? `c${n}` : 'old',
          ]);
          const { breach, made } = feed(asked);
          expect(breach).not.toBeNull();
          expect(made).toBeLessThanOrEqual(bound);
        },
      ),
    );
  });

  it('property: always fires within a bound on a period of reads whose numbers move on', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), (period) => {
        const asked = times(period * NEAR_READS_MAX + 1, (n) => [
          `tail -n ${n} /logs/${n % period}.log`,
          `c${n}`,
        ]);
        expect(feed(asked).breach?.pattern).toBe('near_read');
      }),
    );
  });
});

/** A plan that scales one object, or the change of the fixtures. */
const scaleTo = (replicas: number, target = 'mcp://k8s/prod-1/shop/deployment/api') => ({
  ...draft(),
  actions: draft().actions.map((action) => ({ ...action, tool: 'k8s.scale', target, params: { replicas } })),
});
type Draft = ReturnType<typeof draft>;
type End = 'denied' | 'put back' | 'did not help' | 'failed' | 'conflict' | 'expired' | 'stopped';

function pastOf(plans: readonly (readonly [Draft, End])[]): HarnessEvent[] {
  const base = { at: at(), effect_id: 'x' };
  const check = {
    check_id: 'v1',
    title: 't',
    found: 'x',
    evidence_id: null,
    tries: 1,
    status: 'failed' as const,
  };
  const ends: Record<End, HarnessEvent> = {
    denied: decide(walkTo('PENDING_APPROVAL'), 'dan', 'deny', 6),
    'put back': { type: 'undone', ...base, change_id: 'CHG-1', outcome: outcome(), put_back: 'yes' },
    'did not help': { type: 'verified', ...base, checks: [check] },
    conflict: {
      type: 'cleared',
      ...base,
      verdict: 'conflict',
      gates: [],
      reason: 'it changed',
      remedy: 'look',
    },
    failed: { type: 'executed', ...base, change_id: 'CHG-1', outcome: outcome('failed') },
    expired: { type: 'timer', at: at(), kind: 'approval_expiry', armed_step: 1 },
    stopped: { type: 'stopped', at: at(), by: 'maya', reason: '' },
  };
  return plans.flatMap(([plan, end]) => [{ type: 'drafted', ...base, draft: plan } as const, ends[end]]);
}

describe('the loop detector, over the plans of an incident', () => {
  const looped: HarnessEvent = {
    type: 'looped',
    at: at(),
    effect_id: 'x',
    pattern: 'same_plan',
    what: 'x',
    times: 3,
  };

  it.each(['denied', 'put back', 'did not help', 'failed', 'conflict'] as const)(
    'plan -> %s -> the same plan: once more is no loop, a third time is',
    (end) => {
      expect(planLoop([], draft())).toBeNull();
      expect(planLoop(pastOf([[draft(), end]]), draft())).toBeNull();
      const breach = planLoop(
        pastOf(Array.from({ length: SAME_PLAN_MAX }, () => [draft(), end] as const)),
        draft(),
      );
      expect(breach).toMatchObject({ pattern: 'same_plan', times: 3 });
      expect(breach?.what).toContain('Raise driver memory to 2g');
    },
  );

  it('plans that nobody answered, or that somebody stopped, say nothing', () => {
    const past_plans = pastOf(
      ['expired', 'stopped', 'expired', 'stopped'].map((end) => [draft(), end as End] as const),
    );
    expect(planLoop(past_plans, draft())).toBeNull();
  });

  it('A B A B: one object scaled up and down', () => {
    const to_and_fro = pastOf([
      [scaleTo(2), 'did not help'],
      [scaleTo(4), 'put back'],
      [scaleTo(2), 'denied'],
    ]);
    expect(planLoop(to_and_fro, scaleTo(4))).toMatchObject({ pattern: 'oscillation', times: 2 });
    expect(planLoop(to_and_fro, scaleTo(6))).toBeNull();
    expect(planLoop(to_and_fro, scaleTo(4, 'mcp://k8s/prod-1/shop/deployment/web'))).toBeNull();
  });

  it('other words for the same change are the same change', () => {
    const reworded = {
      ...draft(),
      actions: draft().actions.map((a) => ({ ...a, intent: 'Something quite new' })),
    };
    expect(
      planLoop(
        pastOf([
          [draft(), 'denied'],
          [reworded, 'denied'],
        ]),
        draft(),
      ),
    ).not.toBeNull();
  });

  it('counts anew after a breach: only a person goes on from there', () => {
    const twice = pastOf([
      [draft(), 'denied'],
      [draft(), 'denied'],
    ]);
    expect(planLoop([...twice, looped], draft())).toBeNull();
    expect(planLoop([...twice, looped, ...twice], draft())).not.toBeNull();
  });
});

describe('a loop halts the incident', () => {
  it.each<[string, (n: number) => string, RigOptions['content'] | null, RegExp]>([
    [
      'the same read',
      () => `read ${POD}`,
      null,
      /^It went in circles: "read .*a\.yaml" was asked 5 times in one go\.$/,
    ],
    [
      'nearly the same read',
      (n) => `tail -n ${n} ${LOG}`,
      null,
      /^It went in circles: 8 times nearly the same was asked/,
    ],
    [
      'nothing new',
      (n) => `read /f/${n}`,
      () => 'same',
      /^It got no further: 12 reads in a row brought nothing new/,
    ],
  ])('%s, by a cognition that heeds nothing', async (_what, command, content, text) => {
    const rig = await rigOf({
      cognition: { investigate: stubborn(command) },
      ...(content === null || content === undefined ? {} : { content }),
    });
    const id = await raise(rig, 'one');
    const halted = await standsIn(rig, id, HALTED);
    expect(halted.context.halt).toMatchObject({ reason: 'loop', resume_to: 'DIAGNOSING' });
    expect(halted.context.halt?.text).toMatch(text);
    expect(halted.context.halt?.next_step).toMatch(/Resume.*Plan again.*Hand over/);
    expect(await thread(rig, id)).toContain(halted.context.halt?.text);
    const refusals = await rig.store.ledger.read(id, { kinds: ['refusal'] });
    expect(refusals.map((entry) => entry.payload['code'])).toContain('going-in-circles');
    // Resume is another round of the same size, with the count begun anew; rounds of the budget are not touched.
    const reads = rig.reads();
    await press(rig, 'resume', id);
    const again = await standsIn(rig, id, HALTED, halted.context.step);
    expect(rig.reads()).toBe(2 * reads);
    expect(again.context).toMatchObject({ rounds: 1, halt: { reason: 'loop' } });
    expect((await replayIncident(rig.store, id))?.equal).toBe(true);
  });

  it('a refused read is a value, and who heeds it can still say so; the halt comes all the same', async () => {
    const codes: string[] = [];
    const investigate: Cognition['investigate'] = async (world) => {
      for (let n = 0; n < SAME_READ_MAX + 1; n++) {
        const answer = await read(world, `read ${POD}`);
        if (!answer.ok) codes.push(answer.refusal.code);
      }
      return findings(true);
    };
    const rig = await rigOf({ cognition: { investigate } });
    expect((await standsIn(rig, await raise(rig, 'one'), HALTED)).context.halt?.reason).toBe('loop');
    expect(codes).toEqual(['going-in-circles']);
  });

  it('the same read many times at once is as many times', async () => {
    const investigate: Cognition['investigate'] = async (world) => {
      await Promise.all(Array.from({ length: 16 }, () => read(world, `read ${POD}`)));
      return findings(false);
    };
    const rig = await rigOf({ cognition: { investigate } });
    expect((await standsIn(rig, await raise(rig, 'one'), HALTED)).context.halt?.reason).toBe('loop');
    expect(rig.reads()).toBe(SAME_READ_MAX);
  });

  /** The incident of the fixtures with one plan denied so often. */
  async function deniedPlans(rig: Rig, n: number): Promise<Snapshot> {
    const events: HarnessEvent[] = [];
    const opened = await past(rig, [
      { type: 'opened', at: at(), context: incidentContext(), channel: 'C00000001' },
    ]);
    let s = opened;
    const go = (event: HarnessEvent): void => {
      events.push(event);
      s = take(s, event);
    };
    go({ type: 'triaged', at: at(1), effect_id: runningId(s), skills: [] });
    go({ type: 'activated', at: at(2), by: 'maya' });
    for (let plan = 0; plan < n; plan++) {
      if (plan > 0) go({ type: 'plan_again', at: at(3), by: 'maya' });
      go({ type: 'investigated', at: at(4), effect_id: runningId(s), findings: findings() });
      go({ type: 'drafted', at: at(5), effect_id: runningId(s), draft: draft() });
      go(preparedEvent(runningId(s), s.context.revision, 6));
      go(decide(s, 'dan', 'deny', 7));
    }
    return past(rig, events, opened);
  }

  it('the same plan that was denied twice, also when Aegis was restarted in between', async () => {
    const cognition: Partial<Cognition> = {
      investigate: async () => findings(true),
      plan: async () => ({ ok: true, draft: draft() }),
    };
    const rig = await rigOf({ cognition });
    const denied = await deniedPlans(rig, 2);
    expect(denied.context.halt?.reason).toBe('denied');
    const next = await restarted(rig, { cognition });
    await press(next, 'plan_again', ID);
    const halted = await standsIn(next, ID, HALTED, denied.context.step);
    expect(halted.context.halt).toMatchObject({ reason: 'loop', resume_to: 'PLANNING' });
    expect(halted.context.halt?.text).toMatch(
      /^The same plan came for the third time, after it had come to nothing before: Raise driver memory to 2g \(denied by dan, then denied by dan\)\.$/,
    );
    expect((await replayIncident(next.store, ID))?.equal).toBe(true);
  });

  it('is over for the plan once a person lets it go on', async () => {
    const rig = await rigOf();
    const denied = await deniedPlans(rig, 2);
    const again = take(denied, { type: 'plan_again', at: at(20), by: 'maya' });
    const planning = take(again, {
      type: 'investigated',
      at: at(21),
      effect_id: runningId(again),
      findings: findings(),
    });
    const circle = { type: 'looped', pattern: 'same_plan', what: 'x', times: 3 } as const;
    const halted = take(planning, { ...circle, at: at(22), effect_id: runningId(planning) });
    const resumed = take(halted, { type: 'resumed', at: at(23), by: 'maya' });
    expect(resumed).toMatchObject({ state: 'PLANNING', context: { running: { kind: 'plan' }, halt: null } });
  });
});
