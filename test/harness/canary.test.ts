import { describe, expect, it } from 'vitest';
import { Notice } from '../../src/contract/notice.ts';
import type { FieldChange, ToolOutcome } from '../../src/contract/tool.ts';
import type { EventOf, HarnessEvent } from '../../src/harness/events.ts';
import { parseSnapshot, step } from '../../src/harness/machine.ts';
import { cardsOf } from '../../src/harness/notices/cards-of.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import { at, outcome, runningId, take, walkTo, withCanary } from './fixtures.ts';

/** Canary, bake, then the rest, in the pure machine: what leads on, what goes back, and what people read. */
const VIEW = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: true, approvers: 'Dan' };

type Check = EventOf<'verified'>['checks'][number];

const check = (status: Check['status'], found = 'crashing'): Check => ({
  check_id: 'a1c1',
  title: 'it bears it',
  status,
  found,
  evidence_id: null,
  tries: 3,
});

const atCanary = (actions = 1): Snapshot => walkTo('EXECUTING', {}, actions, withCanary);

function ran(s: Snapshot, change: Partial<ToolOutcome> = {}): EventOf<'executed'> {
  const { kind, change_id } = s.context.running ?? {};
  const phase = kind === 'canary' ? { phase: 'canary' as const } : {};
  const result = { ...outcome(), ...change };
  return {
    type: 'executed',
    at: at(10),
    effect_id: runningId(s),
    change_id: change_id ?? '',
    ...phase,
    outcome: result,
    rolls_back: true,
  };
}

function checked(s: Snapshot, ...checks: Check[]): HarnessEvent {
  const change_id = s.context.running?.change_id ?? '';
  return { type: 'canary_checked', at: at(20), effect_id: runningId(s), change_id, checks };
}

function undone(s: Snapshot): HarnessEvent {
  const change_id = s.context.running?.change_id ?? '';
  return {
    type: 'undone',
    at: at(40),
    effect_id: runningId(s),
    change_id,
    outcome: outcome(),
    put_back: 'yes',
  };
}

const baking = (actions = 1): Snapshot => {
  const s = atCanary(actions);
  return take(s, ran(s));
};

const kinds = (s: Snapshot): unknown => [s.state, s.context.running?.kind, s.context.running?.change_id];

function threadOf(from: Snapshot, event: HarnessEvent): string {
  const cards = cardsOf(from, event, take(from, event), VIEW);
  for (const { notice } of cards) Notice.parse(notice);
  return cards
    .flatMap(({ notice }) => (notice.kind === 'timeline' ? notice.segments : []))
    .map((segment) => ('text' in segment ? segment.text : ''))
    .join('');
}

describe('an action with a canary', () => {
  it('runs the canary, watches it, runs the action, and only then goes on', () => {
    let s = atCanary(2);
    expect(kinds(s)).toEqual(['EXECUTING', 'canary', 'CHG-10']);
    s = take(s, ran(s));
    expect(kinds(s)).toEqual(['EXECUTING', 'bake', 'CHG-10']);
    s = take(s, checked(s, check('passed')));
    expect(kinds(s)).toEqual(['EXECUTING', 'execute', 'CHG-10']);
    s = take(s, ran(s));
    expect(kinds(s)).toEqual(['EXECUTING', 'execute', 'CHG-11']);
    s = take(s, ran(s));
    expect(kinds(s)).toEqual(['VERIFYING', 'verify', null]);
    expect(s.context.canaries).toMatchObject([{ change_id: 'CHG-10', passed: true }]);
  });

  it('neither result can stand in for the other', () => {
    const s = atCanary();
    const { phase: _phase, ...as_action } = ran(s);
    expect(step(s, as_action)).toMatchObject({ ok: false, refusal: { code: 'illegal-move' } });
    expect(step(s, checked(s, check('passed')))).toMatchObject({ ok: false });
  });

  it('is told: what was tried, that it held, and then the rest', () => {
    const s = atCanary();
    expect(threadOf(s, ran(s))).toContain('CHG-10 canary done.');
    const watched = baking();
    expect(threadOf(watched, checked(watched, check('passed', 'running')))).toMatch(
      /CHG-10 canary: 1 of 1 checks passed\. It held for 20 s; now the rest\./,
    );
  });
});

describe('a canary that does not pass', () => {
  it.each([
    ['failed', [check('failed')], /check "it bears it" failed: crashing/],
    [
      'gave no answer',
      [check('unknown', 'Loki is away')],
      /check "it bears it" gave no answer: Loki is away/,
    ],
    ['partly gave none', [check('passed'), check('unknown')], /gave no answer/],
    ['was asked nothing', [], /none of its checks gave an answer/],
  ])('%s: what was tried is put back, with its own sentence', (_name, checks, words) => {
    const s = baking();
    const back = take(s, checked(s, ...checks));
    expect(kinds(back)).toEqual(['ROLLING_BACK', 'undo', 'CHG-10']);
    expect(back.context.approval?.status).toBe('used');
    const end = take(back, undone(back));
    expect(end.context.halt).toMatchObject({ reason: 'rolled_back', resume_to: null });
    expect(end.context.halt?.text).toMatch(/^Everything was put back/);
    expect(end.context.halt?.text).toMatch(words);
    expect(end.context.halt?.text).toContain('The rest of it was not run.');
  });

  it('with an earlier action done puts back both, the newest first', () => {
    let s = walkTo('EXECUTING', {}, 2, (event) => {
      const copy = withCanary(event);
      const [first, second] = copy.payload.plan.actions;
      if (first !== undefined && second !== undefined) {
        second.canary = first.canary;
        delete first.canary;
      }
      return copy;
    });
    s = take(s, ran(s));
    expect(kinds(s)).toEqual(['EXECUTING', 'canary', 'CHG-11']);
    const failed = take(s, ran(s, { status: 'failed' }));
    expect(kinds(failed)).toEqual(['ROLLING_BACK', 'undo', 'CHG-10']);
    s = take(s, ran(s));
    s = take(s, checked(s, check('failed')));
    expect(kinds(s)).toEqual(['ROLLING_BACK', 'undo', 'CHG-11']);
    s = take(s, undone(s));
    expect(kinds(s)).toEqual(['ROLLING_BACK', 'undo', 'CHG-10']);
    expect(take(s, undone(s)).context.halt?.reason).toBe('rolled_back');
  });

  it('whose action has no rollback begins nothing, and says what is in force', () => {
    const s = structuredClone(baking());
    const action = s.context.plan?.payload.plan.actions[0];
    if (action !== undefined) action.rollback = { none: true, reason: 'mails cannot be unsent' };
    const halted = take(s, checked(s, check('failed')));
    expect([halted.state, halted.context.halt?.reason]).toEqual(['HALTED', 'verify_failed']);
    expect(halted.context.halt?.text).toContain('Nothing was put back by itself: CHG-10 has no rollback');
    expect(halted.context.halt?.next_step).toContain('To undo by hand');
  });

  it.each([
    ['failed', 'dependency'],
    ['conflict', 'conflict'],
    ['outcome_unknown', 'unknown_outcome'],
  ] as const)('never got in (%s): nothing to put back by itself', (status, reason) => {
    const s = atCanary();
    const halted = take(s, ran(s, { status, summary: 'the server said no' }));
    expect([halted.state, halted.context.halt?.reason]).toEqual(['HALTED', reason]);
    expect(halted.context.halt?.text).toContain('The canary of CHG-10 (a little more first)');
  });
});

describe('an action that cannot follow its canary', () => {
  const following = (): Snapshot => {
    const s = baking();
    return take(s, checked(s, check('passed')));
  };

  it.each(['failed', 'conflict'] as const)('%s: the canary is put back', (status) => {
    const s = following();
    const fields: FieldChange[] = [{ path: '/spec/driver/memory', before: '1200m', after: '3g' }];
    const back = take(s, ran(s, { status, conflict_fields: fields }));
    expect(kinds(back)).toEqual(['ROLLING_BACK', 'undo', 'CHG-10']);
  });

  it('refused (a freeze): it waits, says that the canary is in force, and Resume puts it back', () => {
    const s = following();
    const refused = take(s, {
      type: 'execute_refused',
      at: at(30),
      effect_id: runningId(s),
      change_id: 'CHG-10',
      code: 'frozen',
      reason: 'data/prod is frozen.',
      remedy: 'Lift the freeze.',
    });
    expect(refused.context.halt).toMatchObject({ reason: 'dependency', resume_to: 'ROLLING_BACK' });
    expect(refused.context.halt?.text).toMatch(
      /data\/prod is frozen\. In force: the canary of CHG-10 \(a little more first\) on mcp:/,
    );
    const back = take(refused, { type: 'resumed', at: at(50), by: 'maya' });
    expect(kinds(back)).toEqual(['ROLLING_BACK', 'undo', 'CHG-10']);
    const end = take(back, undone(back));
    expect(end.context.halt?.reason).toBe('rolled_back');
    expect(end.context.halt?.text).toContain('data/prod is frozen.');
  });

  it('with a dependency that stays away ends the same', () => {
    const s = baking();
    const event = { type: 'effect_failed', at: at(30), effect_id: runningId(s), reason: 'down' } as const;
    const halted = take(s, { ...event, retryable: false });
    expect(halted.context.halt).toMatchObject({ resume_to: 'ROLLING_BACK' });
    expect(halted.context.halt?.text).toContain('In force: the canary of CHG-10');
  });

  it('with an unknown outcome waits for a person, and says how to undo both', () => {
    const s = following();
    const halted = take(
      s,
      ran(s, { status: 'outcome_unknown', before_image: { '/spec/driver/memory': '1200m' } }),
    );
    expect(halted.context.halt).toMatchObject({ reason: 'unknown_outcome', resume_to: null });
    expect(halted.context.halt?.next_step).toContain('/spec/driver/memory back to "1g"');
  });
});

describe('Stop and hand-over', () => {
  it.each([
    ['stopped', { type: 'stopped', at: at(30), by: 'maya', reason: '' }],
    ['handed over', { type: 'handed_over', at: at(30), by: 'maya' }],
  ] as const)(
    '%s while the canary is watched: no wait goes on, and what is in force is named',
    (_name, event) => {
      const halted = take(baking(), event);
      expect(halted.context.running).toBeNull();
      expect(halted.context.halt?.text).toMatch(/In force: the canary of CHG-10 .*To undo by hand: set /);
    },
  );

  it('while the canary is being written waits for its result and tells it', () => {
    const s = atCanary();
    const halted = take(s, { type: 'stopped', at: at(9), by: 'maya', reason: '' });
    expect(halted.context.running?.kind).toBe('canary');
    const late = take(halted, ran(halted));
    expect(late.context.halt?.text).toMatch(
      /The step under way ended: done In force: the canary of CHG-10 .*To undo by hand: set /,
    );
    expect(late.context.canaries).toHaveLength(1);
    expect(kinds(late)).toEqual(['HALTED', undefined, undefined]);
  });
});

describe('before there were canaries', () => {
  it('snapshots had no such field, and are read as having none', () => {
    const { canaries: _canaries, ...context } = walkTo('VERIFYING').context;
    expect(parseSnapshot({ state: 'VERIFYING', context }).context.canaries).toEqual([]);
  });
});
