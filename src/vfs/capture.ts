import { sha256Hex } from '../contract/canonical.ts';
import type { EvidencePointer, EvidenceRecord } from '../contract/evidence.ts';
import { ReadPayload } from '../contract/ledger.ts';
import { isoTime, type Clock, type Ids } from '../contract/ports.ts';
import { refuse, type Refusal } from '../contract/verdict.ts';
import type { Capture } from '../contract/world.ts';
import type { Store } from '../store/store.ts';
import { countMarks } from './line-text.ts';
import type { ReadSpent } from './read-budget.ts';
import type { RunResult } from './run.ts';
import type { Provenance } from './source-reader.ts';
import { accountOf, ledgerActor, type VfsSession } from './session.ts';

/**
 * Text -> evidence: hash, record, seal, ledger, in this order, and only then is the text handed out. The count of
 * redactions is that of the captured text: a count over lines that a filter removed would tell what they held.
 */
export interface CaptureDeps {
  readonly store: Pick<Store, 'evidence' | 'ledger'>;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface CaptureInput {
  readonly result: RunResult;
  readonly provenance: Provenance;
  readonly session: VfsSession;
  readonly why: string;
  readonly started_at_ms: number;
  /** What the reader gets to see, and what that costs. */
  readonly shown: ShownLines;
  readonly cost: ReadSpent;
  /** How long the text is kept. */
  readonly kept_hours: number;
}

const UNSAVED_EVIDENCE_ID = 'EV-unsaved00';
const SHOWN_LINES_MAX = 400;
const SHOWN_BYTES_MAX = 24_000;

export async function captureEvidence(deps: CaptureDeps, input: CaptureInput): Promise<Capture | Refusal> {
  const { result, session } = input;
  const text = result.lines.join('\n');
  if (result.query.length > 4000 || result.path.length > 2000)
    return refuse('bad-command', 'The command is too long to be kept as evidence.', 'Shorten the pattern.');
  const pointer: EvidencePointer = {
    evidence_id: session.incident_id === null ? UNSAVED_EVIDENCE_ID : evidenceId(deps.ids),
    path: result.path,
    query: result.query,
    lines: `1-${Math.max(result.lines.length, 1)}`,
    sha256: sha256Hex(text),
    captured_at: isoTime(deps.clock.now()),
  };
  const capture: Capture = {
    pointer,
    line_count: result.lines.length,
    bytes: Buffer.byteLength(text),
    mount: result.mount,
    kind: result.kind,
    redactions: countMarks(text),
    attacker_writable: result.attacker_writable,
    ...input.shown,
    summary: summaryOf(result, input.shown.complete).slice(0, 500),
  };
  if (session.incident_id !== null) await keep(deps, input, session.incident_id, capture, text);
  return capture;
}

async function keep(
  deps: CaptureDeps,
  input: CaptureInput,
  incident_id: string,
  capture: Capture,
  text: string,
): Promise<void> {
  const { session, provenance, why } = input;
  const { pointer } = capture;
  const now_ms = deps.clock.now();
  const record: EvidenceRecord = {
    evidence_id: pointer.evidence_id,
    incident_id,
    team: session.team,
    env: session.env,
    path: pointer.path,
    query: pointer.query,
    mount: capture.mount,
    kind: capture.kind,
    source_query: provenance.source_query,
    sha256: pointer.sha256,
    bytes: capture.bytes,
    line_count: capture.line_count,
    redactions: capture.redactions,
    rules_hash: provenance.rules_hash,
    // Bound to the query: two empty results of different questions must not be seen to have equal raw bytes.
    raw_hmac: deps.store.evidence.rawHmac(
      session,
      Buffer.from(`${pointer.query}\n${provenance.raw_identity}`),
    ),
    captured_at: pointer.captured_at,
    expires_at: isoTime(Date.parse(pointer.captured_at) + input.kept_hours * 3_600_000),
    why_needed: why,
    attacker_writable: capture.attacker_writable,
  };
  await deps.store.evidence.put(record, text);
  const payload: ReturnType<typeof ReadPayload.parse> = {
    evidence_id: record.evidence_id,
    path: record.path,
    query: record.query,
    mount: record.mount,
    source_query: record.source_query,
    sha256: record.sha256,
    bytes: record.bytes,
    line_count: record.line_count,
    redactions: record.redactions,
    intent: why,
    cost: {
      tokens: input.cost.tokens,
      usd: 0,
      ms: Math.max(0, Math.round(now_ms - input.started_at_ms)),
    },
  };
  // Without a payer each read is an effect of its own: nothing runs it again.
  const payer = session.payer ?? {
    effect_id: `${incident_id}/${session.purpose ?? 'investigate'}/${record.evidence_id}`,
    attempt: record.evidence_id,
    accounts: [accountOf(session)],
  };
  const { bytes, tokens } = input.cost;
  await deps.store.ledger.append(incident_id, [
    {
      kind: 'read',
      actor: ledgerActor(session),
      payload,
      spend: { payer, reads: 1, bytes, tokens, cost_usd: payload.cost.usd },
    },
  ]);
}

function evidenceId(ids: Ids): string {
  const id = ids.next('ev');
  return `EV-${id.slice(id.indexOf('_') + 1).padStart(8, '0')}`;
}

export interface ShownLines {
  readonly lines: string[];
  readonly complete: boolean;
}

/** The first lines within the limits; a first line that is longer than all of them is shown cut. */
export function firstLines(lines: readonly string[]): ShownLines {
  const shown: string[] = [];
  let bytes = 0;
  for (const line of lines.slice(0, SHOWN_LINES_MAX)) {
    bytes += Buffer.byteLength(line) + 1;
    if (bytes > SHOWN_BYTES_MAX) {
      if (shown.length === 0) shown.push(`${line.slice(0, SHOWN_BYTES_MAX / 4)}…`);
      return { lines: shown, complete: false };
    }
    shown.push(line);
  }
  return { lines: shown, complete: shown.length === lines.length };
}

function summaryOf(result: RunResult, complete: boolean): string {
  const n = result.lines.length;
  const size = n === 0 ? 'no lines' : n === 1 ? '1 line' : `${n} lines`;
  return `${size} from ${result.path} (${result.mount})${complete ? '' : '; only the first lines are shown, read on with --lines'}`;
}
