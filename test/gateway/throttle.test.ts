import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_QUOTAS, Quota, quotaOf } from '../../src/contract/quotas.ts';
import { isRefusal, type Refusal } from '../../src/contract/verdict.ts';
import { Throttle, type Guarded, type ThrottlePlace } from '../../src/gateway/pipeline/throttle.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';

/** Rates, days, queues and breakers, over a real store, so that a restart is one. */
const PLACE: ThrottlePlace = { upstream: 'k8s/prod-1', team: 'data', env: 'prod', lane: 'read' };
const WRITE: ThrottlePlace = { ...PLACE, lane: 'write' };
const NOON = Date.parse('2026-11-23T12:00:00Z');
const LOG = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let home = '';
let store: Store;
let now = NOON;
const clock = { now: () => now };
beforeEach(async () => {
  now = NOON;
  home = mkdtempSync(join(tmpdir(), 'aegis-throttle-'));
  store = await openStore({ home, clock });
});
afterEach(async () => {
  await store.close();
  rmSync(home, { recursive: true, force: true });
});

/** A process that starts over the same home. */
async function restart(): Promise<void> {
  await store.close();
  store = await openStore({ home, clock });
}

const throttle = (quotas: readonly Quota[] = [], over = store): Throttle =>
  new Throttle({ clock, store: over.throttle, quotas, log: LOG });

const well = async (): Promise<Guarded<string>> => ({ value: 'ok', ill: false });
const ill = async (): Promise<Guarded<string>> => ({ value: 'ill', ill: true });
const codeOf = (answer: string | Refusal | null): string =>
  answer === null ? 'go on' : typeof answer === 'string' ? answer : answer.code;

async function openBreaker(of: Throttle, place = PLACE): Promise<void> {
  for (let n = 0; n < 5; n += 1) expect(await of.run(place, ill)).toBe('ill');
}

describe('quotas', () => {
  it('the first row that matches team, environment and class wins; the built-in ones come last', () => {
    const quotas = [
      Quota.parse({ team: 'data', env: 'prod', class: 'read', per_second: 1, burst: 1 }),
      Quota.parse({ team: 'data', class: 'read', per_second: 2, burst: 2 }),
      Quota.parse({ env: 'prod', class: 'read', per_second: 3, burst: 3 }),
    ];
    const rate = (team: string, env: string, lane: 'read' | 'write') =>
      quotaOf(quotas, { team, env, lane }).per_second;
    expect([
      rate('data', 'prod', 'read'),
      rate('data', 'test', 'read'),
      rate('web', 'prod', 'read'),
      rate('web', 'test', 'read'),
      rate('data', 'prod', 'write'),
    ]).toEqual([1, 2, 3, DEFAULT_QUOTAS[0]?.per_second, DEFAULT_QUOTAS[1]?.per_second]);
  });

  it('a rate refuses with the time to wait, and after that time it goes on', async () => {
    const quotas = [Quota.parse({ class: 'read', per_second: 0.5, burst: 2 })];
    const limited = throttle(quotas);
    expect([await limited.run(PLACE, well), await limited.run(PLACE, well)]).toEqual(['ok', 'ok']);
    const refused = await limited.run(PLACE, well);
    expect(refused).toMatchObject({ code: 'rate-limited', remedy: 'Ask again in 2 s.' });
    expect(await limited.run({ ...PLACE, team: 'web' }, well)).toBe('ok');
    expect(await limited.run(WRITE, well)).toBe('ok');
    now += 2000;
    expect(await limited.run(PLACE, well)).toBe('ok');
  });

  it('never lets through more than burst plus rate, whenever the calls come', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 60 }),
        async (pauses) => {
          now = NOON;
          const limited = throttle([Quota.parse({ class: 'read', per_second: 2, burst: 3 })]);
          let passed = 0;
          for (const pause of pauses) {
            now += pause;
            if ((await limited.take(PLACE)) === null) passed += 1;
          }
          expect(passed).toBeLessThanOrEqual(3 + 2 * ((now - NOON) / 1000));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('a day is counted over restarts and processes, and the next UTC day begins anew', async () => {
    const quotas = [Quota.parse({ class: 'write', per_second: 1000, burst: 1000, per_day: 5 })];
    const first = throttle(quotas);
    for (let n = 0; n < 3; n += 1) expect(await first.take(WRITE)).toBeNull();
    await restart();
    const [second, beside] = [throttle(quotas), throttle(quotas)];
    expect(await second.take(WRITE)).toBeNull();
    expect(await beside.take(WRITE)).toBeNull();
    const refused = await second.take(WRITE);
    expect(refused).toMatchObject({ code: 'quota-spent' });
    expect(refused?.reason).toContain('the 5 write calls of its day');
    expect(refused?.remedy).toContain('after 00:00 UTC, in 12 h');
    expect(await second.take({ ...WRITE, env: 'test' })).toBeNull();
    now = Date.parse('2026-11-24T00:00:00Z');
    expect(await second.take(WRITE)).toBeNull();
    // A clock that is set back finds no fresh day.
    now = NOON;
    for (let n = 0; n < 4; n += 1) await second.take(WRITE);
    expect(codeOf(await throttle(quotas).take(WRITE))).toBe('quota-spent');
  });

  it('a large day is handed out in blocks and never exceeded, not even at the same time', async () => {
    const quotas = [Quota.parse({ class: 'read', per_second: 100_000, burst: 100_000, per_day: 2500 })];
    const both = [throttle(quotas), throttle(quotas)];
    const answers = await Promise.all(
      Array.from({ length: 3000 }, (_, n) => (both[n % 2] as Throttle).take(PLACE)),
    );
    expect(answers.filter((answer) => answer === null)).toHaveLength(2500);
  });

  it('a counter that cannot be read refuses: nothing is called on a guess', async () => {
    const broken = {
      ...store,
      throttle: { ...store.throttle, claim: () => Promise.reject(new Error('disk')) },
    };
    const quotas = [Quota.parse({ class: 'read', per_second: 1, burst: 9, per_day: 5 })];
    expect(codeOf(await throttle(quotas, broken).take(PLACE))).toBe('quota-unknown');
  });
});

describe('breakers', () => {
  it('open after five failures in a row, for that upstream and class alone, and say when to ask again', async () => {
    const guarded = throttle();
    await openBreaker(guarded);
    const refused = await guarded.run(PLACE, well);
    expect(refused).toMatchObject({
      code: 'breaker-open',
      remedy: expect.stringMatching(/^Ask again in [123] s;/),
    });
    expect(await guarded.run(WRITE, well)).toBe('ok');
    expect(await guarded.run({ ...PLACE, upstream: 'loki/main' }, well)).toBe('ok');
  });

  it('stay open over a restart, and are gone from the store once the upstream is well', async () => {
    await openBreaker(throttle());
    await restart();
    const again = throttle();
    let asked = 0;
    const probe = async (): Promise<Guarded<string>> => {
      asked += 1;
      return well();
    };
    expect(codeOf(await again.run(PLACE, probe))).toBe('breaker-open');
    expect(asked).toBe(0);
    await expect.poll(() => again.run(PLACE, probe), { timeout: 15_000, interval: 200 }).toBe('ok');
    expect(await store.throttle.breaker('k8s/prod-1 read')).toBeNull();
  });

  it('half open lets one call try; while it fails the others are refused', async () => {
    const guarded = throttle();
    await openBreaker(guarded);
    let asked = 0;
    const probe = async (): Promise<Guarded<string>> => {
      asked += 1;
      return ill();
    };
    await expect.poll(() => guarded.run(PLACE, probe), { timeout: 15_000, interval: 200 }).toBe('ill');
    expect(codeOf(await guarded.run(PLACE, probe))).toBe('breaker-open');
    expect(asked).toBe(1);
    expect(await store.throttle.breaker('k8s/prod-1 read')).not.toBeNull();
  });

  it.each([
    ['that is no state', { nonsense: true }],
    ['of a later version', { ownState: { value: 9 } }],
  ])('a saved state %s is no open breaker', async (_title, state) => {
    await store.throttle.saveBreaker('k8s/prod-1 read', state);
    expect(await throttle().run(PLACE, well)).toBe('ok');
  });

  it('an opening that lies ahead, by a clock that was set back, does not last longer than another', async () => {
    const state = {
      ownState: { value: 1, openedAt: Date.now() + 86_400_000, attemptNo: 1 },
      breakerState: 5,
    };
    await store.throttle.saveBreaker('k8s/prod-1 read', state);
    const guarded = throttle();
    await expect.poll(() => guarded.run(PLACE, well), { timeout: 15_000, interval: 200 }).toBe('ok');
  });
});

describe('queues', () => {
  it('are bounded: beyond 16 calls and 128 that wait the next is refused with the time to wait', async () => {
    const guarded = throttle();
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const held = Array.from({ length: 144 }, () => guarded.run(PLACE, () => gate.then(well)));
    await expect
      .poll(() => guarded.run(PLACE, well))
      .toMatchObject({
        code: 'queue-full',
        remedy: expect.stringContaining('Ask again in 2 s'),
      });
    expect(await guarded.run({ ...PLACE, upstream: 'loki/main' }, well)).toBe('ok');
    release();
    const answers = await Promise.all(held);
    expect(answers.filter((answer) => isRefusal(answer as Refusal))).toEqual([]);
  });
});
