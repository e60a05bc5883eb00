import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/contract/canonical.ts';
import { MachineContext } from '../../src/harness/state.ts';
import { Notice } from '../../src/contract/notice.ts';
import type { SeenChange } from '../../src/contract/shadow.ts';
import { commitOf } from '../../src/harness/commit-of.ts';
import type { HarnessEvent } from '../../src/harness/events.ts';
import { step } from '../../src/harness/machine.ts';
import { emptySnapshot, QUIET_MS } from '../../src/harness/state.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import {
  at,
  decide,
  draft,
  incidentContext,
  preparedEvent,
  runningId,
  take,
  TARGET,
  walkTo,
} from './fixtures.ts';
import { seen } from './shadow-samples.ts';

/** A shadowed incident in the machine: how it is watched, how it ends, and that no way leads from it to an execution. */
const TERMS = { quiet_s: 60, watch_s: 3600 };
const SHADOWED = { autonomy: 'suggest' as const, shadow: TERMS };
const VIEW = {
  ledger_head: '0'.repeat(64),
  tool_calls: 0,
  simulated: true,
  approvers: 'Dan',
  ladder: 'data/prod is on suggest.',
};
const MEMORY = '/spec/driver/memory';

/** What a person did to the job that the plan is about. */
function byHand(change: Partial<SeenChange> = {}): SeenChange {
  return seen({
    target: TARGET,
    manager: 'kubectl-patch',
    fields: [MEMORY],
    values: { [MEMORY]: '2g' },
    template: null,
    at: at(65),
    ...change,
  });
}

function watched(change = {}): Snapshot {
  let s = walkTo('PLANNING', { ...SHADOWED, ...change });
  s = take(s, { type: 'drafted', at: at(4), effect_id: runningId(s), draft: draft() });
  return take(s, preparedEvent(runningId(s), s.context.revision, 5));
}

function observed(
  s: Snapshot,
  offset_s: number,
  change: Partial<Extract<HarnessEvent, { type: 'observed' }>> = {},
): Extract<HarnessEvent, { type: 'observed' }> {
  const base = { at: at(offset_s), effect_id: runningId(s) };
  return { type: 'observed', ...base, changes: [], unseen: [], final: false, over: false, ...change };
}

function alerts(status: 'firing' | 'resolved', offset_s: number): HarnessEvent {
  const list = incidentContext().alerts.map((alert) => ({ ...alert, status }));
  return { type: 'alerts', at: at(offset_s), status, alerts: list };
}

const quiet = (offset_s: number): HarnessEvent => ({
  type: 'timer',
  at: at(offset_s),
  kind: 'quiet',
  armed_step: 1,
});

describe('a shadowed incident', () => {
  it('is watched from the plan on, and a look that sees something begins the next one', () => {
    let s = watched();
    expect(s.state).toBe('OBSERVING');
    expect(s.context.running?.kind).toBe('observe');
    expect(s.context.shadow?.compared).toMatchObject({ posted_at: at(5), actions: [{ target: TARGET }] });
    const before = runningId(s);
    s = take(s, observed(s, 70, { changes: [byHand()] }));
    expect(s.context.shadow?.seen).toHaveLength(1);
    expect(s.context.running?.kind).toBe('observe');
    expect(runningId(s)).not.toBe(before);
  });

  it('ends with the look after the quiet time: report, score and closing in one step', () => {
    let s = watched();
    s = take(s, observed(s, 70, { changes: [byHand()] }));
    s = take(s, alerts('resolved', 80));
    expect(step(s, quiet(100))).toMatchObject({ ok: false, refusal: { code: 'stale-timer' } });
    s = take(s, quiet(140));
    expect(s).toMatchObject({ state: 'OBSERVING', context: { running: { kind: 'observe' } } });
    const last = observed(s, 141, { final: true });
    const end = take(s, last);
    expect(end.state).toBe('CLOSED');
    expect(end.context.shadow?.score).toMatchObject({ verdict: 'hit', lead_ms: 60_000 });
    expect(end.context.outcome).toContain('People did what the plan says. The plan was there 1 min before');
    const commit = commitOf(s, last, end, 'aegis:test', [], VIEW);
    expect(commit.scores).toMatchObject([
      { kind: 'shadow', verdict: 'hit', autonomy: 'suggest', service: '-' },
    ]);
    expect(commit.entries.filter((entry) => entry.kind === 'review')).toHaveLength(1);
    const report = commit.cards.find((card) => card.card_key.startsWith('shadow:'));
    expect(Notice.parse(report?.notice)).toMatchObject({
      kind: 'shadow',
      ladder: VIEW.ladder,
      verdict: 'hit',
    });
  });

  it('goes on when the alert fires again during the last look', () => {
    let s = watched();
    s = take(s, alerts('resolved', 80));
    s = take(s, quiet(140));
    s = take(s, alerts('firing', 141));
    s = take(s, observed(s, 142, { final: true }));
    expect(s).toMatchObject({ state: 'OBSERVING', context: { running: { kind: 'observe' } } });
    expect(s.context.shadow?.score).toBeNull();
  });

  it('takes each human action once, however often it is seen: also by a look that a restart ran again', () => {
    let s = watched();
    const first = observed(s, 70, { changes: [byHand()] });
    s = take(s, first);
    // The same result once more is the result of an effect that nobody waits for.
    expect(step(s, first)).toMatchObject({ ok: false, refusal: { code: 'stale-effect' } });
    s = take(s, observed(s, 75, { changes: [byHand(), byHand({ key: 'k2', at: at(74) })] }));
    expect(s.context.shadow?.seen.map((change) => change.key)).toEqual(['k1', 'k2']);
    const again = commitOf(s, observed(s, 76, { changes: [byHand()] }), s, 'aegis:test', [], VIEW);
    expect(JSON.stringify(again.cards.filter((card) => card.placement === 'thread'))).not.toContain(
      'by hand',
    );
  });

  it('tells a commit in words, once, keeps it across a restart, and scores it where repositories are watched', () => {
    const commit = byHand({
      key: 'g1',
      target: 'mcp://git/infra/-/branch/main',
      uid: 'c'.repeat(40),
      manager: 'Ana <!channel>',
      operation: 'commit',
      fields: ['deploy/values.yaml', 'a', 'b', 'c'],
      values: { 'deploy/values.yaml': `blob ${'b'.repeat(40)}` },
      commit: { repository: 'infra', branch: 'main', protected: true, subject: 'Raise the memory' },
    });
    let s = watched({ shadow: { ...TERMS, repositories: ['infra'] } });
    const seen_once = observed(s, 70, { changes: [commit] });
    const told = commitOf(s, seen_once, take(s, seen_once), 'aegis:test', [], VIEW);
    expect(JSON.stringify(told.cards)).toContain(
      'Ana <!channel> committed cccccccccc to main of infra, “Raise the memory”: deploy/values.yaml, a, b and 1 more file',
    );
    s = take(s, seen_once);
    s = { ...s, context: MachineContext.parse(JSON.parse(JSON.stringify(s.context))) };
    const again = observed(s, 80, { changes: [commit] });
    const quiet_step = commitOf(s, again, take(s, again), 'aegis:test', [], VIEW);
    expect(JSON.stringify(quiet_step.cards)).not.toContain('by hand');
    s = take(s, again);
    expect(s.context.shadow?.seen).toHaveLength(1);
    s = take(s, alerts('resolved', 90));
    s = take(s, quiet(160));
    s = take(s, observed(s, 161, { final: true }));
    expect(s.context.shadow?.score).toMatchObject({
      verdict: 'unknown',
      rows: [{ mark: 'extra' }, { mark: 'miss' }],
      gaps: ['whether one commit had to do with this incident: shown, and not scored'],
    });
  });

  it('keeps the plan that was there before anybody acted, also when a later one is made', () => {
    let s = watched();
    s = take(s, observed(s, 70, { changes: [byHand()] }));
    s = take(s, { type: 'plan_again', at: at(90), by: 'maya' });
    expect(s.state).toBe('DIAGNOSING');
    const path = walkTo('PLANNING', SHADOWED).context.findings;
    s = take(s, { type: 'investigated', at: at(91), effect_id: runningId(s), findings: path as never });
    s = take(s, { type: 'drafted', at: at(92), effect_id: runningId(s), draft: draft(2) });
    s = take(s, preparedEvent(runningId(s), s.context.revision, 95, undefined, 2));
    expect(s.context.shadow?.compared).toMatchObject({ revision: 1, posted_at: at(5) });
  });

  it('writes down what a person says in every open state, and looks at once where people are watched', () => {
    const did = (offset_s: number): HarnessEvent => ({
      type: 'did',
      at: at(offset_s),
      by: 'dan',
      text: 'rolled it back because it crashes',
      cause: 'it crashes',
    });
    for (const state of ['TRIAGE', 'DIAGNOSING', 'PLANNING', 'PENDING_APPROVAL', 'EXECUTING'] as const) {
      const s = walkTo(state);
      const told = take(s, did(30));
      expect(told.state).toBe(s.state);
      expect(told.context.running).toEqual(s.context.running);
      expect(told.context.shadow?.said).toMatchObject([{ by: 'dan', cause: 'it crashes' }]);
      // Nobody becomes involved by it, so it takes no approval away.
      expect(told.context.incident?.involved).toEqual(s.context.incident?.involved);
    }
    const s = watched();
    expect(runningId(take(s, did(30)))).not.toBe(runningId(s));
    expect(step(walkTo('CLOSED'), did(99))).toMatchObject({ ok: false, refusal: { code: 'closed' } });
  });

  it('is reported as well when it halted: the last look comes before the end', () => {
    let s = walkTo('DIAGNOSING', SHADOWED);
    s = take(s, { type: 'handed_over', at: at(10), by: 'dan' });
    s = take(s, alerts('resolved', 20));
    s = take(s, quiet(90));
    expect(s).toMatchObject({ state: 'OBSERVING', context: { halt: null, running: { kind: 'observe' } } });
    s = take(s, observed(s, 91, { final: true, changes: [byHand()] }));
    expect(s).toMatchObject({ state: 'CLOSED', context: { shadow: { score: { verdict: 'no_plan' } } } });
  });

  it('does not say that nobody acted when it could not look to the end', () => {
    let s = watched();
    s = take(s, alerts('resolved', 80));
    s = take(s, quiet(140));
    const unseen = [{ place: 'prod-1/spark-jobs/*', why: 'answered 503' }];
    s = take(s, observed(s, 141, { final: true, unseen }));
    expect(s.context.shadow?.score).toMatchObject({
      verdict: 'unknown',
      gaps: ['prod-1/spark-jobs: answered 503'],
    });
  });

  it('tries a failed look again within its limit, then says that it sees nothing, and still ends', () => {
    let s = watched();
    for (let n = 0; n < 5; n += 1) {
      s = take(s, {
        type: 'effect_failed',
        at: at(20 + n),
        effect_id: runningId(s),
        reason: 'boom',
        retryable: true,
      });
      expect(s.state).toBe('OBSERVING');
      if (s.context.retries > 0) s = take(s, { type: 'timer', at: at(20 + n), kind: 'retry', armed_step: 1 });
    }
    expect(s.context).toMatchObject({ running: null, shadow: { unseen: [{ place: '*', why: 'boom' }] } });
    s = take(s, alerts('resolved', 80));
    s = take(s, quiet(140));
    s = take(s, observed(s, 141, { final: true }));
    expect(s.state).toBe('CLOSED');
  });

  it('stops watching after the longest observation; one that a person asked for ends with it', () => {
    let s = watched();
    s = take(s, observed(s, 4000, { over: true }));
    expect(s).toMatchObject({ state: 'OBSERVING', context: { running: null } });
    let asked = watched({ alerts: [] });
    asked = take(asked, { type: 'did', at: at(50), by: 'dan', text: 'restarted it', cause: null });
    asked = take(asked, observed(asked, 4000, { over: true }));
    expect(asked).toMatchObject({ state: 'CLOSED', context: { shadow: { score: { verdict: 'missed' } } } });
  });

  it('never leads to an approval or an execution, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { maxLength: 60 }), (choices) => {
        let s = emptySnapshot();
        const accepted: HarnessEvent[] = [];
        choices.forEach((choice, n) => {
          const events = possible(s, n * 40);
          const legal = events.filter((event) => step(s, event).ok);
          const event = legal[choice % Math.max(1, legal.length)];
          if (event === undefined) return;
          const to = take(s, event);
          expect(['PENDING_APPROVAL', 'EXECUTING', 'VERIFYING', 'ROLLING_BACK']).not.toContain(to.state);
          expect(to.context.approval).toBeNull();
          expect(to.context.done).toEqual([]);
          if (to.state === 'CLOSED') expect(to.context.shadow?.score).not.toBeNull();
          if (to.state === 'CLOSED') expect(to.context.closed_at).not.toBeNull();
          commitOf(s, event, to, 'aegis:test', [], VIEW);
          accepted.push(event);
          s = to;
        });
        expect(canonicalJson(accepted.reduce(take, emptySnapshot()))).toBe(canonicalJson(s));
      }),
      { numRuns: 120 },
    );
  });
});

function possible(s: Snapshot, offset_s: number): HarnessEvent[] {
  const base = { at: at(offset_s), effect_id: runningId(s) };
  const found = walkTo('PLANNING').context.findings as never;
  return [
    {
      type: 'opened',
      at: at(offset_s),
      context: incidentContext({ ...SHADOWED, opened_at: at(offset_s) }),
      channel: 'C1',
    },
    { type: 'triaged', ...base, skills: [] },
    { type: 'activated', at: at(offset_s), by: 'maya' },
    { type: 'investigated', ...base, findings: found },
    { type: 'drafted', ...base, draft: draft() },
    preparedEvent(runningId(s), Math.max(1, s.context.revision), offset_s),
    observed(s, offset_s, { changes: [byHand({ key: `k${offset_s % 3}` })] }),
    observed(s, offset_s, { final: true }),
    observed(s, offset_s, { over: true }),
    { type: 'did', at: at(offset_s), by: 'dan', text: 'x', cause: null },
    alerts('resolved', offset_s),
    alerts('firing', offset_s),
    quiet(offset_s),
    { type: 'effect_failed', ...base, reason: 'down', retryable: true },
    decide(s, 'dan', 'approve', offset_s),
    { type: 'plan_again', at: at(offset_s), by: 'maya' },
    { type: 'resumed', at: at(offset_s), by: 'maya' },
    { type: 'stopped', at: at(offset_s), by: 'maya', reason: '' },
  ];
}

describe('incidents of earlier versions', () => {
  it('replay as they were: no look, five quiet minutes, and closed by the timer alone', () => {
    let s = walkTo('PLANNING', { autonomy: 'suggest' });
    s = take(s, { type: 'drafted', at: at(4), effect_id: runningId(s), draft: draft() });
    s = take(s, preparedEvent(runningId(s), s.context.revision, 5));
    expect(s).toMatchObject({ state: 'OBSERVING', context: { running: null, shadow: null } });
    s = take(s, alerts('resolved', 80));
    expect(s.context.running).toBeNull();
    s = take(s, quiet(80 + QUIET_MS / 1000));
    expect(s).toMatchObject({
      state: 'CLOSED',
      context: { shadow: null, outcome: 'The alert resolved by itself; nothing was changed.' },
    });
  });

  it('a snapshot without the field is read', () => {
    const { shadow: _gone, ...old } = walkTo('CLOSED').context;
    expect(MachineContext.parse(old).shadow).toBeNull();
  });
});
