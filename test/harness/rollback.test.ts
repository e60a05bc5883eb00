import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/contract/canonical.ts';
import { Notice } from '../../src/contract/notice.ts';
import type { FieldChange, ToolOutcome } from '../../src/contract/tool.ts';
import type { EventOf, HarnessEvent } from '../../src/harness/events.ts';
import { parseSnapshot, step } from '../../src/harness/machine.ts';
import { cardsOf } from '../../src/harness/notices/cards-of.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import { at, draft, findings, outcome, preparedEvent, runningId, take, walkTo } from './fixtures.ts';

/** The saga's undo in the pure machine: what begins it, in which order, what ends it, and what people then read. */
const VIEW = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: true, approvers: 'Dan' };

type Check = EventOf<'verified'>['checks'][number];

const check = (status: Check['status'], found = '2 of 3 pods ready'): Check => ({
  check_id: 'v1',
  title: 'All pods are ready',
  status,
  found,
  evidence_id: null,
  tries: 9,
});

function verified(s: Snapshot, ...checks: Check[]): HarnessEvent {
  return { type: 'verified', at: at(30), effect_id: runningId(s), checks, rolls_back: true };
}

function undone(
  s: Snapshot,
  change: Partial<EventOf<'undone'>> = {},
  status: ToolOutcome['status'] = 'done',
): HarnessEvent {
  const change_id = s.context.running?.change_id ?? '';
  const put_back = status === 'done' ? 'yes' : 'no';
  return {
    type: 'undone',
    at: at(40),
    effect_id: runningId(s),
    change_id,
    outcome: outcome(status),
    put_back,
    ...change,
  };
}

function executed(s: Snapshot, result: Partial<ToolOutcome>): HarnessEvent {
  const change_id = s.context.running?.change_id ?? '';
  const full = { ...outcome(), ...result };
  return {
    type: 'executed',
    at: at(10),
    effect_id: runningId(s),
    change_id,
    outcome: full,
    rolls_back: true,
  };
}

const rolling = (actions = 2): Snapshot => {
  const s = walkTo('VERIFYING', {}, actions);
  return take(s, verified(s, check('failed')));
};

/** The same history with another rollback of its first action. */
function withRollback(s: Snapshot, rollback: { none: true; reason: string }): Snapshot {
  const copy = structuredClone(s);
  const action = copy.context.plan?.payload.plan.actions[0];
  if (action !== undefined) action.rollback = rollback;
  return copy;
}

function threadOf(from: Snapshot, event: HarnessEvent): string {
  const to = take(from, event);
  const cards = cardsOf(from, event, to, VIEW);
  for (const { notice } of cards) Notice.parse(notice);
  return cards
    .flatMap(({ notice }) => (notice.kind === 'timeline' ? notice.segments : []))
    .map((segment) => ('text' in segment ? segment.text : ''))
    .join('');
}

describe('a check that was shown to fail', () => {
  it('puts back every change, newest first, each once, and then waits for a person', () => {
    let s = rolling(3);
    expect(s.state).toBe('ROLLING_BACK');
    const order: (string | null)[] = [];
    while (s.state === 'ROLLING_BACK') {
      order.push(s.context.running?.change_id ?? null);
      s = take(s, undone(s));
    }
    expect(order).toEqual(['CHG-12', 'CHG-11', 'CHG-10']);
    expect(s.state).toBe('HALTED');
    expect(s.context.halt).toMatchObject({ reason: 'rolled_back', resume_to: null });
    expect(s.context.halt?.text).toMatch(
      /^Everything was put back.*CHG-12.*CHG-10.*Why: Check "All pods are ready" failed: 2 of 3 pods ready/,
    );
    expect(s.context.halt?.next_step).not.toContain('To undo by hand');
    expect(s.context.running).toBeNull();
  });

  it('is told: why and what first, then each change, then the end', () => {
    const verifying = walkTo('VERIFYING', {}, 2);
    const began = threadOf(verifying, verified(verifying, check('failed')));
    expect(began).toMatch(
      /All pods are ready.*puts back what it did, the newest change first.*CHG-11.*CHG-10/s,
    );
    const first = rolling(2);
    expect(threadOf(first, undone(first))).toContain('CHG-11 put back, and the object shows it.');
    const second = take(first, undone(first));
    expect(threadOf(second, undone(second))).toMatch(/CHG-10 put back.*Everything was put back/s);
  });

  it('rolls back although another check gave no answer', () => {
    const s = walkTo('VERIFYING');
    expect(take(s, verified(s, check('unknown'), check('failed'))).state).toBe('ROLLING_BACK');
  });

  it.each([
    ['no answer', [check('unknown')]],
    ['passed and no answer', [check('passed'), check('unknown')]],
    ['no check at all', []],
  ])('never rolls back by itself on %s', (_name, checks) => {
    const s = walkTo('VERIFYING');
    const halted = take(s, verified(s, ...checks));
    expect([halted.state, halted.context.halt?.reason]).toEqual(['HALTED', 'inconclusive']);
    expect(halted.context.rollback).toBeNull();
  });

  it('with a change that has no rollback begins nothing, and says which and what to do by hand', () => {
    const s = withRollback(walkTo('VERIFYING', {}, 2), { none: true, reason: 'mails cannot be unsent' });
    const halted = take(s, verified(s, check('failed')));
    expect([halted.state, halted.context.halt?.reason]).toEqual(['HALTED', 'verify_failed']);
    expect(halted.context.halt?.text).toContain(
      'Nothing was put back by itself: CHG-10 has no rollback: mails cannot be unsent.',
    );
    expect(halted.context.halt?.next_step).toMatch(/To undo by hand: .*memory back to "1g"/);
  });

  it('of an older ledger, whose events do not speak of rollbacks, replays to the halt that it was', () => {
    const s = walkTo('VERIFYING');
    const old: HarnessEvent = {
      type: 'verified',
      at: at(30),
      effect_id: runningId(s),
      checks: [check('failed')],
    };
    expect(take(s, old).context.halt?.reason).toBe('verify_failed');
  });
});

describe('a later step that fails for certain', () => {
  const atSecond = (): Snapshot => {
    const s = walkTo('EXECUTING', {}, 2);
    return take(s, executed(s, {}));
  };

  it.each(['failed', 'conflict'] as const)('%s puts the earlier one back', (status) => {
    const s = atSecond();
    const back = take(s, executed(s, { status, summary: 'the server said no' }));
    expect(back.state).toBe('ROLLING_BACK');
    expect(back.context.running).toMatchObject({ kind: 'undo', change_id: 'CHG-10' });
    expect(back.context.approval?.status).toBe('used');
    expect(take(back, undone(back)).context.halt?.reason).toBe('rolled_back');
  });

  it('and was done in part is put back first', () => {
    const s = atSecond();
    const back = take(s, executed(s, { status: 'failed', partial: true }));
    expect(back.context.running).toMatchObject({ kind: 'undo', change_id: 'CHG-11' });
  });

  it('with an unknown outcome never rolls back by itself', () => {
    const s = atSecond();
    const halted = take(s, executed(s, { status: 'outcome_unknown' }));
    expect([halted.state, halted.context.halt?.reason]).toEqual(['HALTED', 'unknown_outcome']);
  });

  it('is not the same as one that was refused: that waits, and says what is in force', () => {
    const s = atSecond();
    const refused = take(s, {
      type: 'execute_refused',
      at: at(11),
      effect_id: runningId(s),
      change_id: 'CHG-11',
      code: 'frozen',
      reason: 'data/prod is frozen.',
      remedy: 'Lift the freeze.',
    });
    expect([refused.state, refused.context.halt?.reason]).toEqual(['HALTED', 'dependency']);
    expect(refused.context.halt?.text).toContain('Done before it, and in force: CHG-10');
    expect(refused.context.halt?.next_step).toContain('To undo by hand');
  });

  it('when nothing was done before it there is nothing to put back', () => {
    const s = walkTo('EXECUTING', {}, 2);
    expect(take(s, executed(s, { status: 'failed' })).state).toBe('HALTED');
    expect(take(s, executed(s, { status: 'conflict' })).context.halt?.reason).toBe('conflict');
  });
});

describe('a rollback that does not come to its end', () => {
  const changed: FieldChange[] = [{ path: '/spec/driver/memory', before: '2g', after: '4g' }];

  it('says which field somebody changed meanwhile, and does not try again', () => {
    const s = rolling(2);
    const event = undone(s, { outcome: { ...outcome('conflict'), conflict_fields: changed } }, 'conflict');
    const halted = take(s, event);
    expect(halted.context.halt).toMatchObject({ reason: 'conflict', resume_to: null });
    expect(halted.context.halt?.text).toContain('/spec/driver/memory is now "4g"');
    expect(halted.context.halt?.text).toContain('Still in force: CHG-11, CHG-10. Put back: nothing.');
    expect(step(halted, { type: 'resumed', at: at(50), by: 'maya' })).toMatchObject({ ok: false });
  });

  it('says so when the object shows another state again right afterwards', () => {
    const s = rolling(1);
    const event = undone(
      s,
      { outcome: { ...outcome('conflict'), conflict_fields: changed }, put_back: 'changed_since' },
      'conflict',
    );
    const halted = take(s, event);
    expect(halted.context.halt?.reason).toBe('conflict');
    expect(halted.context.halt?.text).toContain('was put back, and somebody changed it again since');
    expect(halted.context.halt?.next_step).not.toContain('To undo by hand');
  });

  it.each([
    ['outcome_unknown', 'unknown_outcome'],
    ['failed', 'dependency'],
  ] as const)('%s halts with %s and the rest by hand, newest first', (status, reason) => {
    const first = rolling(3);
    const s = take(first, undone(first));
    const halted = take(s, undone(s, {}, status));
    expect(halted.context.halt).toMatchObject({ reason, resume_to: null });
    expect(halted.context.halt?.text).toContain('Still in force: CHG-11, CHG-10. Put back: CHG-12.');
    expect(halted.context.halt?.next_step.match(/set /g)).toHaveLength(2);
  });

  it('waits under a freeze, and Resume goes on with the rest', () => {
    const first = rolling(2);
    const s = take(first, undone(first));
    const frozen = take(s, {
      type: 'undo_refused',
      at: at(41),
      effect_id: runningId(s),
      change_id: 'CHG-10',
      code: 'frozen',
      reason: 'data/prod is frozen by ines: audit.',
      remedy: 'Lift the freeze.',
    });
    expect(frozen.context.halt).toMatchObject({ reason: 'paused', resume_to: 'ROLLING_BACK' });
    expect(frozen.context.halt?.text).toContain('Still in force: CHG-10. Put back: CHG-11.');
    const on = take(frozen, { type: 'resumed', at: at(43), by: 'dan' });
    expect(on.context.running).toMatchObject({ kind: 'undo', change_id: 'CHG-10' });
    expect(take(on, undone(on)).context.halt?.reason).toBe('rolled_back');
  });

  it('tries an outage again, then halts and can go on', () => {
    let s = rolling(1);
    const down = (): HarnessEvent => ({
      type: 'effect_failed',
      at: at(41),
      effect_id: runningId(s),
      reason: 'Kubernetes answered 503',
      retryable: true,
    });
    for (let n = 0; n < 4; n++) {
      s = take(s, down());
      expect(s.state).toBe('ROLLING_BACK');
      s = take(s, { type: 'timer', at: at(42), kind: 'retry', armed_step: 1 });
      expect(s.context.running).toMatchObject({ kind: 'undo', change_id: 'CHG-10' });
    }
    s = take(s, down());
    expect(s.context.halt).toMatchObject({ reason: 'dependency', resume_to: 'ROLLING_BACK' });
    expect(s.context.halt?.text).toContain(
      'Still in force: CHG-10. Put back: nothing. Kubernetes answered 503',
    );
  });

  it.each(['stopped', 'handed_over'] as const)(
    '%s: nothing more begins, and what had left still reports',
    (type) => {
      const s = rolling(2);
      const by = { at: at(41), by: 'maya' };
      const halted = take(s, type === 'stopped' ? { type, ...by, reason: '' } : { type, ...by });
      expect(halted.context.halt?.text).toMatch(
        /maya.* during the rollback\. Still in force: CHG-11, CHG-10\. Put back: nothing\. Putting back CHG-11 had begun/,
      );
      const told = take(halted, undone(s));
      expect([told.state, told.context.running]).toEqual(['HALTED', null]);
      expect(told.context.halt?.text).toContain('Still in force: CHG-10. Put back: CHG-11.');
      expect(told.context.halt?.next_step.match(/set /g)).toHaveLength(1);
      const late = threadOf(halted, undone(s, {}, 'failed'));
      expect(late).toContain('CHG-11 does not show its earlier state');
    },
  );

  it('an alert that resolves meanwhile is recorded and changes nothing', () => {
    const s = rolling(1);
    const [alert] = s.context.incident?.alerts ?? [];
    const resolved = take(s, {
      type: 'alerts',
      at: at(41),
      status: 'resolved',
      alerts: alert === undefined ? [] : [{ ...alert, status: 'resolved' }],
    });
    expect(resolved.state).toBe('ROLLING_BACK');
    expect(resolved.context.running).toEqual(s.context.running);
  });
});

describe('the snapshot', () => {
  it('from before there were rollbacks is still read', () => {
    const s = walkTo('VERIFYING');
    const old = JSON.parse(canonicalJson(s)) as { context: Record<string, unknown> };
    delete old.context['rollback'];
    expect(canonicalJson(parseSnapshot(old))).toBe(canonicalJson(s));
  });

  it('of a new plan has forgotten the rollback of the one before', () => {
    const first = rolling(1);
    const halted = take(first, undone(first));
    let s = take(halted, { type: 'plan_again', at: at(60), by: 'maya' });
    s = take(s, { type: 'investigated', at: at(61), effect_id: runningId(s), findings: findings() });
    s = take(s, { type: 'drafted', at: at(62), effect_id: runningId(s), draft: draft() });
    // Until then a person who stops it must read what is in force.
    expect(s.context.rollback?.undone).toHaveLength(1);
    const prepared = preparedEvent(runningId(s), s.context.revision, 63);
    const kinds = cardsOf(s, prepared, take(s, prepared), VIEW).map(({ notice }) => notice.kind);
    expect(kinds).not.toContain('progress');
    s = take(s, prepared);
    expect([s.context.rollback, s.context.done]).toEqual([null, []]);
  });
});

describe('a plan that stopped half-way', () => {
  const atSecond = (): Snapshot => {
    const s = walkTo('EXECUTING', {}, 3);
    return take(s, executed(s, {}));
  };

  it('with an unknown second step: what is in force, what nobody can tell, what never ran', () => {
    const s = atSecond();
    expect(threadOf(s, executed(s, { status: 'outcome_unknown' }))).toMatch(
      /In force: CHG-10 \(.*\)\. Nobody can tell: CHG-11 \(.*\)\. Not run: CHG-12 \(/,
    );
  });

  it('with a refused second step: what is in force and what never ran', () => {
    const s = atSecond();
    const refused: HarnessEvent = {
      type: 'execute_refused',
      at: at(11),
      effect_id: runningId(s),
      change_id: 'CHG-11',
      code: 'frozen',
      reason: 'data/prod is frozen.',
      remedy: 'Lift the freeze.',
    };
    expect(threadOf(s, refused)).toMatch(/In force: CHG-10 \(.*\)\. Not run: CHG-11 \(.*\), CHG-12 \(/);
  });

  it.each(['failed', 'conflict'] as const)(
    'with a second step that %s: what is put back, and then that all is',
    (status) => {
      const s = atSecond();
      const event = executed(s, { status, summary: 'the server said no' });
      expect(threadOf(s, event)).toMatch(/CHG-11 .*the newest change first: CHG-10/s);
      const back = take(s, event);
      expect(threadOf(back, undone(back))).toMatch(/Everything was put back: CHG-10/);
      expect(threadOf(back, undone(back))).not.toContain('In force');
      expect(threadOf(back, undone(back, {}, 'failed'))).toMatch(
        /could not be put back.*In force: CHG-10 \(.*\)\. Not run: CHG-11 \(.*\), CHG-12 \(/s,
      );
    },
  );

  it('in its rollback: what is still in force, and what is back', () => {
    const first = rolling(3);
    const s = take(first, undone(first));
    expect(threadOf(s, undone(s, {}, 'outcome_unknown'))).toMatch(
      /In force: CHG-10 \(.*\), CHG-11 \(.*\)\. Put back: CHG-12 \(/,
    );
  });
});
