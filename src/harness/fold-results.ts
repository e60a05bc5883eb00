import type { HaltReason, IncidentState } from '../contract/incident.ts';
import type { ToolOutcome } from '../contract/tool.ts';
import type { EventOf } from './events.ts';
import { ANOTHER_ROUND, usedUp, halt, start, startNext, voided } from './fold-parts.ts';
import { beginRollback } from './fold-rollback.ts';
import { actionTitle, canaryTitle, canaryWords, undoAdvice, worstCheck } from './halt-texts.ts';
import { rollbackObstacle, standingChanges } from './standing.ts';
import type { MachineContext } from './state.ts';

/** The context after the gates were cleared, an action ran, or the checks spoke. Pure. */

export function foldCleared(c: MachineContext, to: IncidentState, e: EventOf<'cleared'>): MachineContext {
  const plan = c.plan === null ? null : { ...c.plan, gates: e.gates };
  const next = { ...c, plan };
  if (to === 'EXECUTING') return startNext(next);
  if (to === 'DIAGNOSING')
    return start({ ...voided(next, e.reason), recollections: c.recollections + 1 }, 'investigate');
  if (e.verdict === 'refused' && e.gates.find((g) => g.status === 'refused')?.gate === 'budget')
    return halt(next, 'budget', `Not run: ${e.reason}`, ANOTHER_ROUND, 'PENDING_APPROVAL');
  if (e.verdict === 'refused')
    return halt(
      next,
      'dependency',
      `Not run: ${e.reason}`,
      e.remedy.includes('Press ') ? e.remedy : `${e.remedy} Then press Resume: all gates run again.`,
      'PENDING_APPROVAL',
    );
  const reason: HaltReason = e.verdict === 'conflict' ? 'conflict' : 'inconclusive';
  return halt(voided(next, e.reason), reason, `Not run: ${e.reason}`, e.remedy, 'DIAGNOSING');
}

export function foldExecuted(
  c: MachineContext,
  to: IncidentState,
  e: EventOf<'executed'>,
  from: IncidentState,
): MachineContext {
  const { status, partial } = e.outcome;
  const ran = status === 'done' || status === 'outcome_unknown' || partial === true;
  const next = ran ? withRun(c, e) : c;
  if (to === 'EXECUTING') return startNext(next);
  if (to === 'VERIFYING') return start(usedUp(next, 'used'), 'verify');
  if (from === 'HALTED')
    return {
      ...next,
      running: null,
      halt:
        c.halt === null
          ? null
          : {
              ...c.halt,
              text: `${c.halt.text} The step under way ended: ${e.outcome.summary}${lateWords(next)}`,
            },
    };
  const title = e.phase === 'canary' ? canaryTitle(c, e.change_id) : actionTitle(c, e.change_id);
  const fields = e.outcome.conflict_fields
    .map((f) => `${f.path} is now ${JSON.stringify(f.after)}, approved was ${JSON.stringify(f.before)}`)
    .join('; ');
  if (to === 'ROLLING_BACK')
    return beginRollback(
      usedUp(next, 'used'),
      status === 'conflict'
        ? `${title} was not run, since the object changed after the approval: ${fields}.`
        : `${title} failed: ${e.outcome.summary}`,
    );
  if (e.outcome.status === 'conflict')
    return halt(
      voided(next, e.outcome.summary),
      'conflict',
      `${title}: not run, the object changed after the approval. ${fields}`,
      'Press Resume: Aegis looks again and makes a new plan.',
      'DIAGNOSING',
    );
  if (e.outcome.status === 'outcome_unknown')
    return halt(
      usedUp(next, 'used'),
      'unknown_outcome',
      `${title}: nobody can tell whether it was applied. ${e.outcome.summary}`,
      `Look at the object before anything else. ${undoAdvice(next)}`,
      null,
    );
  return halt(
    usedUp(next, 'used'),
    'dependency',
    `${title} failed: ${e.outcome.summary}`,
    `${undoAdvice(next)} Press Plan again for a fresh look.`.trim(),
    null,
  );
}

/** A canary or its action that got in after all: what is in force now. */
function lateWords(c: MachineContext): string {
  return c.canaries.length === 0 ? '' : `${canaryWords(c)} ${undoAdvice(c)}`.trimEnd();
}

/** The change, or its canary, as something that may be in force from now on. */
function withRun(
  c: MachineContext,
  e: Pick<EventOf<'executed'>, 'change_id' | 'at' | 'changed_at' | 'outcome' | 'phase'>,
): MachineContext {
  const run = { change_id: e.change_id, at: e.changed_at ?? e.at, outcome: e.outcome };
  if (e.phase === 'canary') return { ...c, canaries: [...c.canaries, { ...run, checks: [], passed: false }] };
  return { ...c, done: [...c.done, run] };
}

/** A write had left and its server stays silent: it counts as unknown, like one whose answer was lost. */
export function foldLost(
  c: MachineContext,
  e: EventOf<'effect_failed'>,
  from: IncidentState,
): MachineContext {
  const change_id = c.running?.change_id ?? '';
  const outcome: ToolOutcome = {
    status: 'outcome_unknown',
    summary: e.reason,
    conflict_fields: [],
    before_image: null,
    result: null,
    replayed: false,
  };
  const canary = c.running?.kind === 'canary';
  const next = withRun(c, { change_id, at: e.at, outcome, ...(canary ? { phase: 'canary' as const } : {}) });
  const text = `${canary ? canaryTitle(c, change_id) : actionTitle(c, change_id)}: nobody can tell whether it was applied. ${e.reason}`;
  const look = `Look at the object before anything else. ${undoAdvice(next)}`;
  if (from !== 'HALTED' || c.halt === null)
    return halt(usedUp(next, 'used'), 'unknown_outcome', text, look, null);
  const told = { ...c.halt, text: `${c.halt.text} ${text}`, next_step: look };
  return { ...next, running: null, halt: told };
}

export function foldVerified(c: MachineContext, to: IncidentState, e: EventOf<'verified'>): MachineContext {
  const next = { ...c, checks: e.checks };
  const passed = e.checks.filter((check) => check.status === 'passed').length;
  if (to === 'CLOSED') {
    const intents = c.plan?.payload.plan.actions.map((a) => a.intent).join('; ') ?? '';
    return start(
      {
        ...next,
        outcome: `Done: ${intents}. ${passed} of ${e.checks.length} checks passed.`,
        closed_at: e.at,
      },
      'review',
    );
  }
  const bad = worstCheck(e.checks);
  const failed = bad?.failed === true;
  const text = bad === null ? 'No check gave an answer.' : `Check ${bad.words}`;
  if (to === 'ROLLING_BACK') return beginRollback(next, text);
  const obstacle = failed && e.rolls_back === true ? rollbackObstacle(c, standingChanges(c)) : null;
  return halt(
    next,
    failed ? 'verify_failed' : 'inconclusive',
    obstacle === null ? text : `${text} Nothing was put back by itself: ${obstacle}.`,
    `${undoAdvice(c)} Or press Resume to check again.`.trim(),
    'VERIFYING',
  );
}
