import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hashOf } from '../../src/contract/canonical.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import { approvedPlan, execute, type ApprovedPlan, type PlanKnobs } from '../gateway/approved-plan.ts';
import { JOB, startStage, type Stage } from '../gateway/stage.ts';
import { editPayload } from '../scenarios/tampering.ts';
import { score } from '../harness/shadow-samples.ts';
import { INC, incidentContext, step } from '../store/samples.ts';
import type { Place } from './edit-rows.ts';
import { refusedWrite } from './refused-write.ts';

/**
 * Autonomy `limited` at the execute door: what runs although nobody was asked, and every way to get more than that. The
 * ledger of each incident says all that a harness could say; the gateway looks up the rest by itself.
 */
const DAY_MS = 24 * 3_600_000;
const UNATTENDED: PlanKnobs = {
  autonomy: 'limited',
  tier: 'tier3',
  approvers: [],
  rule: { name: 'tier3-nobody-asked', people: 0 },
  risk: { required_gates: [] },
};
let stage: Stage;
let place: Place;
/** What aegis.yaml says of data/prod; the gateway reads it at each call. */
let configured: GatewaySettings['teams'][string]['environments'][string];
let changes = 1000;
let others = 500;

beforeAll(async () => {
  stage = await startStage({
    settings: (settings) => {
      const teams = structuredClone(settings.teams);
      configured = teams['data']?.environments['prod'] as typeof configured;
      return { ...settings, teams };
    },
  });
  place = { home: join(stage.home, 'state'), store: stage.store };
});
afterAll(() => stage.close());
beforeEach(async () => {
  Object.assign(configured, { tier: 'tier3', autonomy: 'limited' });
  stage.clock.skip(2 * DAY_MS);
  memoryIs('1g');
  // A person approves a change of the object, so that each case begins a row of its own.
  expect(await execute(stage, await plan({ approvers: ['bo', 'cy'], rule: {} }))).toMatchObject(DONE);
  memoryIs('1g');
});

const DONE = { outcome: { status: 'done' } };
const memoryIs = (memory: string): void =>
  void stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
    spec: { driver: { memory } },
  });

/** A plan that has been shown for as long as it must be. */
async function plan(knobs: PlanKnobs = {}, shown_s = 31): Promise<ApprovedPlan> {
  changes += 1;
  const made = await approvedPlan(stage, { ...UNATTENDED, change_id: `CHG-${changes}`, ...knobs });
  stage.clock.skip(shown_s * 1000);
  return made;
}

async function refused(code: string, approved: ApprovedPlan): Promise<void> {
  await refusedWrite(stage, code, () => execute(stage, approved), approved.incident_id);
}

const system = async () =>
  (await stage.store.ledger.read('SYSTEM', { from_seq: 1, limit: 10_000 })).filter(
    (e) => e.kind === 'permit',
  );

describe('within its bounds', () => {
  it('runs, and the SYSTEM chain says what ran, where, and from which value', async () => {
    const approved = await plan();
    expect(await execute(stage, approved)).toMatchObject(DONE);
    expect((await system()).at(-1)).toMatchObject({
      actor: 'aegis:gateway',
      payload: {
        type: 'unattended_change',
        incident_id: approved.incident_id,
        change_id: approved.permit.change_id,
        team: 'data',
        env: 'prod',
        service: 'nightly-settlement',
        target: JOB,
        before: { '/spec/driver/memory': 2 ** 30 },
      },
    });
  });

  it('an undo needs no room: it puts back what the last place was used for', async () => {
    expect(await execute(stage, await plan())).toMatchObject(DONE);
    memoryIs('1g');
    const last = await plan();
    expect(await execute(stage, last)).toMatchObject(DONE);
    Object.assign(configured, { autonomy: 'approve' });
    const params = { changes: [{ path: '/spec/driver/memory', value: '1g' }] };
    const { change_id, tool } = last.permit;
    const token = await stage.token({ incident_id: last.incident_id });
    const seen = await stage.gateway.preview({ token, tool, target: JOB, params, change_id, why: 'undo' });
    if (isRefusal(seen)) throw new Error(seen.reason);
    await stage.store.ledger.append(last.incident_id, [
      { kind: 'preview', actor: 'aegis:gateway', payload: { change_id, preview: seen.preview } },
    ]);
    const { effect_hash } = seen.preview;
    const permit_id = await last.mint({ phase: 'undo', args_hash: hashOf(params), effect_hash });
    expect(await execute(stage, last, { permit_id, params })).toMatchObject(DONE);
  });

  it('a second permit for a change that ran returns its result, also when the caps are used up meanwhile', async () => {
    const first = await plan();
    expect(await execute(stage, first)).toMatchObject(DONE);
    expect(await execute(stage, first)).toMatchObject({ outcome: { status: 'done', replayed: true } });
    const mine = (await system()).filter((e) => e.payload['incident_id'] === first.incident_id);
    expect(mine).toHaveLength(1);
  });
});

describe('more than its bounds', () => {
  it('a third change of the object within a day', async () => {
    for (const _ of [1, 2]) {
      expect(await execute(stage, await plan())).toMatchObject(DONE);
      memoryIs('1g');
    }
    await refused('unattended-limit', await plan());
  });

  it('racing for the last place: two incidents, one change', async () => {
    expect(await execute(stage, await plan())).toMatchObject(DONE);
    memoryIs('1g');
    const [left, right] = [await plan(), await plan()];
    const answers = await Promise.all([execute(stage, left), execute(stage, right)]);
    const taken = (await system()).filter((e) =>
      [left, right].some((p) => p.incident_id === e.payload['incident_id']),
    );
    expect(taken).toHaveLength(1);
    expect(answers.filter((answer) => 'code' in answer && answer.code === 'unattended-limit')).toHaveLength(
      1,
    );
  });

  it('small steps over days: drift is measured from where the row began', async () => {
    expect(await execute(stage, await plan({ value: '1700m' }))).toMatchObject(DONE);
    stage.clock.skip(2 * DAY_MS);
    await refused('unattended-limit', await plan({ value: '2400m' }));
  });

  it('a fourth change of the object that nobody looked at, however slowly', async () => {
    for (const value of ['1100m', '1200m', '1300m']) {
      expect(await execute(stage, await plan({ value }))).toMatchObject(DONE);
      stage.clock.skip(2 * DAY_MS);
    }
    await refused('unattended-limit', await plan({ value: '1400m' }));
    expect(
      await execute(stage, await plan({ approvers: ['bo', 'cy'], rule: {}, value: '1400m' })),
    ).toMatchObject(DONE);
    expect(await execute(stage, await plan({ value: '1500m' }))).toMatchObject(DONE);
  });

  it('an entry of the SYSTEM chain edited, so that an earlier change seems to be of another object', async () => {
    expect(await execute(stage, await plan())).toMatchObject(DONE);
    memoryIs('1g');
    const seq = (await system()).at(-1)?.seq as number;
    const next = await plan();
    const before = editPayload(place.home, 'SYSTEM', seq, (text) => text.replace('/nightly-', '/hourly-'));
    expect(before).toContain('/nightly-');
    const answer = await execute(stage, next);
    editPayload(place.home, 'SYSTEM', seq, () => before);
    expect(answer).toMatchObject({ code: 'ledger-tampered' });
  });
});

describe('without the right to act alone', () => {
  it('an incident that asks people, with a plan that asks nobody', async () => {
    await refused('approval-missing', await plan({ autonomy: 'approve' }));
  });

  it('an incident whose level fell after it opened', async () => {
    const events = [{ type: 'stepped_down', autonomy: 'approve' }];
    await refused('approval-missing', await plan({ events }));
  });

  it('aegis.yaml asks people by now', async () => {
    const approved = await plan();
    Object.assign(configured, { autonomy: 'approve' });
    await refused('autonomy-forbids', approved);
  });

  it('aegis.yaml has made the environment more precious since', async () => {
    const approved = await plan();
    Object.assign(configured, { tier: 'tier2' });
    await refused('approval-missing', approved);
  });

  it('the ladder went down through another incident', async () => {
    const approved = await plan();
    const at = new Date(stage.clock.now()).toISOString();
    const failed = {
      kind: 'run',
      verdict: 'failed',
      service: 'nightly-settlement',
      autonomy: 'limited',
    } as const;
    await stage.store.step.commit(step(0, { scores: [score(1, { ...failed, incident_id: INC, at })] }));
    await refused('autonomy-forbids', approved);
    stage.clock.skip(1000);
    const here = { team: 'data', env: 'prod', service: 'nightly-settlement' };
    for (const by of ['bo', 'cy'])
      await stage.store.ladder.vote(here, { to: 'limited', by, window_ms: DAY_MS });
    expect(await execute(stage, approved)).toMatchObject(DONE);
  });

  it('a rule that the policies do not have', async () => {
    await refused('approval-missing', await plan({ rule: { name: 'anything-goes', people: 0 } }));
  });

  it('the rule of the policies with a longer life', async () => {
    await refused(
      'approval-missing',
      await plan({ rule: { name: 'tier3-nobody-asked', people: 0, expires_after_s: 86_400 } }),
    );
  });

  it('a risk that asks for two people, with the rule for none', async () => {
    await refused(
      'approval-missing',
      await plan({ risk: { required_gates: ['two_person_approval_required'] } }),
    );
    await refused('approval-missing', await plan({ risk: { required_gates: [], blast_radius_score: 0.6 } }));
  });

  it('a tool that no such rule names', async () => {
    const action = {
      tool: 'k8s.patch',
      target: 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api',
      params: {
        changes: [
          { path: '/spec/template/spec/containers/settlement-api/resources/limits/memory', value: '768Mi' },
        ],
      },
    };
    await refused('approval-missing', await plan({ action }));
  });

  it('a person denied it', async () => {
    await refused('approval-missing', await plan({ denied_by: 'dee' }));
    await refused('approval-missing', await plan({ approval_status: 'void' }));
    await refused('approval-missing', await plan({ approval_status: 'expired' }));
  });

  it.each([
    ['denied its last plan', { type: 'decided', decision: 'deny', by: 'dee' }],
    ['pressed Stop', { type: 'stopped', by: 'dee', reason: 'no' }],
    ['took it over by hand', { type: 'handed_over', by: 'dee' }],
  ])('planned again after a person %s', async (_, no) => {
    await refused('person-said-no', await plan({ events: [no, { type: 'plan_again', by: 'dee' }] }));
  });

  it('planned again in another incident after a person said no to the same change, for a day', async () => {
    const at = new Date(stage.clock.now()).toISOString();
    others += 1;
    const incident_id = `INC-2026-1123-${others}`;
    const context = incidentContext(incident_id);
    const entries = [
      { type: 'opened', context, at, channel: 'C1' },
      { type: 'decided', at, by: 'dee', decision: 'deny' },
    ].map((payload) => ({ kind: 'event' as const, actor: 'aegis:test', payload }));
    const planned = [{ tool: 'job.update_spec', target: JOB }];
    await stage.store.step.commit(step(0, { incident_id, entries, planned }));
    await refused('person-said-no', await plan());
    stage.clock.skip(DAY_MS);
    expect(await execute(stage, await plan())).toMatchObject(DONE);
  });

  it('nobody had the time to say no', async () => {
    await refused('not-shown-yet', await plan({}, 28));
  });

  it('nothing was ever written down about who is asked', async () => {
    await refused('approval-missing', await plan({ without: 'approval' }));
  });

  it('frozen', async () => {
    const approved = await plan();
    await stage.store.freezes.set({
      freeze_id: 'FRZ-1',
      scope: 'data/prod',
      reason: 'audit',
      by: 'ines',
      until_ms: null,
    });
    await refused('frozen', approved);
    await stage.store.freezes.lift('data/prod', 'ines', 'over');
    expect(await execute(stage, approved)).toMatchObject(DONE);
  });
});
