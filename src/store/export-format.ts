import { hash } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from '../contract/canonical.ts';
import { ChainName } from '../contract/ledger.ts';
import { IsoTime, Sha256 } from '../contract/incident.ts';

/**
 * The form of an exported ledger. Every line is `{"sha256":"<of the bytes that follow the name>","<what>":<bytes>}`:
 * first a `header`, then for each chain a `chain` line and its `entry` lines, then one `end`. An entry stands exactly
 * as it was hashed, so its sha256 is its hash in the ledger; anybody can check it with a program for SHA-256.
 */
export const EXPORT_FORMAT = 'aegis.ledger-export/v1';

export const LINE_KINDS = ['header', 'chain', 'entry', 'end'] as const;
export type LineKind = (typeof LINE_KINDS)[number];

/** Only this of a header is the same in all versions. */
export const AnyHeader = z.looseObject({ format: z.string() });

export const ExportHeader = z.strictObject({
  format: z.literal(EXPORT_FORMAT),
  /** Version of the entries, `v` in each. */
  entry_v: z.literal(1),
  exported_at: IsoTime,
  /** The one chain that was asked for; null: all of them. */
  chain: ChainName.nullable(),
  key_id: z.string(),
  /** Ed25519, the checkpoints' public key: DER of SubjectPublicKeyInfo, base64. */
  public_key: z.string(),
});
export type ExportHeader = z.infer<typeof ExportHeader>;

export const ExportChain = z.strictObject({
  chain: ChainName,
  /** Entries that the chain had, and the hash of the last one. */
  entries: z.int().min(1),
  last: Sha256,
});
export type ExportChain = z.infer<typeof ExportChain>;

export const ExportEnd = z.strictObject({
  chains: z.int().min(0),
  entries: z.int().min(0),
  /** Over all lines before this one, with their line feeds. */
  lines_sha256: Sha256,
  signature: z.string(),
});
export type ExportEnd = z.infer<typeof ExportEnd>;

/** What the signature of the last line covers. */
export function endText(end: Omit<ExportEnd, 'signature'>): string {
  const { chains, entries, lines_sha256 } = end;
  return canonicalJson({ format: EXPORT_FORMAT, chains, entries, lines_sha256 });
}

const SHA256_DIGITS = 64;
const BEFORE_SHA256 = '{"sha256":"';
const AFTER_BODY = '}';
const LINE_FEED = '\n';

/** A whole line; `sha256` is given where the ledger has it, so that a row that does not match its hash stays one. */
export function exportLine(kind: LineKind, body: Uint8Array, sha256: string = hashOfBytes(body)): Buffer {
  const before = `${BEFORE_SHA256}${sha256}","${kind}":`;
  return Buffer.concat([Buffer.from(before), body, Buffer.from(AFTER_BODY + LINE_FEED)]);
}

export interface ExportedLine {
  readonly kind: LineKind;
  readonly sha256: string;
  readonly body: Buffer;
}

/** Takes a line (without its line feed) apart; null when it is none of ours, to the byte. */
export function parseExportLine(line: Buffer): ExportedLine | null {
  const at_kind = BEFORE_SHA256.length + SHA256_DIGITS;
  const sha256 = line.toString('latin1', BEFORE_SHA256.length, at_kind);
  for (const kind of LINE_KINDS) {
    const before = `${BEFORE_SHA256}${sha256}","${kind}":`;
    if (line.length <= before.length || line.toString('latin1', 0, before.length) !== before) continue;
    if (line.toString('latin1', line.length - AFTER_BODY.length) !== AFTER_BODY) return null;
    return { kind, sha256, body: line.subarray(before.length, line.length - AFTER_BODY.length) };
  }
  return null;
}

export function hashOfBytes(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}
