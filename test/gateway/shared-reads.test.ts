import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal, type Refusal } from '../../src/contract/verdict.ts';
import { Flights } from '../../src/gateway/pipeline/flights.ts';
import type { ReadRequest, ReadResult } from '../../src/gateway/read.ts';
import { JOB, startStage, type Stage } from './stage.ts';

/** Identical reads at the same time: one call of the upstream, rows for everybody, nobody sees what is not theirs. */
let stage: Stage;
beforeAll(async () => {
  stage = await startStage({ credentials: 'token' });
});
afterAll(() => stage.close());
afterEach(() => stage.kubernetes.faults.clear());

const isGet = ({ method }: { method: string }): boolean => method === 'GET';
const gets = (): number => stage.kubernetes.requests().filter(isGet).length;
/** Long enough that everybody has asked before the first is answered. */
const slow = (): void => stage.kubernetes.faults.delay({ ms: 1500, match: isGet });

function ask(token: string, change: Partial<ReadRequest> = {}, signal?: AbortSignal) {
  return stage.gateway.read(
    { token, tool: 'k8s.get', target: JOB, args: {}, why: 'test', ...change },
    signal,
  );
}

const done = (answers: readonly (ReadResult | Refusal)[]): ReadResult[] =>
  answers.filter((answer): answer is ReadResult => !isRefusal(answer));

describe('reads that are the same', () => {
  it('share one call: each has its own call id and its own rows, which name the call that did the work', async () => {
    const incident_id = 'INC-2026-1123-801';
    const tokens = await Promise.all([1, 2, 3, 4].map(() => stage.token({ incident_id })));
    const before = gets();
    slow();
    const answers = done(await Promise.all(tokens.map((token) => ask(token))));
    expect(gets()).toBe(before + 1);
    expect(answers).toHaveLength(4);
    expect(new Set(answers.map(({ call_id }) => call_id)).size).toBe(4);
    expect(new Set(answers.map(({ result }) => JSON.stringify(result))).size).toBe(1);
    const rows = (await stage.store.ledger.read(incident_id, { kinds: ['call'] })).map(
      ({ payload }) => payload,
    );
    expect(rows.filter(({ phase }) => phase === 'before')).toHaveLength(4);
    const after = rows.filter(({ phase }) => phase === 'after');
    const [worker] = after.filter(({ shared_with }) => shared_with === undefined);
    expect(after.filter(({ shared_with }) => shared_with === worker?.['call_id'])).toHaveLength(3);
    expect(new Set(after.map(({ status }) => status))).toEqual(new Set(['done']));
  });

  it('hand out copies: what one caller changes no other sees', async () => {
    const token = await stage.token({ incident_id: 'INC-2026-1123-802' });
    slow();
    const [one, two] = done(await Promise.all([ask(token), ask(token)]));
    Object.assign(one?.result as object, { changed: true });
    expect(two?.result).not.toHaveProperty('changed');
  });

  it('are not kept: the next one asks again', async () => {
    const token = await stage.token({ incident_id: 'INC-2026-1123-803' });
    const before = gets();
    await ask(token);
    await ask(token);
    expect(gets()).toBe(before + 2);
  });

  it('a failure is told to those who waited and to nobody later', async () => {
    const token = await stage.token({ incident_id: 'INC-2026-1123-804' });
    stage.kubernetes.faults.answer({ status: 403, times: 1, match: isGet });
    const answers = await Promise.all([ask(token), ask(token)]);
    expect(answers.map((answer) => isRefusal(answer) && answer.code)).toContain('source-forbidden');
    expect(isRefusal(await ask(token))).toBe(false);
  });

  it('one that gives up does not end the call of the others; when all give up it ends', async () => {
    const token = await stage.token({ incident_id: 'INC-2026-1123-805' });
    slow();
    const [first, second] = [new AbortController(), new AbortController()];
    const leading = ask(token, {}, first.signal);
    await expect.poll(() => stage.store.ledger.count('INC-2026-1123-805', ['call'])).toBe(1);
    const joined = ask(token, {}, second.signal);
    const staying = ask(token);
    await expect.poll(() => stage.store.ledger.count('INC-2026-1123-805', ['call'])).toBe(3);
    first.abort();
    second.abort();
    expect(await leading).toMatchObject({ code: 'call-aborted' });
    expect(await joined).toMatchObject({ code: 'call-aborted' });
    expect(isRefusal(await staying)).toBe(false);
    const alone = new AbortController();
    const given_up = ask(token, {}, alone.signal);
    await expect.poll(() => stage.store.ledger.count('INC-2026-1123-805', ['call'])).toBe(7);
    alone.abort();
    expect(await given_up).toMatchObject({ code: 'call-aborted' });
  });
});

describe('reads that only look the same', () => {
  it.each<[string, () => Promise<[Promise<unknown>, Promise<unknown>]>]>([
    [
      'of another incident',
      async () => {
        const tokens = [
          await stage.token({ incident_id: 'INC-2026-1123-811' }),
          await stage.token({ incident_id: 'INC-2026-1123-812' }),
        ] as const;
        return [ask(tokens[0]), ask(tokens[1])];
      },
    ],
    [
      'of another class of token',
      async () => {
        const tokens = [await stage.token(), await stage.token({ action_class: 'read' })] as const;
        return [ask(tokens[0]), ask(tokens[1])];
      },
    ],
    [
      'of another object',
      async () => {
        const token = await stage.token();
        return [ask(token), ask(token, { target: JOB.replace('nightly-settlement', 'daily-ledger-export') })];
      },
    ],
    [
      'with other arguments',
      async () => {
        const token = await stage.token();
        const target = 'mcp://k8s/prod-1/spark-jobs/pod/-';
        const list = { tool: 'k8s.list', target };
        return [ask(token, list), ask(token, { ...list, args: { limit: 3 } })];
      },
    ],
  ])('%s do not share', async (_title, both) => {
    slow();
    const before = gets();
    const answers = await Promise.all(await both());
    expect(answers.filter((answer) => isRefusal(answer as ReadResult))).toEqual([]);
    expect(gets()).toBe(before + 2);
  });

  it('another tenant is refused before anything could be shared', async () => {
    slow();
    const [own, other] = [await stage.token(), await stage.token({ team: 'fraud' })];
    const [mine, theirs] = await Promise.all([ask(own), ask(other)]);
    expect(isRefusal(mine)).toBe(false);
    expect(theirs).toMatchObject({ code: 'scope-forbidden' });
  });
});

describe('flights', () => {
  it('a crash of the work reaches everybody, and the next one starts anew', async () => {
    const flights = new Flights<number>();
    let fail: (error: Error) => void = () => undefined;
    const leading = flights.lead('k', undefined, () => new Promise((_, reject) => (fail = reject)));
    const joined = flights.join('k', undefined);
    fail(new Error('broken'));
    await expect(leading).rejects.toThrow('broken');
    await expect(joined?.landed).rejects.toThrow('broken');
    expect(flights.join('k', undefined)).toBeNull();
    expect(await flights.lead('k', undefined, async () => 7)).toBe(7);
  });

  it('takes a limited number of callers, and none once everybody has left', async () => {
    const flights = new Flights<number>();
    const own = new AbortController();
    let ended = false;
    void flights.lead('k', own.signal, (signal) => {
      signal.addEventListener('abort', () => (ended = true));
      return new Promise(() => undefined);
    });
    for (let n = 1; n < 256; n += 1) expect(flights.join('k', AbortSignal.abort())).not.toBeNull();
    expect(ended).toBe(false);
    own.abort();
    expect(ended).toBe(true);
    expect(flights.join('k', undefined)).toBeNull();
  });
});
