import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compiledOnce } from '../kill/compile-entry.ts';
import { openStore } from '../../src/store/open-store.ts';
import { handClock, INC, step } from './samples.ts';

const RACER = fileURLToPath(new URL('racer.ts', import.meta.url));
const ROUNDS = 60;

interface Raced {
  readonly committed: number;
  readonly conflicts: number;
  readonly first_seen: number;
  readonly accepted: number;
  readonly ids: readonly string[];
}

describe('several processes on one home', () => {
  let dir = '';
  let home = '';
  const children: ChildProcess[] = [];
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'aegis-race-'));
    home = join(dir, 'home');
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });

  async function start(task: string): Promise<ChildProcess> {
    const child = spawn(process.execPath, [await compiledOnce(RACER), home, task], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    return child;
  }

  async function raced(started: Promise<ChildProcess>): Promise<Raced> {
    const child = await started;
    let out = '';
    let err = '';
    child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    if (code !== 0) throw new Error(err);
    return JSON.parse(out) as Raced;
  }

  it('lose a race with SeqConflictError and nothing else; every step, key, permit and number is had once', async () => {
    const [a, b] = await Promise.all([raced(start('race')), raced(start('race'))]);
    expect(a.committed + b.committed).toBe(2 * ROUNDS);
    expect(a.first_seen + b.first_seen).toBe(ROUNDS);
    expect(a.accepted + b.accepted).toBe(ROUNDS);
    expect(new Set([...a.ids, ...b.ids]).size).toBe(2 * ROUNDS);
    const store = await openStore({ home, clock: handClock() });
    expect((await store.incidents.get(INC))?.step).toBe(2 * ROUNDS);
    expect((await store.ledger.verify({ witness: true })).problems).toEqual([]);
    expect(await store.ledger.rewind()).toBeNull();
    await store.close();
  });

  it('that are killed between a checkpoint and its witness line are not taken for a database that went back', async () => {
    for (const lines of [1, 3, 9]) {
      const [a, b] = [await start('race'), await start('race')];
      const witness = join(home, 'witness.jsonl');
      const written = () => (existsSync(witness) ? readFileSync(witness, 'utf8').split('\n').length - 1 : 0);
      const wanted = written() + lines;
      while (written() < wanted && a.exitCode === null) await nextTurn(1);
      for (const child of [a, b]) {
        child.kill('SIGKILL');
        if (child.exitCode === null) await once(child, 'close');
      }
      const store = await openStore({ home, clock: handClock() });
      expect(await store.ledger.rewind()).toBeNull();
      await store.ledger.checkpoint('after the kill');
      expect((await store.ledger.verify({ witness: true })).problems).toEqual([]);
      await store.close();
    }
  });

  it('know a killed owner of an effect from a living one', async () => {
    const id = `${INC}/1/0`;
    const store = await openStore({ home, clock: handClock() });
    await store.step.commit(step(0, { effects: [{ effect_id: id, kind: 'triage', payload: {} }] }));
    const child = await start(id);
    const [line] = (await once(child.stdout!, 'data')) as [Buffer];
    expect(JSON.parse(line.toString())).toEqual({ started: true });
    expect(await store.effects.open(10)).toEqual([]);
    expect(await store.effects.start(id)).toBe(false);
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(await store.effects.open(10)).toMatchObject([{ effect_id: id, state: 'running', attempts: 1 }]);
    expect(await store.effects.start(id)).toBe(true);
    await store.close();
  });
});
