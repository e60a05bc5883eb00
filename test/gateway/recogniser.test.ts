import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RecogniserService } from '../../src/contract/settings.ts';
import { isRefusal, type Refusal } from '../../src/contract/verdict.ts';
import { Egress } from '../../src/gateway/egress.ts';
import { Throttle } from '../../src/gateway/pipeline/throttle.ts';
import { FoundCache } from '../../src/gateway/recogniser/found-cache.ts';
import { Recogniser } from '../../src/gateway/recogniser/recogniser.ts';
import { compileRules, type RecogniserRules } from '../../src/gateway/sanitize/rules.ts';
import { startPresidioTwin, type PresidioTwin } from '../../src/lab/presidio/presidio-twin.ts';

/** The recogniser against a twin of Presidio: what is sent, how much of it, and what becomes of every failure. */
const NAMES = ['Ana Silva', 'Bo Ek', 'José', '李雷'].map((text) => ({ text, entity_type: 'PERSON' }));
const LOG = { debug() {}, info() {}, warn() {}, error() {} };

let twin: PresidioTwin;
const egress = new Egress(true);
beforeAll(async () => {
  twin = await startPresidioTwin({
    names: [
      ...NAMES,
      { text: 'Lisbon', entity_type: 'LOCATION' },
      { text: 'maybe Max', entity_type: 'PERSON', score: 0.3 },
    ],
  });
});
afterEach(() => twin.faults.clear());
afterAll(async () => {
  await egress.close();
  await twin.close();
});

function rulesWith(more: object = {}): RecogniserRules {
  const entities = { PERSON: '[REDACTED_PERSON]', LOCATION: '[REDACTED_LOCATION]' };
  const recogniser = { language: 'en', model: 'm', score_min: 0.6, entities, allow: [], ...more };
  const rules = compileRules({ v: 1, detectors: {}, secret_keys: [], patterns: [], recogniser }).recogniser;
  if (rules === null) throw new Error('no recogniser');
  return rules;
}
const RULES = rulesWith();

const store = { breaker: async () => null, saveBreaker: async () => undefined, claim: async () => 0 };

/** A fresh one: its cache is empty and its breaker closed. */
function recogniserAt(url: string, more: object = {}): Recogniser {
  const throttle = new Throttle({ clock: { now: Date.now }, log: LOG, store, quotas: [] });
  return new Recogniser({ service: RecogniserService.parse({ url, ...more }), egress, throttle });
}

const fresh = (more: object = {}): Recogniser => recogniserAt(twin.url, more);

async function cleaned(recogniser: Recogniser, value: unknown, rules = RULES): Promise<unknown> {
  const answer = await recogniser.clean(value, rules, undefined);
  return isRefusal(answer) ? answer : answer.value;
}

/** What the twin was asked to analyse since the last look. */
let seen = 0;
function sent(): (readonly string[])[] {
  const all = twin.requests().filter(({ path }) => path === '/analyze');
  const news = all.slice(seen).map(({ texts }) => texts);
  seen = all.length;
  return news;
}

describe('what is sent', () => {
  it('each text once, without those that cannot hold a name', async () => {
    sent();
    const value = ['by Ana Silva', 'by Ana Silva', '12:00', { a: '[REDACTED_EMAIL]', b: 'in Lisbon' }, 7];
    expect(await cleaned(fresh(), value)).toEqual([
      'by [REDACTED_PERSON]',
      'by [REDACTED_PERSON]',
      '12:00',
      { a: '[REDACTED_EMAIL]', b: 'in [REDACTED_LOCATION]' },
      7,
    ]);
    expect(sent()).toEqual([['by Ana Silva', 'in Lisbon']]);
  });

  it('nothing for a value without letters, not even the question which entities there are', async () => {
    const before = twin.requests().length;
    expect(await cleaned(fresh(), { n: ['1', '2026-11-23T15:59:00Z'] })).toEqual({
      n: ['1', '2026-11-23T15:59:00Z'],
    });
    expect(twin.requests()).toHaveLength(before);
  });

  it('a text that was asked about before costs nothing; other rules ask again', async () => {
    const recogniser = fresh();
    await cleaned(recogniser, ['by Ana Silva', 'clean text']);
    sent();
    expect(await cleaned(recogniser, { again: 'by Ana Silva', more: 'clean text' })).toEqual({
      again: 'by [REDACTED_PERSON]',
      more: 'clean text',
    });
    expect(sent()).toEqual([]);
    await cleaned(recogniser, 'by Ana Silva', rulesWith({ model: 'm-2' }));
    expect(sent()).toEqual([['by Ana Silva']]);
  });

  it('in requests of bounded length and size', async () => {
    sent();
    await cleaned(fresh({ texts_per_request_max: 2 }), ['aa', 'bb', 'cc', 'dd', 'ee']);
    expect(
      sent()
        .map(({ length }) => length)
        .sort((a, b) => a - b),
    ).toEqual([1, 2, 2]);
    const long = ['a', 'b', 'c'].map((letter) => letter.repeat(600));
    await cleaned(fresh({ request_bytes_max: 1300 }), long);
    expect(
      sent()
        .map(({ length }) => length)
        .sort((a, b) => a - b),
    ).toEqual([1, 2]);
  });

  it('half a surrogate pair does not reach the service, and offsets stay right', async () => {
    expect(await cleaned(fresh(), '\ud83d and 😀 Ana Silva \udc00')).toBe(
      '\ud83d and 😀 [REDACTED_PERSON] \udc00',
    );
  });

  it('a cache holds what it may and forgets the oldest', () => {
    const cache = new FoundCache(3);
    const span = { start: 0, end: 1, mark: '[REDACTED_PERSON]' };
    cache.put('r', 'a', []);
    cache.put('r', 'b', [span]);
    expect(cache.get('r', 'a')).toEqual([]);
    cache.put('r', 'c', []);
    expect([cache.get('r', 'a'), cache.get('r', 'b'), cache.get('r', 'c')]).toEqual([[], undefined, []]);
    cache.put('r', 'huge', [span, span, span, span]);
    expect(cache.get('r', 'huge')).toBeUndefined();
  });
});

describe('each text alone', () => {
  const wordArb = fc.constantFrom(
    'Ana Silva',
    'Bo Ek',
    'José',
    '李雷',
    'Lisbon',
    'ok',
    '😀',
    '[REDACTED_IP]',
    '12',
    'maybe Max',
  );
  const textArb = fc.array(wordArb, { maxLength: 6 }).map((words) => words.join(' '));

  it('what becomes of a list is what becomes of its texts, whatever stands beside them', async () => {
    const together = fresh({ texts_per_request_max: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(textArb, { maxLength: 8 }), async (texts) => {
        const alone = fresh();
        const one_by_one: unknown[] = [];
        for (const text of texts) one_by_one.push(await cleaned(alone, text));
        expect(await cleaned(together, texts)).toEqual(one_by_one);
        expect(JSON.stringify(one_by_one)).not.toMatch(/Ana|Silva|Bo Ek|José|李雷|Lisbon/);
      }),
      { numRuns: 60 },
    );
  });
});

describe('every failure withholds the answer', () => {
  const SECRET_NAME = 'Ana Silva';
  async function refused(recogniser: Recogniser, rules = RULES): Promise<Refusal> {
    const answer = await recogniser.clean({ line: `by ${SECRET_NAME}` }, rules, undefined);
    if (!isRefusal(answer)) throw new Error(`answered ${JSON.stringify(answer)}`);
    expect(JSON.stringify(answer)).not.toContain(SECRET_NAME);
    return answer;
  }
  const analysis = (call: { path: string }): boolean => call.path === '/analyze';
  const said = (body: unknown): void =>
    void twin.faults.inject(
      { kind: 'status', status: 200, body: typeof body === 'string' ? body : JSON.stringify(body) },
      { match: analysis },
    );
  const one = { start: 3, end: 12, entity_type: 'PERSON', score: 0.9 };

  it.each<[string, unknown, RegExp]>([
    ['not JSON', 'Ana Silva <html>', /not a list of findings/],
    ['a flat list, as of one text', [one], /not a list of findings/],
    ['too few lists', [], /0 lists of findings for 1 texts/],
    ['too many lists', [[one], []], /2 lists of findings for 1 texts/],
    ['a finding without a type', [[{ ...one, entity_type: undefined }]], /not a list of findings/],
    ['a finding between characters', [[{ ...one, start: 3.5 }]], /not a list of findings/],
    ['a score that is none', [[{ ...one, score: 12 }]], /not a list of findings/],
    ['a finding behind the end', [[{ ...one, end: 13 }]], /outside of the text/],
    ['a finding before the start', [[{ ...one, start: -1 }]], /not a list of findings/],
    ['a finding without extent', [[{ ...one, start: 12 }]], /outside of the text/],
    ['an answer that is too large', `[[${' '.repeat(9_000_000)}]]`, /larger than 8388608 bytes/],
  ])('%s', async (_name, body, why) => {
    said(body);
    const refusal = await refused(fresh());
    expect(refusal).toMatchObject({ code: 'redaction-unavailable', reason: expect.stringMatching(why) });
    expect(refusal.remedy).not.toBe('');
  });

  it('an error of the service, and its words are not repeated', async () => {
    twin.faults.inject(
      { kind: 'status', status: 500, body: '{"error":"cannot read Ana Silva"}' },
      { match: analysis },
    );
    expect(await refused(fresh())).toMatchObject({
      reason:
        'The recogniser answered 500 to POST /analyze, so names could not be taken out and the answer was withheld.',
      remedy: expect.stringContaining('2.2.361'),
    });
  });

  it('a service that is away, slow, or hangs up', async () => {
    expect(await refused(recogniserAt('http://127.0.0.1:1'))).toMatchObject({
      code: 'redaction-unavailable',
      reason: expect.stringContaining('cannot be reached'),
    });
    twin.faults.inject({ kind: 'delay', delay_ms: 2000 }, { match: analysis });
    expect((await refused(fresh({ timeout_ms: 200 }))).reason).toContain('did not answer within 200 ms');
    twin.faults.inject({ kind: 'drop_before' }, { match: analysis });
    expect((await refused(fresh())).reason).toContain('the connection broke');
  });

  it('a call that takes too long in all, though each request is quick enough', async () => {
    twin.faults.inject({ kind: 'delay', delay_ms: 150 }, { match: analysis, times: Infinity });
    const recogniser = fresh({ texts_per_request_max: 1, call_timeout_ms: 400 });
    const texts = Array.from({ length: 40 }, (_, n) => `text ${'x'.repeat(n)}`);
    for (let n = 0; n < 2; n += 1)
      expect(await recogniser.clean(texts, RULES, undefined)).toMatchObject({
        code: 'redaction-unavailable',
        reason: expect.stringContaining('did not answer all within 400 ms'),
        remedy: expect.stringContaining('recogniser.call_timeout_ms'),
      });
    // The service is not ill: the breaker stays closed for others.
    twin.faults.clear();
    expect(await cleaned(recogniser, 'by Ana Silva')).toBe('by [REDACTED_PERSON]');
  });

  it('one of several requests fails: nothing is shown', async () => {
    const recogniser = fresh({ texts_per_request_max: 1 });
    twin.faults.inject({ kind: 'status', status: 503 }, { match: ({ body }) => body.includes('third') });
    expect(await recogniser.clean(['first', 'second', 'third', 'fourth'], RULES, undefined)).toMatchObject({
      code: 'redaction-unavailable',
    });
  });

  it('more than may be asked in one call says which limit, before anything is sent', async () => {
    sent();
    const few = fresh({ texts_per_request_max: 1, requests_per_call_max: 2 });
    expect(await few.clean(['aa', 'bb', 'cc'], RULES, undefined)).toMatchObject({
      code: 'result-too-large',
      remedy: expect.stringContaining('recogniser.requests_per_call_max (2)'),
    });
    expect(await fresh({ request_bytes_max: 1024 }).clean('x'.repeat(1025), RULES, undefined)).toMatchObject({
      code: 'result-too-large',
      remedy: expect.stringContaining('recogniser.request_bytes_max (1024)'),
    });
    expect(sent()).toEqual([]);
  });

  it('an entity that the service does not know, which it would pass over in silence', async () => {
    const entities = { PERSON: '[REDACTED_PERSON]', PERSN: '[REDACTED_PERSON]' };
    expect(await refused(fresh(), rulesWith({ entities }))).toMatchObject({
      code: 'redaction-unavailable',
      reason: expect.stringContaining('does not know PERSN in the language en'),
    });
  });

  it('a language without a model, and a server from before lists of texts', async () => {
    expect((await refused(fresh(), rulesWith({ language: 'xx' }))).reason).toContain('answered 500');
    const old = await startPresidioTwin({ names: NAMES, before_lists: true });
    try {
      expect((await refused(recogniserAt(old.url))).remedy).toContain('2.2.361 or newer');
    } finally {
      await old.close();
    }
  });

  it('five failures in a row open the breaker: the service is left alone, and asked again later', async () => {
    const recogniser = fresh();
    await cleaned(recogniser, 'warm up');
    twin.faults.inject({ kind: 'status', status: 500 }, { match: analysis, times: 5 });
    for (let n = 0; n < 5; n += 1) await refused(recogniser);
    sent();
    expect((await refused(recogniser)).reason).toContain('failed 5 times in a row');
    expect(sent()).toEqual([]);
  });

  it('a caller that leaves ends the question', async () => {
    twin.faults.inject({ kind: 'delay', delay_ms: 5000 }, { match: analysis });
    const leave = new AbortController();
    const answer = fresh().clean('by Ana Silva', RULES, leave.signal);
    setTimeout(() => leave.abort(), 100);
    expect(await answer).toMatchObject({ reason: expect.stringContaining('aborted') });
  });
});

describe('addresses', () => {
  let stray: Server;
  let asked = 0;
  beforeAll(async () => {
    stray = createServer((_request, response) => {
      asked += 1;
      response.writeHead(307, { location: twin.url }).end();
    });
    await new Promise<void>((resolve) => stray.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => stray.close());

  it('a redirect is not followed', async () => {
    const url = `http://127.0.0.1:${(stray.address() as AddressInfo).port}`;
    expect(await cleaned(recogniserAt(url), 'led astray by Ana Silva')).toMatchObject({
      reason: expect.stringContaining('redirect'),
    });
    expect(asked).toBe(1);
    // What other tests gave up may still arrive there.
    expect(twin.requests().filter(({ texts }) => texts.some((text) => text.includes('astray')))).toEqual([]);
  });

  it('the rules of the egress client hold: no plain HTTP, nothing on this machine', async () => {
    const strict = new Egress(false);
    const throttle = new Throttle({ clock: { now: Date.now }, log: LOG, store, quotas: [] });
    const service = RecogniserService.parse({ url: twin.url });
    const recogniser = new Recogniser({ service, egress: strict, throttle });
    expect(await recogniser.clean('by Ana Silva', RULES, undefined)).toMatchObject({
      code: 'redaction-unavailable',
      reason: expect.stringContaining('is not encrypted'),
    });
    await strict.close();
  });
});
