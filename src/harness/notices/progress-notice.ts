import type { ProgressNotice } from '../../contract/notice.ts';
import type { Action } from '../../contract/plan.ts';
import { actionTitle, shortMarks } from '../halt-texts.ts';
import { madeChanges, nextUndo } from '../standing.ts';
import { incidentOf } from '../state.ts';
import type { MachineContext, Snapshot } from '../state.ts';

type Task = ProgressNotice['tasks'][number];

const SHOWN = new Set(['EXECUTING', 'VERIFYING', 'ROLLING_BACK']);
/** Contract and Slack take no more; the first to go is the line about the gates. */
const TASKS_MAX = 40;

/** Execution and verification as one list of tasks, edited in place; null while nothing has been approved. */
export function progressNotice(from: Snapshot, to: Snapshot): ProgressNotice | null {
  const c = to.context;
  const clearing = c.running?.kind === 'clear' || from.context.running?.kind === 'clear';
  // A stopped incident still hears how the step under way ended.
  const late_news = c.rollback !== null && c.rollback !== from.context.rollback;
  const moved = SHOWN.has(to.state) || SHOWN.has(from.state) || late_news;
  if (c.plan === null || !(clearing || moved)) return null;
  return {
    kind: 'progress',
    incident_id: incidentOf(c).incident_id,
    title: titleOf(to, c.plan.payload.plan.revision),
    tasks: [gateTask(from, to), ...actionTasks(from, to), ...checkTasks(to), ...undoTasks(to)].slice(
      -TASKS_MAX,
    ),
  };
}

/** The card stays in the thread: its title must be true when it is read a week later. */
function titleOf(to: Snapshot, revision: number): string {
  switch (to.state) {
    case 'VERIFYING':
      return `Plan revision ${revision} carried out, checking that it helped`;
    case 'CLOSED':
      return `Plan revision ${revision} carried out`;
    case 'ROLLING_BACK':
      return `Plan revision ${revision} did not help, putting everything back`;
    case 'HALTED':
      if (to.context.halt?.reason === 'rolled_back') return `Plan revision ${revision} was put back`;
      return to.context.rollback === null
        ? `Plan revision ${revision} stopped`
        : `Plan revision ${revision}: putting it back has stopped`;
    default:
      return `Executing plan revision ${revision}`;
  }
}

function gateTask(from: Snapshot, to: Snapshot): Task {
  const c = to.context;
  const base = { id: 'gates', title: 'Check every gate again: evidence, dry run, policy, approvals' };
  if (c.running?.kind === 'clear') return { ...base, status: 'in_progress', output: null };
  const refused = from.context.running?.kind === 'clear' && to.state !== 'EXECUTING';
  if (refused) return { ...base, status: 'error', output: c.halt?.text ?? c.status_text };
  const passed = c.plan?.gates.filter((g) => g.status === 'passed' || g.status === 'warning').length ?? 0;
  return { ...base, status: 'complete', output: `${passed} of ${c.plan?.gates.length ?? 0} gates passed` };
}

function actionTasks(from: Snapshot, to: Snapshot): Task[] {
  const c = to.context;
  const failed_here = from.state === 'EXECUTING' && to.state === 'HALTED';
  return (c.plan?.payload.plan.actions ?? []).flatMap((action, n): Task[] => {
    const done = c.done.find((d) => d.change_id === action.change_id);
    const title = `${action.change_id}: ${action.intent}`;
    const base = { id: action.id, title };
    const canary = canaryTask(to, action);
    const before = canary === null ? [] : [canary];
    if (done !== undefined)
      return [
        ...before,
        {
          ...base,
          status: done.outcome.status === 'done' ? 'complete' : 'error',
          output: shortMarks(done.outcome.summary),
        },
      ];
    if (n === c.done.length && failed_here && canary?.status !== 'error')
      return [...before, { ...base, status: 'error', output: c.halt?.text ?? null }];
    const runs =
      n === c.done.length && to.state === 'EXECUTING' && (canary?.status ?? 'complete') === 'complete';
    return [...before, { ...base, status: runs ? 'in_progress' : 'pending', output: null }];
  });
}

/** The canary of an action with what its checks said; null when it has none. */
function canaryTask(to: Snapshot, { id, change_id, canary }: Action): Task | null {
  const c = to.context;
  if (canary === undefined) return null;
  const base = { id: `${id}c`, title: `${change_id}, canary: ${canary.intent}, for ${canary.bake_s} s` };
  const tried = c.canaries.find((k) => k.change_id === change_id);
  const found = tried?.checks.map(
    (k) => `${k.title}: ${k.status === 'unknown' ? 'no answer, ' : ''}${k.found}`,
  );
  const output = tried === undefined || found?.length === 0 ? null : shortMarks((found ?? []).join('; '));
  if (tried?.passed === true) return { ...base, status: 'complete', output };
  const here = c.plan?.payload.plan.actions[c.done.length]?.change_id === change_id;
  if (here && to.state === 'EXECUTING') return { ...base, status: 'in_progress', output };
  if (tried === undefined) return { ...base, status: 'pending', output };
  return { ...base, status: 'error', output: output ?? shortMarks(tried.outcome.summary) };
}

/** In the order in which they are put back: the newest change first. */
function undoTasks(to: Snapshot): Task[] {
  const { rollback } = to.context;
  if (rollback === null) return [];
  const next = nextUndo(to.context);
  return madeChanges(to.context)
    .toReversed()
    .map(({ change_id }): Task => {
      const base = { id: `u-${change_id}`, title: `Put back ${actionTitle(to.context, change_id)}` };
      if (rollback.undone.some((u) => u.change_id === change_id))
        return { ...base, status: 'complete', output: 'The object shows its state from before' };
      if (change_id !== next) return { ...base, status: 'pending', output: null };
      if (to.state === 'ROLLING_BACK') return { ...base, status: 'in_progress', output: null };
      return { ...base, status: 'error', output: 'Not put back' };
    });
}

function checkTasks(to: Snapshot): Task[] {
  const c: MachineContext = to.context;
  return (c.plan?.payload.plan.verify ?? []).map((check): Task => {
    const result = c.checks.find((k) => k.check_id === check.id);
    const title = `Verify: ${check.title}`;
    if (result === undefined)
      return {
        id: check.id,
        title,
        status: to.state === 'VERIFYING' ? 'in_progress' : 'pending',
        output: null,
      };
    const status = result.status === 'passed' ? 'complete' : 'error';
    return {
      id: check.id,
      title,
      status,
      output: `${result.status === 'unknown' ? 'No answer' : 'Found'}: ${result.found}`,
    };
  });
}
