import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryHash, genesisHash } from '../../src/contract/ledger.ts';
import { entry, evidence, H, INC, readEntry, START_MS, step } from './samples.ts';
import { useBench } from './store-place.ts';
import type { Bench, MakePlace } from './store-place.ts';

export function describeLedger(make: MakePlace): void {
  describe('ledger', () => {
    const bench = useBench(make);
    describeChains(bench);
    describeReading(bench);
    describeCheckpoints(bench);
  });
}

function describeChains(bench: Bench): void {
  it('links every entry to the one before it, from the genesis of its chain on, with the hash of the contract', async () => {
    await bench.store.ledger.append(INC, [entry({ type: 'a' }), entry({ type: 'b' })]);
    await bench.store.ledger.append(INC, [entry({ type: 'c', deep: { z: [1, 2.5, null], ä: '\u0000"\\' } })]);
    const entries = await bench.store.ledger.read(INC);
    expect(entries.map((e) => e.seq)).toEqual([1, 2, 3]);
    let prev = genesisHash(INC);
    for (const { hash, ...rest } of entries) {
      expect(rest.prev_hash).toBe(prev);
      expect(entryHash(rest)).toBe(hash);
      prev = hash;
    }
    expect(await bench.store.ledger.heads()).toEqual([{ incident_id: INC, seq: 3, hash: prev }]);
  });

  it('gives back any JSON payload as it was and hashes it as the contract does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (payload) => {
        const [stored] = await bench.store.ledger.append('SYSTEM', [
          { kind: 'notice', actor: 'aegis:test', payload },
        ]);
        const [read] = await bench.store.ledger.read('SYSTEM', { from_seq: stored!.seq });
        const { hash, ...rest } = read!;
        expect(entryHash({ ...rest, payload })).toBe(hash);
        expect(read).toEqual(stored);
      }),
      { numRuns: 60 },
    );
    expect((await bench.store.ledger.verify()).problems).toEqual([]);
  });
}

function describeReading(bench: Bench): void {
  it('never lets time run backwards inside a chain, though the clock does', async () => {
    await bench.store.ledger.append(INC, [entry()]);
    bench.clock.at = START_MS - 60_000;
    const [second] = await bench.store.ledger.append(INC, [entry()]);
    const [other] = await bench.store.ledger.append('SYSTEM', [entry()]);
    expect(Date.parse(second!.at)).toBe(START_MS);
    expect(Date.parse(other!.at)).toBe(START_MS - 60_000);
  });

  it('reads by kind, from a number on, up to a limit, and counts by kind', async () => {
    const refusal = { kind: 'refusal', actor: 'aegis:harness', payload: { code: 'x' } } as const;
    await bench.store.ledger.append(INC, [entry(), refusal, entry(), refusal]);
    const seqs = async (options: Parameters<typeof bench.store.ledger.read>[1]) =>
      (await bench.store.ledger.read(INC, options)).map((e) => e.seq);
    expect(await seqs({ kinds: ['refusal'] })).toEqual([2, 4]);
    expect(await seqs({ from_seq: 3 })).toEqual([3, 4]);
    expect(await seqs({ from_seq: 2, limit: 2 })).toEqual([2, 3]);
    expect(await seqs({ kinds: [] })).toEqual([]);
    expect(await bench.store.ledger.count(INC, ['refusal', 'plan'])).toBe(2);
    expect(await bench.store.ledger.count('SYSTEM', ['refusal'])).toBe(0);
  });

  it('refuses an unknown kind, an empty actor and a payload that has no JSON form, and writes nothing', async () => {
    const bad = [
      { ...entry(), kind: 'gossip' as never },
      { ...entry(), actor: '' },
      entry({ n: Number.NaN }),
    ];
    for (const one of bad) await expect(bench.store.ledger.append(INC, [entry(), one])).rejects.toThrow();
    expect(await bench.store.ledger.read(INC)).toEqual([]);
  });
}

function describeCheckpoints(bench: Bench): void {
  it('commits to all heads that moved, once, and verifies with the witness', async () => {
    await bench.store.ledger.append(INC, [entry()]);
    await bench.store.ledger.append('SYSTEM', [entry()]);
    const first = await bench.store.ledger.checkpoint('hourly');
    expect(first?.incident_id).toBe('CHECKPOINT');
    expect((first!.payload as { moved: { incident_id: string }[] }).moved.map((m) => m.incident_id)).toEqual([
      INC,
      'SYSTEM',
    ]);
    expect(await bench.store.ledger.checkpoint('hourly')).toBeNull();
    await bench.store.ledger.append(INC, [entry()]);
    const second = await bench.store.ledger.checkpoint('hourly');
    expect(second?.payload).toMatchObject({ reason: 'hourly', moved: [{ incident_id: INC, seq: 2 }] });
    expect(await bench.store.ledger.verify({ witness: true })).toEqual({
      ok: true,
      entries: 5,
      chains: 3,
      blobs: 0,
      problems: [],
    });
    expect(await bench.store.ledger.verify({ chain: INC })).toEqual({
      ok: true,
      entries: 2,
      chains: 1,
      blobs: 0,
      problems: [],
    });
  });

  it('verifies an empty store', async () => {
    expect(await bench.store.ledger.verify({ witness: true })).toEqual({
      ok: true,
      entries: 0,
      chains: 0,
      blobs: 0,
      problems: [],
    });
  });

  it('notices a read entry that names another file than the evidence that is kept', async () => {
    const record = evidence('EV-aaaaaaaa', 'line');
    await bench.store.evidence.put(record, 'line');
    await bench.store.step.commit(
      step(0, { entries: [entry(), readEntry({ ...record, sha256: H('something else') })] }),
    );
    expect((await bench.store.ledger.verify()).problems).toMatchObject([{ chain: INC, seq: 2 }]);
  });
}
