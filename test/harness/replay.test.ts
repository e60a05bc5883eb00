import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { replay } from '../../src/cli/replay.ts';
import { commitOf } from '../../src/harness/commit-of.ts';
import type { HarnessEvent } from '../../src/harness/events.ts';
import { replayIncident } from '../../src/harness/replay.ts';
import { step } from '../../src/harness/machine.ts';
import { emptySnapshot } from '../../src/harness/state.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { inProcess } from '../cli/run-aegis.ts';
import { editPayload } from '../scenarios/tampering.ts';
import { at, draft, findings, ID, incidentContext, runningId, T0 } from './fixtures.ts';

/** `aegis replay` proves that the state follows from the ledger. Over a ledger that somebody had in hand it says so instead. */
const VIEW = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: true, approvers: 'Dan' };
let dir = '';
let home = '';
let store: Store;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-replay-'));
  home = join(dir, '.aegis');
  writeFileSync(join(dir, 'aegis.yaml'), EXAMPLE_CONFIG);
  store = await openStore({ home, clock: { now: () => T0 } });
  let s = emptySnapshot();
  const life: readonly (() => HarnessEvent)[] = [
    () => ({ type: 'opened', at: at(0), context: incidentContext(), channel: 'C1' }),
    () => ({ type: 'triaged', at: at(1), effect_id: runningId(s), skills: [] }),
    () => ({ type: 'activated', at: at(2), by: 'maya' }),
    () => ({ type: 'investigated', at: at(3), effect_id: runningId(s), findings: findings() }),
    () => ({ type: 'drafted', at: at(4), effect_id: runningId(s), draft: draft() }),
    () => ({ type: 'stopped', at: at(5), by: 'dan', reason: 'wrong job' }),
  ];
  for (const next of life) {
    const event = next();
    const stepped = step(s, event);
    if (!stepped.ok) throw new Error(stepped.refusal.reason);
    await store.step.commit(commitOf(s, event, stepped.snapshot, 'aegis:test', [], VIEW));
    s = stepped.snapshot;
  }
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

/** What the verb prints and how it ends, with the problems of the report. */
async function told(): Promise<{ code: number | null; out: string; problems: readonly string[] }> {
  const report = await replayIncident(store, ID);
  const { code, out } = await inProcess(() => replay({ config: join(dir, 'aegis.yaml') }, ID));
  return { code, out, problems: report?.problems ?? [] };
}

async function eventSeq(type: string): Promise<number> {
  const entries = await store.ledger.read(ID, { kinds: ['event'] });
  return entries.find((entry) => entry.payload['type'] === type)?.seq ?? 0;
}

/** Whatever the database lets its owner do, once the triggers are out of the way. */
function underTheTriggers(work: (db: Database.Database) => void): void {
  const db = new Database(join(home, 'aegis.db'), { timeout: 5000 });
  try {
    const triggers = db
      .prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'trigger'")
      .all();
    for (const { name } of triggers) db.exec(`DROP TRIGGER ${name}`);
    work(db);
  } finally {
    db.close();
  }
}

describe('replay', () => {
  it('of an untouched ledger equals the stored state, and exits 0', async () => {
    const { code, out, problems } = await told();
    expect([code, problems]).toEqual([0, []]);
    expect(out).toContain('replayed 6 events from the ledger alone');
  });

  it.each([
    ['one letter of an event', (payload: string) => payload.replace('wrong job', 'Wrong job')],
    ['who stopped it', (payload: string) => payload.replace('"dan"', '"ana"')],
    ['an event that no longer parses', (payload: string) => payload.replace('"reason"', '"raison"')],
    ['bytes that are no JSON', () => '{"type":'],
  ])('with %s edited says which entry', async (_what, edit) => {
    const seq = await eventSeq('stopped');
    editPayload(home, ID, seq, edit);
    const { code, out, problems } = await told();
    expect(code).toBe(1);
    expect(problems[0]).toMatch(new RegExp(`^the ledger does not verify: ${ID} entry ${seq}: `));
    expect(out).toContain('this is NOT the live state');
    expect(out).toContain('aegis ledger verify --witness');
  });

  it('of a ledger whose last entries were cut off says so', async () => {
    const seq = await eventSeq('stopped');
    underTheTriggers((db) => db.prepare('DELETE FROM ledger WHERE chain = ? AND seq >= ?').run(ID, seq));
    const { code, out, problems } = await told();
    expect(code).toBe(1);
    expect(problems[0]).toMatch(/the ledger does not verify|1 missing/);
    expect(out).toContain('replayed 5 of 5 events: this is NOT the live state');
  });

  it('of a ledger cut off together with its head says how many events are missing', async () => {
    const seq = await eventSeq('stopped');
    underTheTriggers((db) => {
      db.prepare('DELETE FROM ledger WHERE chain = ? AND seq >= ?').run(ID, seq);
      const last = db
        .prepare<[string], { seq: number; hash: string }>(
          'SELECT seq, hash FROM ledger WHERE chain = ? ORDER BY seq DESC LIMIT 1',
        )
        .get(ID);
      db.prepare('UPDATE chain_head SET seq = ?, hash = ? WHERE chain = ?').run(last?.seq, last?.hash, ID);
    });
    const { code, problems } = await told();
    expect(code).toBe(1);
    expect(problems).toEqual(['the ledger ends after 5 events, the stored state has seen 6: 1 missing']);
  });

  it('of a ledger with an entry taken out of its middle says so', async () => {
    const seq = await eventSeq('activated');
    underTheTriggers((db) => db.prepare('DELETE FROM ledger WHERE chain = ? AND seq = ?').run(ID, seq));
    const { code, problems } = await told();
    expect(code).toBe(1);
    expect(problems[0]).toMatch(/^the ledger does not verify: /);
  });

  it('of a ledger with a well-chained event that cannot have happened names it', async () => {
    const [entry] = await store.ledger.append(ID, [
      { kind: 'event', actor: 'person:dan', payload: { type: 'resumed', at: at(6), by: 'dan' } },
    ]);
    const { code, problems } = await told();
    expect(code).toBe(1);
    expect(problems).toEqual([
      expect.stringMatching(new RegExp(`^entry ${entry?.seq} cannot have happened: `)),
    ]);
  });

  it.each([
    [
      'edited',
      (snapshot: string) => snapshot.replace('wrong job', 'right job'),
      /^the stored state is not what the events lead to/,
    ],
    ['damaged', () => '{"state":"HALTED"}', /^the stored state is damaged/],
  ])('beside a state that was %s says so', async (_what, edit, sentence) => {
    underTheTriggers((db) => {
      const row = db
        .prepare<[string], { snapshot: string }>('SELECT snapshot FROM incident WHERE incident_id = ?')
        .get(ID);
      db.prepare('UPDATE incident SET snapshot = ? WHERE incident_id = ?').run(edit(row?.snapshot ?? ''), ID);
    });
    const { code, problems } = await told();
    expect(code).toBe(1);
    expect(problems).toEqual([expect.stringMatching(sentence)]);
  });
});
