import { valueAt } from '../../json-pointer.ts';
import { UpstreamError, type UpstreamErrorInfo } from '../../upstream-error.ts';
import type { ApplyAnswer, CallHandle } from '../driver.ts';
import { nameOf } from './drain-plan.ts';
import type { PodName } from './eviction-body.ts';
import { podsOnNode, sendEviction } from './node-pods.ts';

/**
 * The evictions of an approved drain, in rounds: each waiting pod is asked once, then the node is looked at. A budget
 * that says no is asked again, never forced; an answer that was lost is settled by the look, since an eviction names its
 * pod by uid and cannot hit another. It ends when all are gone, when somebody stops it, or when the time is up, and then
 * says what is known: done, partly done, or unknown.
 */
type Standing = 'waiting' | 'asked' | 'gone' | 'refused';

interface PodRun {
  readonly pod: PodName;
  standing: Standing;
  /** Why it still waits, or why it was refused. */
  why: string;
  /** The last request for it had no answer. */
  is_unsure: boolean;
  /** Requests without a usable answer. */
  lost: number;
}

const PAUSE_FIRST_MS = 250;
const PAUSE_MS_MAX = 5000;
const ROUNDS_MAX = 400;
/** Answers that were lost or were errors, per pod; a budget may say no as long as there is time. */
const LOST_MAX = 4;
/** Kept for the last look. */
const RESERVE_MS = 1500;
const SUMMARY_PODS_MAX = 8;

export async function runEvictions(handle: CallHandle, pods: readonly PodName[]): Promise<ApplyAnswer> {
  const runs: PodRun[] = pods.map((pod) => ({
    pod,
    standing: 'waiting',
    why: 'there was no time left to ask',
    is_unsure: false,
    lost: 0,
  }));
  let stopped: string | null = null;
  let is_seen = true;
  let pause_ms = PAUSE_FIRST_MS;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    let wait_ms = pause_ms;
    for (const run of runs) {
      if (run.standing !== 'waiting' || handle.time_left_ms() < RESERVE_MS) continue;
      const asked = await ask(handle, run);
      stopped ??= asked.stopped;
      wait_ms = Math.max(wait_ms, asked.wait_ms);
      if (stopped !== null || asked.wait_ms > 0) break;
    }
    is_seen = await look(handle, runs);
    const is_over = runs.every(({ standing }) => standing === 'gone' || standing === 'refused');
    if (stopped !== null || (is_seen && is_over)) break;
    if (handle.time_left_ms() < RESERVE_MS + wait_ms) break;
    await new Promise((resolve) => setTimeout(resolve, wait_ms));
    pause_ms = Math.min(PAUSE_MS_MAX, pause_ms * 2);
  }
  return conclude(handle, runs, stopped, is_seen || (await look(handle, runs)));
}

/** One request for one pod. `wait_ms`: the server is busy and asks everybody to wait. */
async function ask(
  handle: CallHandle,
  run: PodRun,
): Promise<{ readonly stopped: string | null; readonly wait_ms: number }> {
  const go_on = { stopped: null, wait_ms: 0 };
  try {
    const refused = await sendEviction(handle, run.pod);
    run.standing = refused === null ? 'asked' : 'refused';
    run.why = refused ?? 'was told to go and is still there';
    run.is_unsure = false;
    return go_on;
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    const { info } = error;
    if (info.problem === 'blocked') return { stopped: info.message, wait_ms: 0 };
    note(run, info);
    return info.problem === 'throttled'
      ? { stopped: null, wait_ms: Math.min(info.retry_after_ms ?? PAUSE_FIRST_MS, PAUSE_MS_MAX) }
      : go_on;
  }
}

function note(run: PodRun, { problem, sent, message }: UpstreamErrorInfo): void {
  run.is_unsure = sent === 'maybe';
  run.why = problem === 'held' ? `is held: ${message}` : message;
  if (problem === 'held') return;
  if (problem === 'not-found') {
    run.standing = 'gone';
    return;
  }
  run.lost += 1;
  // Conflict, busy, ill, lost: asked again after the look. Any other answer stays the same.
  const is_passing = ['conflict', 'throttled'].includes(problem) || sent !== 'answered';
  if (!is_passing || run.lost >= LOST_MAX) run.standing = 'refused';
}

/** Brings each pod to what the node shows; false when it cannot be seen. */
async function look(handle: CallHandle, runs: readonly PodRun[]): Promise<boolean> {
  let found: ReadonlyMap<string | undefined, unknown>;
  try {
    found = new Map((await podsOnNode(handle)).map((pod) => [nameOf(pod)?.uid, pod]));
  } catch (error) {
    if (error instanceof UpstreamError) return false;
    throw error;
  }
  for (const run of runs) {
    const pod = found.get(run.pod.uid);
    if (pod === undefined) run.standing = 'gone';
    else if (valueAt(pod, '/metadata/deletionTimestamp') !== undefined) {
      run.standing = 'asked';
      run.why = 'was told to go and is still terminating';
    } else continue;
    run.is_unsure = false;
  }
  return true;
}

function conclude(
  { target }: CallHandle,
  runs: readonly PodRun[],
  stopped: string | null,
  is_seen: boolean,
): ApplyAnswer {
  const left = runs.filter(({ standing }) => standing !== 'gone');
  const evicted = runs.length - left.length;
  const result = {
    evicted: runs
      .filter(({ standing }) => standing === 'gone')
      .map(({ pod }) => `${pod.namespace}/${pod.name}`),
    left: left.map(({ pod, why }) => ({ pod: `${pod.namespace}/${pod.name}`, why })),
  };
  if (left.length === 0 && is_seen)
    return {
      status: 'done',
      result,
      summary: `Drained node ${target.name}: it is cordoned, and ${runs.length === 1 ? 'its pod is' : `all ${runs.length} pods are`} gone.`,
    };
  const named = left
    .slice(0, SUMMARY_PODS_MAX)
    .map(({ pod, why }) => `pod ${pod.namespace}/${pod.name} ${why}`)
    .join('; ');
  const more = left.length > SUMMARY_PODS_MAX ? ` and ${left.length - SUMMARY_PODS_MAX} more` : '';
  const halted = stopped === null ? '' : `Stopped between evictions: ${stopped}. `;
  const summary = `${halted}${evicted} of ${runs.length} pods evicted, node ${target.name} stays cordoned; ${named}${more}`;
  if (is_seen && runs.every(({ is_unsure }) => !is_unsure)) return { status: 'partial', result, summary };
  throw new UpstreamError({
    problem: 'dropped',
    sent: 'maybe',
    status: null,
    message: summary.slice(0, 500),
  });
}
