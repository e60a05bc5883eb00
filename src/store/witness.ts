import {
  closeSync,
  createReadStream,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import { LedgerEntry } from '../contract/ledger.ts';
import { isMissing } from './home.ts';

/**
 * The witness file: one checkpoint entry per line, only ever appended. It is worth most when a copy lies elsewhere
 * (`tail -f` into a log system): who rewrites or rewinds the database cannot reach the copy.
 */
export function appendWitness(path: string, lines: readonly string[]): void {
  const file = openSync(path, 'a+', 0o600);
  try {
    // A torn last line is what a crash left behind; its checkpoint comes again in full.
    ftruncateSync(file, wholeBytes(file));
    const data = Buffer.from(lines.map((line) => `${line}\n`).join(''), 'utf8');
    for (let at = 0; at < data.length;) at += writeSync(file, data, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Length in bytes up to and including the last line feed. */
function wholeBytes(file: number): number {
  return afterLineFeed(file, fstatSync(file).size);
}

/** Where the line begins that holds the byte before `end`: behind the last line feed before it, or at the start. */
function afterLineFeed(file: number, before: number): number {
  const block = Buffer.alloc(64 * 1024);
  for (let end = before; end > 0;) {
    const start = Math.max(0, end - block.length);
    const read = readSync(file, block, 0, end - start, start);
    const at = block.subarray(0, read).lastIndexOf(0x0a);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}

/** The last whole line; null when there is no file, or none in it. */
export function newestWitness(path: string): LedgerEntry | 'unreadable' | null {
  const file = openToRead(path);
  if (file === null) return null;
  try {
    const end = wholeBytes(file);
    if (end === 0) return null;
    const start = afterLineFeed(file, end - 1);
    const line = Buffer.alloc(end - 1 - start);
    readSync(file, line, 0, line.length, start);
    return parseEntry(line.toString('utf8')) ?? 'unreadable';
  } finally {
    closeSync(file);
  }
}

function openToRead(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Lines of the witness file (1-based), `entry` null where a line is no ledger entry. Null when there is no file. */
export async function readWitness(
  path: string,
): Promise<AsyncIterable<{ line: number; entry: LedgerEntry | null }> | null> {
  const file = openToRead(path);
  return file === null ? null : linesOf(file, wholeBytes(file));
}

async function* linesOf(
  file: number,
  bytes: number,
): AsyncIterable<{ line: number; entry: LedgerEntry | null }> {
  if (bytes === 0) {
    closeSync(file);
    return;
  }
  const input = createReadStream('', { fd: file, start: 0, end: bytes - 1 });
  let line = 0;
  for await (const text of createInterface({ input, crlfDelay: Infinity })) {
    line += 1;
    yield { line, entry: parseEntry(text) };
  }
}

function parseEntry(line: string): LedgerEntry | null {
  try {
    return LedgerEntry.parse(JSON.parse(line));
  } catch {
    return null;
  }
}
