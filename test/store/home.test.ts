import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { schemaBefore } from './older-schema.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { entry, evidence, handClock, INC, step } from './samples.ts';

let dir = '';
let home = '';
const clock = handClock();
const open = (readonly = false) => openStore({ home, clock, readonly });

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-home-'));
  home = join(dir, 'deep', 'home');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function using<T>(store: Store, work: (store: Store) => Promise<T>): Promise<T> {
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** Every file and folder below `path` with its mode. */
function modes(path: string): [string, number][] {
  const below = statSync(path).isDirectory()
    ? readdirSync(path).flatMap((name) => modes(join(path, name)))
    : [];
  return [[path, statSync(path).mode & 0o777], ...below];
}

describe('AEGIS_HOME', () => {
  it('belongs to one account alone, whatever the umask says, down to the last file', async () => {
    const umask = process.umask(0o000);
    try {
      await using(await open(), async (store) => {
        await store.evidence.put(evidence('EV-aaaaaaaa', 'x'), 'x');
        await store.step.commit(step(0));
        await store.ledger.checkpoint('test');
        const all = modes(home);
        expect(all.length).toBeGreaterThan(12);
        expect(all.filter(([, mode]) => (mode & 0o077) !== 0)).toEqual([]);
      });
    } finally {
      process.umask(umask);
    }
  });

  it.each(['.', 'aegis.db', 'keys', 'keys/master.key', 'keys/checkpoint.pem', 'blobs', 'witness.jsonl'])(
    'is refused while others can reach %s, with the command that repairs it',
    async (name) => {
      await using(await open(), async (store) => {
        await store.ledger.append('SYSTEM', [entry()]);
        await store.ledger.checkpoint('test');
      });
      const path = join(home, name);
      const mode = statSync(path).mode & 0o777;
      chmodSync(path, mode | 0o040);
      await expect(open()).rejects.toThrow(/others? accounts can reach .* chmod (700|600) /);
      await expect(open(true)).rejects.toThrow(/chmod/);
      chmodSync(path, mode);
      await using(await open(), async (store) =>
        expect((await store.ledger.verify({ witness: true })).ok).toBe(true),
      );
    },
  );

  it('is refused when its keys were lost or cut, instead of going on with new ones nobody asked for', async () => {
    await using(await open(), async (store) => store.step.commit(step(0)));
    writeFileSync(join(home, 'keys', 'master.key'), 'short');
    await expect(open()).rejects.toThrow(/must hold 32 bytes/);
    rmSync(join(home, 'keys', 'master.key'));
    for (const readonly of [true, false])
      await expect(open(readonly)).rejects.toThrow(/master.key is missing/);
    expect(existsSync(join(home, 'keys', 'master.key'))).toBe(false);
  });

  it('freezes everything when FREEZE is there in any form, also one that cannot be read', async () => {
    await using(await open(), async (store) => {
      mkdirSync(join(home, 'FREEZE'));
      expect(await store.freezes.active({ team: 'data', env: 'prod' })).toMatchObject([{ scope: '*' }]);
    });
  });
});

describe('schema of the database', () => {
  const change = (sql: string) => {
    const db = new Database(join(home, 'aegis.db'));
    db.exec(sql);
    db.close();
  };

  it('stops the start when an applied migration was edited or is missing', async () => {
    await using(await open(), async () => undefined);
    change("UPDATE migration SET sha256 = 'x' WHERE number = 2");
    await expect(open()).rejects.toThrow(/0002_.*was edited/);
    await expect(open(true)).rejects.toThrow(/was edited/);
    rmSync(home, { recursive: true });
    await using(await open(), async () => undefined);
    change("INSERT INTO migration VALUES (99, '0099_future.sql', 'x', 'now')");
    await expect(open()).rejects.toThrow(/0099_future.sql .* is missing here/);
  });

  it('brings plans of earlier versions along: who planned what is known after the upgrade too', async () => {
    const action = { tool: 'k8s.scale', target: 'mcp://k8s/prod-1/spark-jobs/deployment/api' };
    const plan = { payload: { plan: { actions: [action] } } };
    await using(await open(), async (store) => {
      await store.step.commit(step(0, { snapshot: { context: { plan } } }));
      const other = { incident_id: 'INC-2026-1123-002', snapshot: { context: { plan: null } } };
      await store.step.commit(step(0, other));
    });
    schemaBefore(home, 'planned_effects');
    await using(await open(), async (store) => {
      const rows = await store.incidents.planning(action, 0);
      expect(rows.map((row) => row.incident_id)).toEqual([INC]);
    });
  });

  it('brings changes that are under way along: their incidents hold the targets after the upgrade too', async () => {
    const plan = { payload: { plan: { actions: [{ target: 'mcp://k8s/a' }, { target: 'mcp://k8s/b' }] } } };
    await using(await open(), async (store) => {
      const snapshot = { context: { plan } };
      await store.step.commit(step(0, { snapshot, row: { ...step(0).row, state: 'VERIFYING' } }));
      const other = step(0, { incident_id: 'INC-2026-1123-002', snapshot });
      await store.step.commit({ ...other, row: { ...other.row, state: 'HALTED' } });
    });
    schemaBefore(home, 'target_locks');
    await using(await open(), async (store) => {
      const held = await store.locks.held();
      expect(held.map((lock) => [lock.target, lock.incident_id])).toEqual([
        ['mcp://k8s/a', INC],
        ['mcp://k8s/b', INC],
      ]);
    });
  });

  it('takes over what waited in the inbox at the upgrade, and believes no row that comes without its mark later', async () => {
    const row = (dedup_key: string) => ({
      source: 'slack' as const,
      dedup_key,
      incident_id: null,
      kind: 'person',
      payload: { n: 1, text: 'ü' },
    });
    await using(await open(), async (store) => void (await store.inbox.append(row('before'))));
    schemaBefore(home, 'person_tokens_and_marked_inbox');
    await using(await open(), async (store) => {
      await store.inbox.append(row('after'));
      expect((await store.inbox.pending(9)).map((r) => [r.dedup_key, r.genuine])).toEqual([
        ['before', true],
        ['after', true],
      ]);
    });
    const copy = (mac: string, payload: string, n: number) =>
      `INSERT INTO inbox (dedup_key, source, incident_id, kind, payload, received_at_ms, mac)
         SELECT 'copy${n}', source, incident_id, kind, ${payload}, received_at_ms, ${mac} FROM inbox WHERE n = 1`;
    change(copy('mac', 'payload', 1));
    change(copy('NULL', 'payload', 2));
    change(copy("'x'", "'not JSON'", 3));
    change(`UPDATE inbox SET payload = '{"n":2}' WHERE dedup_key = 'before'`);
    change(`UPDATE inbox SET received_at_ms = received_at_ms - 1 WHERE dedup_key = 'after'`);
    await using(await open(), async (store) => {
      const rows = await store.inbox.pending(9);
      expect(rows.map((r) => [r.genuine, r.payload])).toEqual(Array.from({ length: 5 }, () => [false, {}]));
    });
  });

  it('is not brought up to date by a reader', async () => {
    await using(await open(), async () => undefined);
    change('DELETE FROM migration WHERE number = (SELECT MAX(number) FROM migration)');
    await expect(open(true)).rejects.toThrow(/1 migration\(s\) behind/);
  });
});

describe('a read-only store', () => {
  it('reads beside a running service and after it, verifies, and can write nothing', async () => {
    await using(await open(), async (store) => {
      await store.step.commit(step(0));
      await using(await open(true), async (reader) => {
        expect((await reader.incidents.get(INC))?.step).toBe(1);
        await store.step.commit(step(1));
        expect((await reader.incidents.get(INC))?.step).toBe(2);
      });
    });
    const before = readFileSync(join(home, 'aegis.db'));
    await using(await open(true), async (reader) => {
      expect((await reader.ledger.verify()).ok).toBe(true);
      await expect(reader.step.commit(step(2))).rejects.toThrow(/read-only/);
      await expect(reader.ledger.append('SYSTEM', [entry()])).rejects.toThrow(/read-only/);
      await expect(
        reader.inbox.append({ source: 'cli', dedup_key: 'k', incident_id: null, kind: 'x', payload: {} }),
      ).rejects.toThrow(/read-only/);
      await expect(reader.evidence.put(evidence('EV-aaaaaaaa', 'x'), 'x')).rejects.toThrow(/read-only/);
      await expect(reader.effects.start('x')).rejects.toThrow(/read-only/);
      await expect(reader.ledger.checkpoint('x')).rejects.toThrow(/read-only/);
    });
    expect(readFileSync(join(home, 'aegis.db')).equals(before)).toBe(true);
    expect(existsSync(join(home, 'blobs', INC))).toBe(false);
  });

  it('does not make a home that is not there', async () => {
    await expect(open(true)).rejects.toThrow(/does not exist/);
    expect(existsSync(home)).toBe(false);
  });
});
