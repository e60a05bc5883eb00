import { setImmediate as nextTurn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { EvidenceRecord } from '../contract/evidence.ts';
import { unsealBlob } from './blobs.ts';
import { CHECKPOINT_CHAIN, CheckpointPayload, REWIND_ACCEPTED, signedText } from './checkpoint-payload.ts';
import { connect } from './database.ts';
import type { Core } from './database.ts';
import { fitsPruned, prunedLookup, prunedProblems } from './pruned.ts';
import { rowHash, rowProblem } from './row-check.ts';
import type { LastRow, RowHead } from './row-check.ts';
import type { LedgerVerdict } from './store.ts';
import { readWitness } from './witness.ts';

const PROBLEMS_MAX = 20;
/** Rows between two turns of the event loop: a running service goes on answering while it is checked. */
const ROWS_PER_TURN = 500;

/** What a text holds where the bytes were no UTF-8. */
const NO_UTF8 = '\ufffd';

/** Pages are read once, in order: a cache that the processor's own cache holds is faster than a large one. */
const PAGE_CACHE_KIB = 1024;

type ScannedEntry = RowHead & { readonly payload: string; readonly hash: string };
/** Columns in the order of the query: an object made by the driver, name by name, costs a tenth of the whole check. */
type ScannedColumns = [string, number, number, string, string, string, string, string, string];

/** What one check has found so far: of each chain the first bad entry, whatever order the checks run in. */
interface Findings {
  entries: number;
  chains: number;
  blobs: number;
  readonly first_of: Map<string, LedgerVerdict['problems'][number]>;
  add(chain: string, seq: number | null, what: string): void;
}

function noFindings(): Findings {
  const first_of: Findings['first_of'] = new Map();
  return {
    entries: 0,
    chains: 0,
    blobs: 0,
    first_of,
    add(chain, seq, what) {
      const known = first_of.get(chain);
      if (known === undefined || (seq ?? Infinity) < (known.seq ?? Infinity))
        first_of.set(chain, { chain, seq, what });
    },
  };
}

/**
 * Checks everything that can be checked without trusting the database: hash and link of every row from its stored
 * bytes, heads, checkpoints with their signatures, every sealed file against its record and its `read` entry, and on
 * request the witness file. Reads one snapshot over a connection of its own, row by row: memory stays flat, triggers
 * and the running service do not matter.
 */
export async function verifyLedger(
  core: Core,
  options: { chain?: string; witness?: boolean; posted?: { seq: number; hash: string } },
): Promise<LedgerVerdict> {
  const findings = noFindings();
  const db = connect(core.home, true);
  try {
    db.exec(`PRAGMA cache_size = -${PAGE_CACHE_KIB}`);
    db.exec('BEGIN');
    const only = options.chain ?? null;
    await checkRows(db, core, only, findings);
    for (const { chain, what } of prunedProblems(db, only)) findings.add(chain, null, what);
    checkGoneChains(db, only, findings);
    await checkBlobs(db, core, only, findings);
    if (options.witness === true) await checkWitness(db, core, findings);
    if (options.posted !== undefined) checkPosted(db, options.posted, findings);
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    findings.add(
      options.chain ?? 'SYSTEM',
      null,
      `the database file is damaged (${error.code}: ${error.message})`,
    );
  } finally {
    db.close();
  }
  const { entries, chains, blobs, first_of } = findings;
  return {
    ok: first_of.size === 0,
    entries,
    chains,
    blobs,
    problems: [...first_of.values()].slice(0, PROBLEMS_MAX),
  };
}

function scanned(c: ScannedColumns): ScannedEntry {
  return {
    chain: c[0],
    seq: c[1],
    v: c[2],
    at: c[3],
    kind: c[4],
    actor: c[5],
    payload: c[6],
    prev_hash: c[7],
    hash: c[8],
  };
}

async function checkRows(
  db: Database.Database,
  core: Core,
  only: string | null,
  findings: Findings,
): Promise<void> {
  const rows = db
    .prepare<string[], ScannedColumns>(
      `SELECT chain, seq, v, at, kind, actor, CAST(payload AS TEXT), prev_hash, hash FROM ledger
        ${only === null ? '' : 'WHERE chain = ?'} ORDER BY chain, seq`,
    )
    .raw()
    .iterate(...(only === null ? [] : [only]));
  const content = contentCheck(db, core, only, findings);
  const checkHead = headCheck(db, findings);
  const isAsStored = storedBytes(db);
  let of_chain: string | null = null;
  let last: LastRow | null = null;
  for (const columns of rows) {
    const row = scanned(columns);
    const { chain } = row;
    if (chain !== of_chain) {
      if (of_chain !== null && last !== null) checkHead(of_chain, last);
      of_chain = chain;
      last = null;
      findings.chains += 1;
    }
    findings.entries += 1;
    const problem = rowProblem(
      row,
      last,
      isAsStored(row) ? rowHash(row, row.payload) : 'bytes that are no text',
    );
    if (problem === null) content(row);
    else findings.add(chain, problem.seq, problem.what);
    last = row;
    if (findings.entries % ROWS_PER_TURN === 0) await nextTurn();
  }
  if (of_chain !== null && last !== null) checkHead(of_chain, last);
}

/**
 * Whether the text of a row is its stored bytes. Reading bytes as text is three times cheaper than copying them into a
 * buffer and loses something only where they are no UTF-8: each such place becomes U+FFFD. A text without that mark is
 * exact; one that has it (an honest one may) is compared with the bytes themselves.
 */
function storedBytes(db: Database.Database): (row: ScannedEntry) => boolean {
  const bytes_of = db.prepare<[string, number], { actor: Buffer; payload: Buffer }>(
    'SELECT CAST(actor AS BLOB) AS actor, CAST(payload AS BLOB) AS payload FROM ledger WHERE chain = ? AND seq = ?',
  );
  return (row) => {
    if (!row.payload.includes(NO_UTF8) && !row.actor.includes(NO_UTF8)) return true;
    const bytes = bytes_of.get(row.chain, row.seq);
    return (
      bytes !== undefined &&
      bytes.actor.equals(Buffer.from(row.actor)) &&
      bytes.payload.equals(Buffer.from(row.payload))
    );
  };
}

/** Looks inside rows that other things hang on: checkpoints (commitments, signature) and reads (evidence). */
function contentCheck(
  db: Database.Database,
  core: Core,
  only: string | null,
  findings: Findings,
): (row: ScannedEntry) => void {
  const hash_at = db.prepare<[string, number], { hash: string }>(
    'SELECT hash FROM ledger WHERE chain = ? AND seq = ?',
  );
  const record_of = db.prepare<[string], { record: string }>(
    'SELECT record FROM evidence WHERE evidence_id = ?',
  );
  const pruned = prunedLookup(db);
  function isPruned(head: CheckpointPayload['moved'][number]): boolean {
    const left = pruned(head.incident_id);
    return left !== null && fitsPruned(left, head);
  }
  function checkpoint(row: ScannedEntry): void {
    const payload = CheckpointPayload.safeParse(parse(row.payload));
    if (!payload.success) return findings.add(row.chain, row.seq, 'is no checkpoint');
    const { signature, ...unsigned } = payload.data;
    if (!core.keys.public_key.verify(signedText(unsigned, row), signature))
      findings.add(
        row.chain,
        row.seq,
        `signature does not match (signed by key ${unsigned.key_id}, ours is ${core.keys.public_key.key_id})`,
      );
    for (const head of payload.data.moved)
      if (hash_at.get(head.incident_id, head.seq)?.hash !== head.hash && !isPruned(head))
        findings.add(
          head.incident_id,
          head.seq,
          `is not what checkpoint ${row.seq} committed to: changed or cut off`,
        );
  }
  function read(row: ScannedEntry): void {
    const payload = parse(row.payload);
    const { evidence_id, sha256 } = (payload ?? {}) as { evidence_id?: unknown; sha256?: unknown };
    if (typeof evidence_id !== 'string') return;
    const record = parseRecord(record_of.get(evidence_id)?.record);
    if (record === null) findings.add(row.chain, row.seq, `evidence ${evidence_id} has no readable record`);
    else if (record.sha256 !== sha256)
      findings.add(row.chain, row.seq, `evidence ${evidence_id} is not the file that was read`);
  }
  if (only !== null && only !== CHECKPOINT_CHAIN && pruned(only) === null) commitmentsTo(db, only, findings);
  return (row) => {
    if (row.chain === CHECKPOINT_CHAIN) checkpoint(row);
    else if (row.kind === 'read') read(row);
  };
}

/** For a check of one chain: what all checkpoints said about it. */
function commitmentsTo(db: Database.Database, chain: string, findings: Findings): void {
  const broken = db
    .prepare<[string, string], { seq: number; by: number }>(
      `SELECT m.value ->> '$.seq' AS seq, c.seq AS "by" FROM ledger c, json_each(CASE WHEN json_valid(c.payload) THEN c.payload ELSE '{}' END, '$.moved') m
        WHERE c.chain = ? AND m.value ->> '$.incident_id' = ?
          AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.chain = m.value ->> '$.incident_id'
            AND l.seq = m.value ->> '$.seq' AND l.hash = m.value ->> '$.hash') ORDER BY c.seq LIMIT 1`,
    )
    .get(CHECKPOINT_CHAIN, chain);
  if (broken !== undefined)
    findings.add(chain, broken.seq, `is not what checkpoint ${broken.by} committed to: changed or cut off`);
}

/** The noted head of a chain against its last row: a cut tail. */
function headCheck(db: Database.Database, findings: Findings): (chain: string, last: LastRow) => void {
  const noted = db.prepare<[string], { seq: number; hash: string }>(
    'SELECT seq, hash FROM chain_head WHERE chain = ?',
  );
  return (chain, last) => {
    const head = noted.get(chain);
    if (head !== undefined && last.seq < head.seq)
      findings.add(chain, last.seq + 1, `entry ${last.seq + 1} is missing: the end was cut off`);
    else if (last.seq !== head?.seq || last.hash !== head.hash)
      findings.add(chain, last.seq, 'is not the head that was noted when it was written');
  };
}

/** Noted heads and incidents without a single row: a removed chain. */
function checkGoneChains(db: Database.Database, only: string | null, findings: Findings): void {
  const gone = db
    .prepare<[string | null, string | null], { chain: string }>(
      `SELECT n.chain FROM (SELECT chain FROM chain_head UNION SELECT incident_id FROM incident) n
        WHERE (? IS NULL OR n.chain = ?) AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.chain = n.chain)`,
    )
    .iterate(only, only);
  for (const { chain } of gone) findings.add(chain, 1, 'entry 1 is missing: the chain is gone');
}

async function checkBlobs(
  db: Database.Database,
  core: Core,
  only: string | null,
  findings: Findings,
): Promise<void> {
  const rows = db
    .prepare<
      [string | null, string | null],
      { evidence_id: string; incident_id: string; record: string; expires_at_ms: number }
    >(
      `SELECT evidence_id, incident_id, record, expires_at_ms FROM evidence WHERE ? IS NULL OR incident_id = ? ORDER BY incident_id, rowid`,
    )
    .iterate(only, only);
  const read_entry = db.prepare<[string, string], { seq: number }>(
    `SELECT seq FROM ledger WHERE chain = ? AND kind = 'read' AND json_valid(payload) AND payload ->> '$.evidence_id' = ?`,
  );
  for (const row of rows) {
    findings.blobs += 1;
    const what = blobProblem(core, row);
    if (what !== null)
      findings.add(
        row.incident_id,
        read_entry.get(row.incident_id, row.evidence_id)?.seq ?? null,
        `evidence ${row.evidence_id} ${what}`,
      );
    await nextTurn();
  }
}

function blobProblem(
  core: Core,
  row: { evidence_id: string; incident_id: string; record: string; expires_at_ms: number },
): string | null {
  const record = parseRecord(row.record);
  if (record?.evidence_id !== row.evidence_id || record.incident_id !== row.incident_id)
    return 'has a record that was changed';
  const unsealed = unsealBlob(core.home, core.keys, record, row.record);
  if (!('problem' in unsealed)) return null;
  if (unsealed.problem === 'tampered') return 'was tampered with: its sealed file or its record was changed';
  return Date.parse(record.expires_at) <= core.clock.now()
    ? null
    : 'is missing: its sealed file is gone before its time';
}

async function checkWitness(db: Database.Database, core: Core, findings: Findings): Promise<void> {
  const witness = await readWitness(core.home.witness);
  const hash_at = db.prepare<[string, number], { hash: string }>(
    'SELECT hash FROM ledger WHERE chain = ? AND seq = ?',
  );
  if (witness === null) {
    if (hash_at.get(CHECKPOINT_CHAIN, 1) !== undefined)
      findings.add(CHECKPOINT_CHAIN, null, 'the witness file is gone');
    return;
  }
  const accepted = acceptedRewinds(db);
  let bad: { seq: number | null; what: string } | null = null;
  for await (const { line, entry } of witness) {
    if (entry === null) bad ??= { seq: null, what: `line ${line} of the witness file is no ledger entry` };
    else if (hash_at.get(CHECKPOINT_CHAIN, entry.seq)?.hash !== entry.hash)
      bad ??= {
        seq: entry.seq,
        what: 'is not the checkpoint in the witness file: the database was rewritten or rewound',
      };
    // Up to here a person has accepted that this history is gone.
    if (entry !== null && accepted.has(`${entry.seq}/${entry.hash}`)) bad = null;
  }
  if (bad !== null) findings.add(CHECKPOINT_CHAIN, bad.seq, bad.what);
}

/** A checkpoint that somebody read in the audit channel. */
function checkPosted(db: Database.Database, posted: { seq: number; hash: string }, findings: Findings): void {
  const found = db
    .prepare<[string, number], { hash: string }>('SELECT hash FROM ledger WHERE chain = ? AND seq = ?')
    .get(CHECKPOINT_CHAIN, posted.seq);
  if (found?.hash === posted.hash) return;
  findings.add(
    CHECKPOINT_CHAIN,
    posted.seq,
    'is not the checkpoint that was posted: the database was rewritten or rewound',
  );
}

/** The newest checkpoints of histories that were given up, as `seq/hash`. */
function acceptedRewinds(db: Database.Database): ReadonlySet<string> {
  const rows = db
    .prepare<[string], { seq: number; hash: string }>(
      `SELECT payload ->> '$.witness.seq' AS seq, payload ->> '$.witness.hash' AS hash FROM ledger
        WHERE chain = 'SYSTEM' AND kind = 'event' AND json_valid(payload) AND payload ->> '$.type' = ?`,
    )
    .all(REWIND_ACCEPTED);
  return new Set(rows.map(({ seq, hash }) => `${seq}/${hash}`));
}

function parse(payload: string): unknown {
  try {
    return JSON.parse(payload) as unknown;
  } catch {
    return null;
  }
}

function parseRecord(text: string | undefined): EvidenceRecord | null {
  try {
    return EvidenceRecord.parse(JSON.parse(text ?? ''));
  } catch {
    return null;
  }
}
