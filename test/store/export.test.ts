import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPublicKey } from '../../src/store/keys.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { verifyExport } from '../../src/store/verify-export.ts';
import type { ExportVerdict } from '../../src/store/verify-export.ts';
import { entry, handClock, INC } from './samples.ts';

const OTHER = 'INC-2026-1123-002';
const clock = handClock();
let root = '';
let store: Store;
let pem = '';
/** The export of everything, and its lines with their line feeds. */
let whole: Buffer = Buffer.alloc(0);
let lines: Buffer[] = [];

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'aegis-export-'));
  store = await openStore({ home: join(root, 'home'), clock });
  await store.ledger.append(INC, [entry({ n: 1, text: 'ünïcode \ufffd \u0000"\\' }), entry(), entry()]);
  await store.ledger.append('SYSTEM', [entry(), entry()]);
  await store.ledger.checkpoint('first');
  await store.ledger.append(INC, [entry()]);
  await store.ledger.append(OTHER, [entry(), entry()]);
  await store.ledger.checkpoint('second');
  await store.ledger.append('SYSTEM', [entry()]);
  pem = (await store.ledger.publicKey()).pem;
  whole = await exported(null);
  lines = linesOf(whole);
});
afterAll(async () => {
  await store.close();
  rmSync(root, { recursive: true, force: true });
});

async function exported(chain: string | null, from: Store = store): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of from.ledger.export(chain)) parts.push(part);
  return Buffer.concat(parts);
}

function linesOf(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let start = 0; start < file.length;) {
    const end = file.indexOf('\n', start) + 1;
    found.push(file.subarray(start, end));
    start = end;
  }
  return found;
}

async function verdictOf(file: Buffer, key: string | null = null): Promise<ExportVerdict> {
  const path = join(root, 'export.jsonl');
  writeFileSync(path, file);
  return await verifyExport(path, key === null ? null : readPublicKey(key));
}

const problemOf = async (parts: readonly Buffer[]) => (await verdictOf(Buffer.concat(parts))).problem;

/** Which entry a line holds, null for the others. */
function entryAt(index: number): { chain: string; seq: number } | null {
  const { entry: body } = JSON.parse(lines[index]!.toString()) as {
    entry?: { incident_id: string; seq: number };
  };
  return body === undefined ? null : { chain: body.incident_id, seq: body.seq };
}

const anyLine = () => fc.nat({ max: lines.length - 1 });

describe('an exported ledger', () => {
  it('holds every stored entry exactly as it was hashed, so that any program for SHA-256 can check it', async () => {
    const entries = lines.flatMap(
      (line) => /^\{"sha256":"(\w+)","entry":(.*)\}\n$/su.exec(line.toString()) ?? [],
    );
    const hashes: string[] = [];
    for (let n = 0; n < entries.length; n += 3) {
      expect(
        createHash('sha256')
          .update(entries[n + 2]!)
          .digest('hex'),
      ).toBe(entries[n + 1]);
      hashes.push(entries[n + 1]!);
    }
    const kept: string[] = [];
    for (const chain of ['CHECKPOINT', INC, OTHER, 'SYSTEM'])
      kept.push(...(await store.ledger.read(chain)).map((e) => e.hash));
    expect(hashes).toEqual(kept);
  });

  it('verifies from the file alone, with the key of its header or one that is given', async () => {
    const good = { ok: true, entries: 11, chains: 4, problem: null };
    expect(await verdictOf(whole)).toMatchObject(good);
    expect(await verdictOf(whole, pem)).toMatchObject(good);
  });

  it('verifies one chain, and a store without any entry', async () => {
    expect(await verdictOf(await exported(INC))).toMatchObject({ ok: true, entries: 4, chains: 1 });
    expect(await verdictOf(await exported('CHECKPOINT'))).toMatchObject({ ok: true, entries: 2, chains: 1 });
    const empty = await openStore({ home: join(root, 'empty'), clock });
    expect(await verdictOf(await exported(null, empty))).toMatchObject({ ok: true, entries: 0, chains: 0 });
    await empty.close();
  });

  it('is not taken for another installation’s, though it is sound in itself', async () => {
    const stranger = await openStore({ home: join(root, 'stranger'), clock });
    const key = (await stranger.ledger.publicKey()).pem;
    await stranger.close();
    expect((await verdictOf(whole, key)).problem).toMatchObject({
      line: 1,
      what: expect.stringContaining('not the given one'),
    });
  });

  it('names a row that was changed in the database', async () => {
    const home = join(root, 'changed');
    const bad = await openStore({ home, clock });
    await bad.ledger.append(INC, [entry(), entry(), entry()]);
    const db = new Database(join(home, 'aegis.db'));
    db.exec("DROP TRIGGER ledger_no_update; UPDATE ledger SET actor = 'nobody' WHERE seq = 2");
    db.close();
    expect((await verdictOf(await exported(null, bad))).problem).toMatchObject({ chain: INC, seq: 2 });
    await bad.close();
  });
});

describe('an exported file that somebody changed', () => {
  it('shows any flipped bit and names the line and its entry', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
        const file = Buffer.from(whole);
        file[at] = file[at]! ^ (1 << bit);
        let index = 0;
        for (let end = lines[0]!.length; end <= at; end += lines[index]!.length) index += 1;
        const { problem } = await verdictOf(file);
        expect(problem).toMatchObject({ line: index + 1, ...entryAt(index) });
      }),
      { numRuns: 400 },
    );
  });

  it('shows any line that is gone and names the entry that is missing', async () => {
    for (const [index] of lines.entries()) {
      const problem = await problemOf(lines.toSpliced(index, 1));
      expect(problem).toMatchObject({ line: index + 1, ...entryAt(index) });
    }
  });

  it('shows any doubled line', async () => {
    for (const [index, line] of lines.entries())
      expect(await problemOf(lines.toSpliced(index, 0, line))).toMatchObject({ line: index + 2 });
  });

  it('shows any two lines that changed places and names the first', async () => {
    const pair = fc.tuple(anyLine(), anyLine()).filter(([a, b]) => a < b);
    await fc.assert(
      fc.asyncProperty(pair, async ([a, b]) => {
        const swapped = lines.with(a, lines[b]!).with(b, lines[a]!);
        // Another chain may well open here; the first entry that is not of it shows.
        const opens = (index: number) => lines[index]!.includes('","chain":');
        expect(await problemOf(swapped)).toMatchObject({ line: opens(a) && opens(b) ? a + 2 : a + 1 });
      }),
      { numRuns: 100 },
    );
  });

  it('shows a file that ends anywhere but at its end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length - 1 }), async (length) => {
        const { ok, problem } = await verdictOf(whole.subarray(0, length));
        expect(ok).toBe(false);
        expect(problem?.what).toMatch(/cut off|is empty/);
      }),
      { numRuns: 100 },
    );
    expect((await verdictOf(Buffer.concat([whole, Buffer.from('\n')]))).ok).toBe(false);
  });
});

describe('a careful liar with a file', () => {
  const lineOf = (kind: string, value: unknown) => {
    const text = JSON.stringify(value);
    const sha256 = createHash('sha256').update(text).digest('hex');
    return Buffer.from(`{"sha256":"${sha256}","${kind}":${text}}\n`);
  };
  const bodyOf = (index: number, kind: string) =>
    (JSON.parse(lines[index]!.toString()) as Record<string, Record<string, unknown>>)[kind]!;

  it('who cuts a chain and corrects its opening line is found by the checkpoint', async () => {
    const last = lines.findIndex((_, n) => entryAt(n)?.chain === INC && entryAt(n)?.seq === 4);
    const before =
      bodyOf(last - 1, 'entry') && (JSON.parse(lines[last - 1]!.toString()) as { sha256: string });
    const opened = lineOf('chain', { chain: INC, entries: 3, last: before.sha256 });
    const cut = lines.with(last - 4, opened).toSpliced(last, 1);
    expect(await problemOf(cut)).toMatchObject({ chain: INC, seq: 4 });
  });

  it('who cuts what no checkpoint has seen yet is found by the signature over the whole', async () => {
    const last = lines.length - 2;
    expect(entryAt(last)).toEqual({ chain: 'SYSTEM', seq: 3 });
    const { sha256 } = JSON.parse(lines[last - 1]!.toString()) as { sha256: string };
    const opened = lineOf('chain', { chain: 'SYSTEM', entries: 2, last: sha256 });
    const cut = lines.with(last - 3, opened).toSpliced(last, 1);
    const lines_sha256 = createHash('sha256')
      .update(Buffer.concat(cut.slice(0, -1)))
      .digest('hex');
    const end = { ...bodyOf(lines.length - 1, 'end'), entries: 10, lines_sha256 };
    expect(await problemOf(cut.with(cut.length - 1, lineOf('end', end)))).toMatchObject({
      line: cut.length,
      what: expect.stringContaining('signature'),
    });
  });

  it('a file of a later version is refused in words', async () => {
    const later = lineOf('header', { ...bodyOf(0, 'header'), format: 'aegis.ledger-export/v2' });
    expect(await problemOf(lines.with(0, later))).toMatchObject({
      line: 1,
      what: expect.stringMatching(/v2.*reads aegis\.ledger-export\/v1/),
    });
    const index = lines.findIndex((_, n) => entryAt(n) !== null);
    const newer = lineOf('entry', { ...bodyOf(index, 'entry'), v: 2 });
    expect((await problemOf(lines.with(index, newer)))?.what).toContain('version 2');
  });
});
