import { z } from 'zod';
import { IncidentId, IsoTime, Sha256 } from './incident.ts';
import { Name } from './scope.ts';

export const EvidenceId = z.string().regex(/^EV-[A-Za-z0-9_-]{8,32}$/);

/** "120-140" or "7-7": first and last line, 1-based, inside the captured (redacted) file. */
export const LineRange = z.string().regex(/^[1-9]\d{0,7}-[1-9]\d{0,7}$/);

/** Names lines of a captured file. It must equal a stored record of the incident in every field. */
export const EvidencePointer = z.strictObject({
  evidence_id: EvidenceId,
  /** Canonical VFS path with query parameters, for example `/teams/data/prod/logs/driver.log`. */
  path: z.string().min(1).max(2000),
  /** The canonical pipeline with absolute since/until. */
  query: z.string().min(1).max(4000),
  lines: LineRange,
  /** Of the captured, redacted file as stored. */
  sha256: Sha256,
  captured_at: IsoTime,
});
export type EvidencePointer = z.infer<typeof EvidencePointer>;

/** How "still true?" is decided: state compares cited fields, a stream re-runs its bounded query, a document hashes equal. */
export const EvidenceKind = z.enum(['state', 'stream', 'document']);
export type EvidenceKind = z.infer<typeof EvidenceKind>;

export const EvidenceRecord = z.strictObject({
  evidence_id: EvidenceId,
  incident_id: IncidentId,
  team: Name,
  env: Name,
  path: z.string().min(1).max(2000),
  query: z.string().min(1).max(4000),
  /** The mount that produced it, for example `kubernetes`, `loki`. */
  mount: z.string().min(1).max(64),
  kind: EvidenceKind,
  /** The source query as compiled (LogQL, PromQL, API call), for the person who checks. */
  source_query: z.string().max(8000),
  sha256: Sha256,
  bytes: z.int().min(0),
  line_count: z.int().min(0),
  redactions: z.int().min(0),
  /** Hash of the redaction rules in force: another rule set gives another file. */
  rules_hash: Sha256,
  /** HMAC-SHA256 of the raw bytes under the tenant's key: proves identity without letting low-entropy secrets be guessed. */
  raw_hmac: Sha256,
  captured_at: IsoTime,
  expires_at: IsoTime,
  why_needed: z.string().min(1).max(500),
  /** Logs, labels, annotations: an attacker can write them, so they never suffice alone for a write. */
  attacker_writable: z.boolean(),
});
export type EvidenceRecord = z.infer<typeof EvidenceRecord>;

/** Answer of `holds(pointer)`: intact and current, or why not. */
export const HoldsResult = z.strictObject({
  status: z.enum(['holds', 'changed', 'gone', 'expired', 'unreachable', 'tampered', 'unknown_pointer']),
  /** One sentence for the card. */
  detail: z.string().max(1000),
  /** Cited lines as captured, and as found now where they differ. */
  changed: z.array(z.strictObject({ line: z.int(), was: z.string(), now: z.string().nullable() })).max(50),
  /** Hash of the source file now, when it could be read again. */
  now_sha256: Sha256.nullable(),
  checked_at: IsoTime,
});
export type HoldsResult = z.infer<typeof HoldsResult>;

/** First and last line of a range that has passed the schema. */
export function lineRange(range: string): { first: number; last: number } {
  const [first, last] = range.split('-').map(Number) as [number, number];
  return { first, last };
}
