import { z } from 'zod';
import { LineRange, lineRange } from '../../contract/evidence.ts';
import type { CallPayload } from '../../contract/ledger.ts';
import type { Clock, Ids } from '../../contract/ports.ts';
import { isoTime } from '../../contract/ports.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { ResultAbout, TokenGrant } from '../../store/authority.ts';
import type { Store } from '../../store/store.ts';
import type { Gateway } from '../gateway.ts';
import type { ReadResult } from '../read.ts';
import { minimise, resultLines, type Minimised } from './minimise.ts';

/**
 * Results that are too large for an agent's context: it gets their shape and a pointer, and reads the lines that it
 * wants. The pointer opens for the same tenant, incident and class of token, under the same policies, for a while.
 */
export interface KeptDeps {
  readonly gateway: Pick<Gateway, 'policyDigest' | 'redactText'>;
  readonly store: Pick<Store, 'results' | 'ledger'>;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface Pointed extends Minimised {
  readonly pointer: string;
  readonly expires_at: string;
  readonly how: string;
}

export interface ResultRange {
  readonly pointer: string;
  readonly lines: string;
  readonly line_count: number;
  readonly text: string;
}

/** Bytes of JSON that an agent is handed at once: some 16,000 tokens. */
export const SHOWN_BYTES_MAX = 32_768;
const LIFETIME_MS = 900_000;
export const RESULT_TOOL = 'aegis_result_read';

export const ResultInput = z.strictObject({
  pointer: z.string().min(1).max(100),
  lines: LineRange,
  why: z.string().trim().min(1).max(500),
});

/** The result itself when it fits; else its shape, and the whole behind a pointer. */
export async function keepLarge(
  deps: KeptDeps,
  grant: TokenGrant,
  read: ReadResult,
  from: { readonly tool: string; readonly target: string },
): Promise<unknown> {
  const policy_digest = deps.gateway.policyDigest();
  if (policy_digest === null || Buffer.byteLength(JSON.stringify(read.result)) <= SHOWN_BYTES_MAX)
    return read.result;
  const lines = resultLines(read.result);
  const about: ResultAbout = {
    result_id: deps.ids.next('res'),
    team: grant.team,
    env: grant.env,
    incident_id: grant.incident_id,
    action_class: grant.action_class,
    policy_digest,
    call_id: read.call_id,
    ...from,
    expires_at_ms: deps.clock.now() + LIFETIME_MS,
  };
  await deps.store.results.put(about, lines.join('\n'));
  const pointed: Pointed = {
    ...minimise(read.result, lines),
    pointer: about.result_id,
    expires_at: isoTime(about.expires_at_ms),
    how: `Read lines of it with ${RESULT_TOOL} {pointer, lines: "1-200", why}, or ask for less.`,
  };
  return pointed;
}

/** Lines of a kept result, with an audit row before they are handed out. */
export async function readKept(
  deps: KeptDeps,
  grant: TokenGrant,
  input: z.infer<typeof ResultInput>,
): Promise<ResultRange | Refusal> {
  const kept = await deps.store.results.open(input.pointer);
  if (kept === null || !belongs(kept.about, grant, deps.gateway.policyDigest())) return gone(input.pointer);
  const all = kept.text.split('\n');
  const { first, last } = lineRange(input.lines);
  const wanted = all.slice(first - 1, last);
  if (first > last || wanted.length === 0)
    return refuse(
      'lines-invalid',
      `There are lines 1-${all.length}, not ${input.lines}.`,
      'Name lines that exist.',
    );
  const text = wanted.join('\n');
  if (Buffer.byteLength(text) > SHOWN_BYTES_MAX)
    return refuse(
      'result-too-large',
      `Lines ${input.lines} are larger than ${SHOWN_BYTES_MAX} bytes.`,
      `Ask for about ${Math.max(1, Math.floor((wanted.length * SHOWN_BYTES_MAX) / Buffer.byteLength(text)))} lines at once.`,
    );
  const unwritten = await audit(deps, grant, kept.about, input);
  if (isRefusal(unwritten)) return unwritten;
  return {
    pointer: input.pointer,
    lines: `${first}-${first - 1 + wanted.length}`,
    line_count: all.length,
    text,
  };
}

function belongs(about: ResultAbout, grant: TokenGrant, policy_digest: string | null): boolean {
  return (
    about.team === grant.team &&
    about.env === grant.env &&
    about.incident_id === grant.incident_id &&
    about.action_class === grant.action_class &&
    about.policy_digest === policy_digest
  );
}

/** The same words whether it never was, is over, or is somebody else's. */
function gone(pointer: string): Refusal {
  return refuse(
    'result-gone',
    `There is no result ${pointer.slice(0, 100)} for this token (any more).`,
    'Ask again with the tool that gave the pointer; pointers last fifteen minutes and end when the policies change.',
  );
}

async function audit(
  { gateway, store, ids }: KeptDeps,
  grant: TokenGrant,
  about: ResultAbout,
  input: z.infer<typeof ResultInput>,
): Promise<Refusal | null> {
  const payload: CallPayload = {
    phase: 'after',
    call_id: ids.next('call'),
    door: 'read',
    tool: about.tool,
    target: about.target,
    action_class: 'read',
    principal: grant.principal,
    args: { pointer: input.pointer, lines: input.lines },
    // A caller's words may hold anything.
    why: gateway.redactText(input.why).slice(0, 500),
    policy_digest: about.policy_digest,
    trace_id: ids.next('trace'),
    journal_key: null,
    journal_phase: null,
    permit_id: null,
    shared_with: about.call_id,
    credential: null,
    status: 'done',
    summary: `lines ${input.lines} of a kept result`,
    redactions: 0,
    cost: { tokens: 0, usd: 0, ms: 0 },
  };
  try {
    await store.ledger.append(grant.incident_id ?? 'SYSTEM', [
      { kind: 'call', actor: 'aegis:gateway', payload },
    ]);
    return null;
  } catch {
    return refuse(
      'audit-unavailable',
      'The audit row could not be written, so nothing is handed out.',
      'Check disk space and the database in AEGIS_HOME.',
    );
  }
}
