import { describe, expect, it } from 'vitest';
import type { HttpRequest, HttpRoute } from '../../src/contract/http.ts';
import type { NewLedgerEntry } from '../../src/contract/ledger.ts';
import { recordRefusals } from '../../src/harness/refused-requests.ts';

const request: HttpRequest = { method: 'POST', path: '/hooks/x', headers: {}, body: Buffer.alloc(0) };

function door(answers: () => { status: number; body?: string }, broken = false) {
  const entries: NewLedgerEntry[] = [];
  const faults: string[] = [];
  let now = 1_000_000;
  const route: HttpRoute = {
    method: 'POST',
    path: '/hooks/x',
    body_bytes_max: 10,
    handle: async () => answers(),
  };
  const say = (_fields: unknown, text?: string) => void faults.push(text ?? '');
  const guarded = recordRefusals(route, {
    ledger: {
      append: async (chain, list) => {
        if (broken) throw new Error('disk full');
        expect(chain).toBe('SYSTEM');
        entries.push(...list);
        return [];
      },
    },
    clock: { now: () => now },
    log: { error: say, warn: say, info: say, debug: say },
  });
  return { guarded, entries, faults, later: (ms: number) => (now += ms) };
}

describe('refused requests', () => {
  it('are written into the SYSTEM chain with the door’s own words, and answered as before', async () => {
    const { guarded, entries } = door(() => ({ status: 401, body: 'forged' }));
    expect(await guarded.handle(request)).toEqual({ status: 401, body: 'forged' });
    expect(entries).toHaveLength(1);
    expect(entries[0]).toMatchObject({
      kind: 'refusal',
      payload: {
        code: 'http-401',
        reason: 'A request to /hooks/x was refused: forged.',
        by: null,
        about: 'POST /hooks/x',
      },
    });
  });

  it('leave no entry when the request was taken, or when Aegis itself failed', async () => {
    let status = 200;
    const { guarded, entries } = door(() => ({ status }));
    await guarded.handle(request);
    status = 503;
    await guarded.handle(request);
    expect(entries).toEqual([]);
  });

  it('are counted instead of copied when somebody sends thousands, and the next entry says how many', async () => {
    const { guarded, entries, later } = door(() => ({ status: 401, body: 'forged' }));
    for (let n = 0; n < 5000; n += 1) await guarded.handle(request);
    expect(entries).toHaveLength(20);
    later(60_000);
    await guarded.handle(request);
    expect(entries).toHaveLength(21);
    expect(JSON.stringify(entries.at(-1)?.payload)).toContain('4980 more were refused before it');
  });

  it('are still refused when the ledger cannot be written, and the log says so', async () => {
    const { guarded, faults } = door(() => ({ status: 403, body: 'no' }), true);
    expect(await guarded.handle(request)).toMatchObject({ status: 403 });
    expect(faults).toEqual(['a refused request could not be recorded']);
  });
});
