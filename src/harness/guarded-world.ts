import { hashOf } from '../contract/canonical.ts';
import { refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { World, WorldRequest, WorldResponse } from '../contract/world.ts';
import { amountWords, sharedWords, usedUp } from './budget-accounts.ts';
import type { BudgetLine } from './budget-accounts.ts';
import { answered, asked, beforeRead, NO_READS } from './loop-detector.ts';
import type { Breach, LoopState, ReadOutcome } from './loop-detector.ts';
import { isOutage } from './world-session.ts';

/** Calls after the refusal that a reader may still make before its work is ended for it. */
const CALLS_AFTER_REFUSAL_MAX = 3;

export type Limit =
  { readonly kind: 'budget'; readonly line: BudgetLine } | { readonly kind: 'loop'; readonly breach: Breach };

export interface GuardedWorld {
  readonly world: World;
  /** The limit that was met, for good: what is asked after it is refused. */
  readonly limit: () => Limit | null;
  /** Fires when the reader goes on asking after it was refused. */
  readonly signal: AbortSignal;
}

/**
 * A World that ends: each read is refused, as a value, once a budget is used up or the reader goes in circles. Whoever
 * heeds the refusal comes to an end by itself; whoever does not is ended.
 */
export function guardWorld(inner: World, budgets: () => Promise<readonly BudgetLine[]>): GuardedWorld {
  const abort = new AbortController();
  let limit: Limit | null = null;
  let after = 0;
  let reads: LoopState = NO_READS;
  const no = (met: Limit): WorldResponse => {
    limit = met;
    after += 1;
    const refusal = refusalOf(met);
    if (after > CALLS_AFTER_REFUSAL_MAX) abort.abort(new Error(refusal.reason));
    return { ok: false, refusal };
  };
  return {
    world: {
      async call(request, signal) {
        if (limit !== null) return no(limit);
        const spent = (await budgets()).find((line) => usedUp(line) !== null);
        if (spent !== undefined) return no({ kind: 'budget', line: spent });
        const command = commandOf(request);
        const breach = beforeRead(reads, command);
        if (breach !== null) return no({ kind: 'loop', breach });
        reads = asked(reads, command);
        const response = await inner.call(request, signal);
        reads = answered(reads, outcomeOf(response));
        return response;
      },
    },
    limit: () => limit,
    signal: abort.signal,
  };
}

function commandOf(request: WorldRequest): string {
  if (request.op === 'run') return request.command;
  return request.op === 'ls' ? `ls ${request.path}` : `explain ${request.command}`;
}

function outcomeOf(response: WorldResponse): ReadOutcome {
  if (!response.ok) return isOutage(response.refusal.code) ? 'unreachable' : 'refused';
  if (response.op === 'run') return { sha256: response.capture.pointer.sha256 };
  return { sha256: hashOf(response.op === 'ls' ? response.entries : response.text) };
}

function refusalOf(limit: Limit): Refusal {
  if (limit.kind === 'loop')
    return refuse(
      'going-in-circles',
      `This goes in circles: "${limit.breach.what}" brings nothing that was not asked or seen before (${limit.breach.times} times).`,
      'Stop reading and say what was found so far.',
    );
  const { line } = limit;
  const over = usedUp(line);
  const amount = over === null ? '' : `: ${amountWords(over.unit, over.used, over.max)}`;
  const whose = line.whose === 'incident' ? 'this incident' : `${sharedWords(line)} today`;
  return refuse(
    'out-of-budget',
    `The budget of ${whose} is used up${amount}.`,
    'Stop reading and say what was found so far.',
  );
}
