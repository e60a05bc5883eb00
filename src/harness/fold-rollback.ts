import type { HaltReason, IncidentState } from '../contract/incident.ts';
import type { ToolOutcome } from '../contract/tool.ts';
import type { EventOf } from './events.ts';
import { halt, start, withHalt } from './fold-parts.ts';
import { actionTitle, NEXT_AFTER_HAND_OVER, NEXT_AFTER_STOP, shortMarks, undoAdvice } from './halt-texts.ts';
import { nextUndo, standingChanges } from './standing.ts';
import type { MachineContext } from './state.ts';

/** The context while changes are put back, newest first. Pure. */

export function beginRollback(c: MachineContext, because: string): MachineContext {
  return undoNext({ ...c, rollback: { because, undone: [] } });
}

export function undoNext(c: MachineContext): MachineContext {
  return start(c, 'undo', nextUndo(c));
}

export function foldUndone(
  c: MachineContext,
  to: IncidentState,
  e: EventOf<'undone'>,
  from: IncidentState,
): MachineContext {
  const next = e.put_back === 'no' ? c : withUndone(c, e.change_id, e.at);
  if (to === 'ROLLING_BACK') return undoNext(next);
  const ended = `${actionTitle(c, e.change_id)} ${undoWords(e)}`;
  if (from === 'HALTED') return lateResult(next, ended);
  if (e.put_back === 'yes' && standingChanges(next).length === 0) return allPutBack(next);
  if (e.put_back === 'changed_since')
    return stopRollback(next, 'conflict', ended, 'Look at who changes it before anything else.', null);
  if (e.outcome.status === 'conflict')
    return stopRollback(
      next,
      'conflict',
      ended,
      'Somebody changed it after Aegis did: agree with them first.',
      null,
    );
  if (e.outcome.status === 'outcome_unknown')
    return stopRollback(next, 'unknown_outcome', ended, 'Look at the object before anything else.', null);
  return stopRollback(next, 'dependency', ended, '', null);
}

export function foldUndoRefused(
  c: MachineContext,
  _to: IncidentState,
  e: EventOf<'undo_refused'>,
  from: IncidentState,
): MachineContext {
  const ended = `${actionTitle(c, e.change_id)} was not put back: ${e.reason}`;
  if (from === 'HALTED') return lateResult(c, ended);
  const reason = e.code === 'frozen' ? 'paused' : e.code === 'stopped' ? 'stopped' : 'dependency';
  return stopRollback(c, reason, ended, e.remedy, 'ROLLING_BACK');
}

/** What is put back and what is not, exactly, with what stopped it. */
export function stopRollback(
  c: MachineContext,
  reason: HaltReason,
  why: string,
  remedy: string,
  resume_to: 'ROLLING_BACK' | null,
): MachineContext {
  const go_on = resume_to === null ? '' : 'Press Resume to go on putting things back.';
  return halt(
    c,
    reason,
    `The rollback stopped. ${rollbackProgress(c)} ${why} Why it began: ${c.rollback?.because ?? ''}`,
    [remedy, go_on, undoAdvice(c)].filter((part) => part !== '').join(' '),
    resume_to,
  );
}

/** "Still in force: CHG-7. Put back: CHG-8." */
export function rollbackProgress(c: MachineContext): string {
  const undone = c.rollback?.undone.map((u) => u.change_id) ?? [];
  const standing = standingChanges(c).map((d) => d.change_id);
  return `Still in force: ${listOf(standing)}. Put back: ${listOf(undone)}.`;
}

function allPutBack(c: MachineContext): MachineContext {
  const undone = c.rollback?.undone.map((u) => actionTitle(c, u.change_id)) ?? [];
  return halt(
    c,
    'rolled_back',
    `Everything was put back: ${undone.join(', then ')}. What was changed shows its state from before. Why: ${c.rollback?.because ?? ''}`,
    'The trouble itself is not solved. Press Plan again for a fresh look, or take it over by hand.',
    null,
  );
}

function undoWords(e: EventOf<'undone'>): string {
  if (e.put_back === 'changed_since')
    return `was put back, and somebody changed it again since: ${fieldWords(e.outcome)}`;
  const summary = shortMarks(e.outcome.summary);
  return {
    done: `was put back. ${summary}`,
    failed: `could not be put back: ${summary}`,
    conflict: `was not put back, since it was changed meanwhile: ${fieldWords(e.outcome)}`,
    outcome_unknown: `may or may not be put back. ${summary}`,
  }[e.outcome.status];
}

function fieldWords(outcome: ToolOutcome): string {
  const fields = outcome.conflict_fields.map(
    (f) => `${f.path} is now ${shortMarks(JSON.stringify(f.after))}`,
  );
  return fields.length === 0 ? shortMarks(outcome.summary) : `${fields.join('; ')}.`;
}

/** An undo that had left when somebody stopped it still reports. */
function lateResult(c: MachineContext, ended: string): MachineContext {
  const text = c.halt === null ? '' : `${c.halt.text} ${ended} ${rollbackProgress(c)}`;
  return {
    ...c,
    running: null,
    halt: c.halt === null ? null : { ...c.halt, text, next_step: nextAfterBrake(c, c.halt.reason) },
  };
}

/** A person ended a rollback: what to do by hand names only what is still in force. */
function nextAfterBrake(c: MachineContext, reason: HaltReason): string {
  return `${reason === 'stopped' ? NEXT_AFTER_STOP : NEXT_AFTER_HAND_OVER} ${undoAdvice(c)}`.trim();
}

/** Stop or hand-over while changes are put back: no further undo begins; one that has left is told when it ends. */
export function brakeRollback(
  c: MachineContext,
  reason: 'stopped' | 'paused',
  who_did_it: string,
): MachineContext {
  const under_way =
    c.running === null ? '' : ` Putting back ${String(c.running.change_id)} had begun; its end is told here.`;
  const text = `${who_did_it} during the rollback. ${rollbackProgress(c)}${under_way}`;
  return withHalt(c, reason, text, nextAfterBrake(c, reason), null);
}

function withUndone(c: MachineContext, change_id: string, at: string): MachineContext {
  if (c.rollback === null) return c;
  return { ...c, rollback: { ...c.rollback, undone: [...c.rollback.undone, { change_id, at }] } };
}

function listOf(change_ids: readonly string[]): string {
  return change_ids.length === 0 ? 'nothing' : change_ids.join(', ');
}
