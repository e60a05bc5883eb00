import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { LedgerEntry } from '../contract/ledger.ts';
import { CHECKPOINT_CHAIN, CheckpointPayload, signedText } from './checkpoint-payload.ts';
import {
  AnyHeader,
  endText,
  EXPORT_FORMAT,
  ExportChain,
  ExportEnd,
  ExportHeader,
  hashOfBytes,
  parseExportLine,
} from './export-format.ts';
import type { ExportedLine } from './export-format.ts';
import { readPublicKey } from './keys.ts';
import type { PublicKey } from './keys.ts';
import { fitsPruned, PrunedEvent } from './pruned.ts';
import type { PrunedChain } from './pruned.ts';
import { rowProblem, textAfter, textBefore } from './row-check.ts';
import type { LastRow } from './row-check.ts';

/** One line in bytes: the longest payload and what stands around it. A longer one is no line of ours. */
const LINE_BYTES_MAX = 5 * 1024 * 1024;

export interface ExportProblem {
  /** 1-based line of the file. */
  readonly line: number;
  /** The entry that is bad or missing; null where the line is about no entry. */
  readonly chain: string | null;
  readonly seq: number | null;
  readonly what: string;
}

export interface ExportVerdict {
  readonly ok: boolean;
  readonly entries: number;
  readonly chains: number;
  /** The key that the signatures were checked with; null when the file did not say. */
  readonly key_id: string | null;
  /** The first thing that is wrong; nothing after it was looked at. */
  readonly problem: ExportProblem | null;
}

/**
 * Checks an exported ledger from the file alone: every byte of every line, links, order, counts, checkpoints with their
 * signatures and what they committed to, and the signature over the whole. Without `trusted` the signatures are checked
 * with the key that the file brings, which proves that it is whole and not who made it. Reads line by line; what stays in
 * memory is what checkpoints said about entries that were not read yet.
 */
export async function verifyExport(path: string, trusted: PublicKey | null): Promise<ExportVerdict> {
  const check = new ExportCheck(trusted);
  for await (const { bytes, whole } of linesOf(path)) if (check.line(bytes, whole) !== null) break;
  return check.verdict();
}

/** What checkpoints said about one chain: hash and number of the checkpoint, by entry. */
type Commitments = Map<number, { readonly hash: string; readonly by: number }>;

interface OpenChain extends ExportChain {
  read: LastRow | null;
}

class ExportCheck {
  readonly #trusted: PublicKey | null;
  readonly #seen = createHash('sha256');
  readonly #committed = new Map<string, Commitments>();
  readonly #pruned = new Map<string, PrunedChain>();
  #key: PublicKey | null = null;
  #header: ExportHeader | null = null;
  #chain: OpenChain | null = null;
  #ended = false;
  #lines = 0;
  #chains = 0;
  #entries = 0;
  #problem: ExportProblem | null = null;

  constructor(trusted: PublicKey | null) {
    this.#trusted = trusted;
  }

  /** Takes the next line; returns the problem that ends the check. */
  line(bytes: Buffer, whole: boolean): ExportProblem | null {
    this.#lines += 1;
    return (this.#problem = this.#problemOf(bytes, whole));
  }

  verdict(): ExportVerdict {
    const key_id = (this.#key ?? this.#trusted)?.key_id ?? null;
    if (this.#problem === null && !this.#ended) {
      this.#lines += 1;
      this.#problem =
        this.#lines === 1
          ? this.#bad('the file is empty')
          : this.#atNext('the file ends here: it was cut off before its last line');
    }
    return {
      ok: this.#problem === null,
      entries: this.#entries,
      chains: this.#chains,
      key_id,
      problem: this.#problem,
    };
  }

  #bad(what: string, chain: string | null = null, seq: number | null = null): ExportProblem {
    return { line: this.#lines, chain, seq, what };
  }

  /** A problem of the entry that should stand here. */
  #atNext(what: string): ExportProblem {
    const open = this.#chain;
    const next = (open?.read?.seq ?? 0) + 1;
    return open === null || next > open.entries ? this.#bad(what) : this.#bad(what, open.chain, next);
  }

  #problemOf(bytes: Buffer, whole: boolean): ExportProblem | null {
    if (this.#ended) return this.#bad('something follows the last line');
    if (!whole) return this.#atNext('the file ends within this line, or the line has no end: it was cut off');
    const line = parseExportLine(bytes);
    if (line === null) return this.#atNext('is no line of an exported ledger: it was changed');
    if (hashOfBytes(line.body) !== line.sha256)
      return this.#atNext('content was changed: its hash does not match');
    const value = jsonOf(line.body);
    if ((line.kind === 'header') !== (this.#header === null))
      return this.#header === null
        ? this.#bad('the first line is not the header')
        : this.#atNext('a second header');
    const problem = this.#contentProblem(line, value);
    if (problem === null && line.kind !== 'end') this.#seen.update(bytes).update('\n');
    return problem;
  }

  #contentProblem(line: ExportedLine, value: unknown): ExportProblem | null {
    if (line.kind === 'header') return this.#headerProblem(value);
    if (line.kind === 'entry') return this.#entryProblem(line, value);
    return (
      this.#chainEndProblem() ?? (line.kind === 'chain' ? this.#newChain(value) : this.#endProblem(value))
    );
  }

  #headerProblem(value: unknown): ExportProblem | null {
    const any = AnyHeader.safeParse(value);
    if (!any.success) return this.#bad('the header is none of an exported ledger');
    if (any.data.format !== EXPORT_FORMAT)
      return this.#bad(
        `the file has the format "${any.data.format}"; this Aegis reads ${EXPORT_FORMAT}: use the version of Aegis that wrote it, or a newer one`,
      );
    const header = ExportHeader.safeParse(value);
    if (!header.success) return this.#bad('the header is not one of this format');
    const own = keyOrNull(header.data.public_key);
    if (own?.key_id !== header.data.key_id) return this.#bad('the header brings a key that is none');
    if (this.#trusted !== null && this.#trusted.key_id !== own.key_id)
      return this.#bad(`signed with key ${own.key_id}, which is not the given one (${this.#trusted.key_id})`);
    this.#key = this.#trusted ?? own;
    this.#header = header.data;
    return null;
  }

  #newChain(value: unknown): ExportProblem | null {
    const chain = ExportChain.safeParse(value);
    if (!chain.success) return this.#bad('the line that opens a chain is none');
    const { chain: name } = chain.data;
    const only = this.#header?.chain ?? null;
    if (only !== null && name !== only) return this.#bad(`the export of ${only} has a chain ${name}`, name);
    if (this.#chain !== null && name <= this.#chain.chain)
      return this.#bad('this chain is out of order', name);
    this.#chain = { ...chain.data, read: null };
    this.#chains += 1;
    return null;
  }

  #entryProblem(line: ExportedLine, value: unknown): ExportProblem | null {
    const parsed = LedgerEntry.safeParse({ ...(value as object | null), hash: line.sha256 });
    if (!parsed.success) return this.#atNext(entryFault(value));
    const { incident_id: chain, ...rest } = parsed.data;
    const row = { chain, ...rest };
    const open = this.#chain;
    if (open?.chain !== chain)
      return this.#bad('stands in the wrong place: the line that opens its chain is missing', chain, row.seq);
    const text = line.body.toString('utf8');
    const before = textBefore(row);
    const after = textAfter(row);
    if (!text.startsWith(before) || !text.endsWith(after))
      return this.#atNext('is not written as the ledger writes entries');
    const problem = rowProblem(row, open.read, line.sha256);
    if (problem !== null) return this.#bad(problem.what, chain, problem.seq);
    if (row.seq > open.entries)
      return this.#bad(`the chain was said to have ${open.entries} entries`, chain, row.seq);
    open.read = row;
    this.#entries += 1;
    this.#notePruned(parsed.data);
    return this.#commitmentProblem(row.seq, row.hash) ?? this.#checkpointProblem(parsed.data);
  }

  /** Chains that the SYSTEM chain says were taken out after their time: it comes last in a file. */
  #notePruned({ incident_id, kind, payload }: LedgerEntry): void {
    const event = incident_id === 'SYSTEM' && kind === 'event' ? PrunedEvent.safeParse(payload) : null;
    if (event?.success === true) this.#pruned.set(event.data.chain, event.data);
  }

  /** What an earlier checkpoint said about this entry. */
  #commitmentProblem(seq: number, hash: string): ExportProblem | null {
    const chain = this.#chain?.chain ?? '';
    const said = this.#committed.get(chain)?.get(seq);
    if (said === undefined) return null;
    this.#committed.get(chain)?.delete(seq);
    return said.hash === hash
      ? null
      : this.#bad(`is not what checkpoint ${said.by} committed to: changed or cut off`, chain, seq);
  }

  #checkpointProblem(entry: LedgerEntry): ExportProblem | null {
    if (entry.incident_id !== CHECKPOINT_CHAIN) return null;
    const payload = CheckpointPayload.safeParse(entry.payload);
    if (!payload.success) return this.#bad('is no checkpoint', CHECKPOINT_CHAIN, entry.seq);
    const { signature, ...unsigned } = payload.data;
    if (this.#key?.verify(signedText(unsigned, entry), signature) !== true)
      return this.#bad(`signature does not match (key ${unsigned.key_id})`, CHECKPOINT_CHAIN, entry.seq);
    // One chain alone has nothing that could be compared.
    if (this.#header?.chain !== null) return null;
    for (const head of unsigned.moved) {
      const known: Commitments = this.#committed.get(head.incident_id) ?? new Map();
      const said = known.get(head.seq);
      if (said !== undefined && said.hash !== head.hash)
        return this.#bad(`contradicts checkpoint ${said.by}`, CHECKPOINT_CHAIN, entry.seq);
      known.set(head.seq, { hash: head.hash, by: entry.seq });
      this.#committed.set(head.incident_id, known);
    }
    return null;
  }

  /** A chain is complete when its last entry is the one that was announced, and nothing is left that checkpoints named. */
  #chainEndProblem(): ExportProblem | null {
    const open = this.#chain;
    if (open === null) return null;
    const seq = open.read?.seq ?? 0;
    if (seq < open.entries) return this.#atNext(`entry ${seq + 1} is missing`);
    if (open.read?.hash !== open.last)
      return this.#bad('is not the last entry that was announced', open.chain, seq);
    return this.#leftOver(open.chain);
  }

  #leftOver(chain: string): ExportProblem | null {
    const gone = this.#pruned.get(chain);
    const open = [...(this.#committed.get(chain) ?? [])];
    const left = open.find(([seq, { hash }]) => gone === undefined || !fitsPruned(gone, { seq, hash }));
    this.#committed.delete(chain);
    if (left === undefined) return null;
    const [seq, { by }] = left;
    return this.#bad(`is missing: checkpoint ${by} committed to it`, chain, seq);
  }

  #endProblem(value: unknown): ExportProblem | null {
    const parsed = ExportEnd.safeParse(value);
    if (!parsed.success) return this.#bad('the last line is none');
    const { signature, ...end } = parsed.data;
    for (const chain of this.#committed.keys()) {
      const problem = this.#leftOver(chain);
      if (problem !== null) return problem;
    }
    if (end.chains !== this.#chains || end.entries !== this.#entries)
      return this.#bad(
        `the file had ${end.entries} entries in ${end.chains} chains and has ${this.#entries} in ${this.#chains}: whole chains are missing`,
      );
    if (end.lines_sha256 !== this.#seen.digest('hex'))
      return this.#bad('the lines before are not those that were written, though each is sound');
    if (this.#key?.verify(endText(end), signature) !== true)
      return this.#bad('the signature over the whole file does not match');
    this.#ended = true;
    return null;
  }
}

function entryFault(value: unknown): string {
  const v = (value as { v?: unknown } | null)?.v;
  return typeof v === 'number' && v !== 1
    ? `has version ${v}; this Aegis knows version 1: use a newer one`
    : 'is no entry of a ledger';
}

function keyOrNull(der_base64: string): PublicKey | null {
  try {
    return readPublicKey(der_base64);
  } catch {
    return null;
  }
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return null;
  }
}

/** Lines as bytes, without their line feed; `whole` is false where the file ends, or the line is too long to be one. */
async function* linesOf(path: string): AsyncGenerator<{ bytes: Buffer; whole: boolean }> {
  let rest: Buffer[] = [];
  let rest_bytes = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, start)) {
      const piece = chunk.subarray(start, at);
      yield { bytes: rest.length === 0 ? piece : Buffer.concat([...rest, piece]), whole: true };
      rest = [];
      rest_bytes = 0;
      start = at + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
    rest_bytes += chunk.length - start;
    if (rest_bytes > LINE_BYTES_MAX) break;
  }
  if (rest.length > 0) yield { bytes: Buffer.concat(rest), whole: false };
}
