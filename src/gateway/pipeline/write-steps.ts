import { canonicalJson } from '../../contract/canonical.ts';
import type { ToolOutcome } from '../../contract/tool.ts';
import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import type { Lease } from '../credentials/lease.ts';
import type { ApplyAnswer, Observation, Precondition } from '../drivers/driver.ts';
import type { PeerAnswer } from '../mcp-peer.ts';
import { sanitizeText, sanitizeValue } from '../sanitize/sanitize.ts';
import type { UpstreamErrorInfo } from '../upstream-error.ts';
import type { Admission } from './admit.ts';
import type { GatewayCore } from './core.ts';
import { compareObservation, conflictOutcome, differences, outcomeOf } from './outcome.ts';
import { cleanRefusal } from './clean-refusal.ts';
import { callUpstream, scrubOf } from './upstream-call.ts';

/** Looking, changing, and finding out what happened when the answer was lost. */
export interface WriteCall {
  readonly core: GatewayCore;
  readonly admission: Admission;
  readonly call_id: string;
  readonly lease: Lease;
  readonly precondition: Precondition;
  readonly timeout_ms: number;
  /** Why a write of several requests must not send its next one, or null. */
  readonly brake?: () => Promise<string | null>;
}

const LOOK_TIMEOUT_MS = 10_000;
/** Pauses between looks after a lost answer: a server that still works on the request shows it within these. */
const LOOK_PAUSES_MS = [200, 800, 2000] as const;

export async function observe(call: WriteCall, mode: 'read' | 'write'): Promise<Observation | Refusal> {
  const { precondition } = call;
  const limits = { mode, timeout_ms: LOOK_TIMEOUT_MS, signal: undefined, precondition } as const;
  const answer = await callUpstream(call.core, call.admission, call.call_id, 'observe', call.lease, limits);
  if (answer.ok) return answer.structured as Observation;
  return cleanRefusal(answer.error, call.admission, call.lease);
}

/** Sends the write once. No abort signal: from here on it is finished or reported unknown. */
export async function apply(
  call: WriteCall,
  before_image: Readonly<Record<string, unknown>>,
): Promise<ToolOutcome> {
  const { core, admission, call_id, lease, precondition, timeout_ms, brake } = call;
  const limits = { mode: 'write', timeout_ms, signal: undefined, precondition, brake } as const;
  const answer = await callUpstream(core, admission, call_id, 'apply', lease, limits);
  const outcome = await conclude(call, answer);
  return cleanOutcome(call, {
    ...outcome,
    before_image: outcome.status === 'conflict' ? null : { ...before_image },
  });
}

async function conclude(call: WriteCall, answer: PeerAnswer): Promise<ToolOutcome> {
  if (!answer.ok) return concludeError(call, answer.error);
  const applied = answer.structured as ApplyAnswer;
  const { status } = applied;
  if (status === 'done')
    return outcomeOf('done', applied.summary ?? doneText(call), { result: applied.result });
  if (status === 'partial')
    return { ...outcomeOf('failed', applied.summary, { result: applied.result }), partial: true };
  const now = await observe(call, 'write');
  const fields = isRefusal(now) ? [] : differences(call.precondition, now);
  return conflictOutcome(fields, 'The object changed after it was approved; nothing was written');
}

async function concludeError(call: WriteCall, error: UpstreamErrorInfo): Promise<ToolOutcome> {
  if (error.sent === 'no') return outcomeOf('failed', `Nothing was written: ${error.message}`);
  if (error.sent === 'answered')
    return outcomeOf('failed', `The server refused the change: ${error.message}`);
  let shown: ReturnType<typeof compareObservation> | 'unseen' = 'unseen';
  for (const ms of LOOK_PAUSES_MS) {
    await pause(ms);
    const now = await observe(call, 'write');
    shown = isRefusal(now) ? 'unseen' : compareObservation(call.precondition, now);
    if (shown === 'after')
      return outcomeOf(
        'done',
        `${doneText(call)} The answer was lost (${error.message}); the object shows the change.`,
      );
    if (shown === 'other' && !isRefusal(now))
      return unknownOutcome(error.message, differences(call.precondition, now));
  }
  // The server answered (5xx) and the object stayed as it was: nothing is under way any more.
  if (shown === 'before' && error.status !== null)
    return outcomeOf('failed', `Nothing was written: ${error.message}`);
  return unknownOutcome(error.message, []);
}

export function unknownOutcome(why: string, fields: ToolOutcome['conflict_fields']): ToolOutcome {
  return outcomeOf(
    'outcome_unknown',
    `It cannot be shown whether the change happened: ${why}. It will not be run again by itself.`,
    {
      conflict_fields: fields,
    },
  );
}

export function doneText({ precondition, admission }: Pick<WriteCall, 'precondition' | 'admission'>): string {
  // What follows a canary, and its undo, also pin fields that stay as they are.
  const moved = precondition.changes.filter(
    ({ before, after }) => canonicalJson(before ?? null) !== canonicalJson(after ?? null),
  );
  const fields = moved.map(
    (change) => `${change.path} ${JSON.stringify(change.before)} -> ${JSON.stringify(change.after)}`,
  );
  return `Changed ${admission.route.target.kind} ${admission.route.target.name}: ${fields.join(', ')}.`;
}

/** What leaves the gateway about a write: redacted, then cut. */
export function cleanOutcome(
  call: Pick<WriteCall, 'admission' | 'lease'>,
  outcome: ToolOutcome,
): ToolOutcome {
  const { redaction } = call.admission.policy;
  const scrub = scrubOf(call.lease);
  const { summary, ...rest } = outcome;
  return {
    ...(sanitizeValue(rest, redaction, scrub).value as Omit<ToolOutcome, 'summary'>),
    summary: sanitizeText(summary, redaction, scrub).text.slice(0, 1000),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
