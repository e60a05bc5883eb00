import * as fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import { parsePipeline } from '../../src/contract/pipeline-parser.ts';
import type { GrepStage } from '../../src/vfs/grep.ts';
import { fixture, ns, sparkModel, type Fixture } from './fixture.ts';
import { emptyModel, type Model } from './model-gateway.ts';

const ROOT = '/teams/data/prod';

/** Raw log text made to break a pre-filter: secrets, marks, newlines before an n, escapes, times, stream names. */
const RAW_LINES = [
  'INFO all is well',
  'ERROR OOM in driver',
  'oom oom OOM',
  'user hunter2 logged in',
  'mail kim@shop.example OOM',
  'token sk-ABCDEF123 and more OOM here',
  'first\nnightly second',
  'first\nn',
  '\u001b[31mred alert\u001b[0m OOM',
  'a literal [REDACTED_EMAIL] in the source',
  'EMAIL and TOKEN and SECRET',
  'path C:\\new\\table',
  '2026-11-23T15:59:00.000000000Z copied time',
  'main/spark | quoted head',
  'tab\there',
  'ünïcödé 日本 😀 OOM',
  'K and \u212a and ſ',
  '\u202eMOO\u202c hidden \u200b zero',
  '',
  ' ',
  '"quoted" \\"escaped\\" `ticks` {braces} $dollar',
  'pod/container driver spark-main',
  'exit code 137: Killed process 4242',
];
const PATTERNS = [
  'OOM',
  'oom',
  'hunter2',
  'hunter',
  'sk-ABCDEF123',
  'sk-',
  'kim@shop',
  'shop.example',
  'REDACTED',
  'EMAIL',
  'TOKEN',
  'mail',
  '[REDACTED_EMAIL]',
  '] OOM',
  'mail [',
  'n',
  'nightly',
  'nnightly',
  'tnightly',
  '\\n',
  '\\nn',
  'n second',
  ' | ',
  '| quoted',
  'main/spark',
  'driver',
  'spark',
  'main',
  '2026',
  '15:59',
  'Z',
  'Z main',
  'Killed process',
  'exit code',
  'tab\there',
  'ünïcödé',
  '日本',
  '😀',
  'K',
  'k and',
  'ſ',
  'MOO',
  '␛[31m',
  '\ufffd',
  '"quoted"',
  '\\"escaped\\"',
  '`ticks`',
  '{braces}',
  '$dollar',
  'C:\\new',
  'red alert',
  ' all',
  'well ',
  'no such thing',
];
const REGEXES = [
  'OOM|Killed process',
  'O+M',
  '(?i)oom',
  '^2026',
  'OOM$',
  'user .* logged',
  '\\[REDACTED_[A-Z]+\\]',
  'hunter\\d|OOM',
  'first.*second',
  '\\bdriver\\b',
  '(?:alert|well)',
  'x*',
  '[A-Z]{5}',
  'n?nightly',
  'exit code \\d{3}: Killed',
  '(OOM|oom)(.*)here',
  '\\x4fOM',
  '\\Qa|b\\E',
  'K|ſ',
  'T15:5.*OOM',
  ' \\| ERROR',
  'spark.*OOM',
  '\\\\n',
  '.',
];

interface Case {
  readonly lines: readonly {
    readonly text: string;
    readonly at: number;
    readonly pod: number;
    readonly ns: number;
  }[];
  readonly page_max: number;
  readonly stages: readonly string[];
  readonly file: string;
}

const PODS = ['main', 'zoom-driver', 'b'] as const;

const grepArb = fc
  .record({
    fixed: fc.boolean(),
    text: fc.constantFrom(...PATTERNS),
    regex: fc.constantFrom(...REGEXES),
    flags: fc.subarray(['-i', '-v', '-c', '-A 1', '-B 2'], { maxLength: 2 }),
    plain: fc.boolean(),
  })
  .map(({ fixed, text, regex, flags, plain }) => {
    const shown = plain ? [] : flags;
    return `grep ${[...shown, ...(fixed ? ['-F'] : [])].join(' ')} ${quote(fixed ? text : regex)}`;
  });

const caseArb: fc.Arbitrary<Case> = fc.record({
  lines: fc.array(
    fc.record({
      text: fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom(...RAW_LINES) },
        fc.string({ maxLength: 12, unit: 'binary' }),
      ),
      at: fc.integer({ min: 0, max: 50 }),
      pod: fc.nat(2),
      ns: fc.nat(1),
    }),
    { maxLength: 80, size: 'max' },
  ),
  page_max: fc.constantFrom(15, 5000),
  stages: fc
    .tuple(
      fc.array(grepArb, { minLength: 1, maxLength: 2 }),
      fc.constantFrom('', 'tail -n 1', 'tail -n 5', 'tail -n 100', 'head -n 3', 'head -n 100'),
    )
    .map(([greps, last]) => [...greps, ...(last === '' ? [] : [last])]),
  file: fc.constantFrom(
    '/teams/data/two/logs/all.log',
    '/teams/data/two/logs/pods/main.log',
    '/teams/data/two/logs/pods/zoom-driver.log',
  ),
});

function quote(text: string): string {
  return text.includes("'") ? `"${text.replaceAll(/["\\$]/g, String.raw`\$&`)}"` : `'${text}'`;
}

function modelOf({ lines, page_max }: Case): Model {
  const model = emptyModel();
  model.page_max = page_max;
  for (const { text, at, pod, ns: space } of lines) {
    const namespace = space === 0 ? 'a' : 'b';
    const labels = { namespace, pod: PODS[pod] as string, container: pod === 2 ? 'spark-main' : 'main' };
    model.entries.push({ namespace, ts_ns: ns(-60_000 + at * 1000), labels, line: text });
  }
  return model;
}

/** Fetch, then filter: the whole redacted file and a few independent lines of grep. */
function reference(whole: readonly string[], stages: readonly string[]): string[] {
  let lines = [...whole];
  for (const stage of stages) {
    const parsed = parsePipeline(`read /x | ${stage}`, { allow_vars: false });
    if (!parsed.ok) throw new Error(parsed.reason);
    const filter = parsed.pipeline.filters[0];
    if (filter === undefined) continue;
    if (filter.cmd === 'head') lines = lines.slice(0, filter.n);
    else if (filter.cmd === 'tail') lines = lines.slice(-filter.n);
    else lines = referenceGrep(lines, filter);
  }
  return lines;
}

function referenceGrep(lines: readonly string[], grep: GrepStage): string[] {
  const text = grep.pattern.map((word) => (word.w === 'text' ? word.text : '')).join('');
  const re = RE2JS.compile(
    grep.fixed ? RE2JS.quote(text) : text,
    grep.ignore_case ? RE2JS.CASE_INSENSITIVE : 0,
  );
  const hits = lines.map((line) => re.matcher(line).find() !== grep.invert);
  if (grep.count) return [String(hits.filter(Boolean).length)];
  const near = (index: number) =>
    hits.some((hit, at) => hit && index >= at - grep.before && index <= at + grep.after);
  const shown: string[] = [];
  lines.forEach((line, index) => {
    if (!near(index)) return;
    if (grep.before + grep.after > 0 && index > 0 && shown.length > 0 && !near(index - 1)) shown.push('--');
    shown.push(line);
  });
  return shown;
}

/** Outside an incident nothing is stored, which keeps thousands of runs fast. */
async function whole(world: Fixture, command: string): Promise<readonly string[]> {
  const captured = await world.capture(command, { ...world.session, env: 'two', incident_id: null });
  expect(captured.complete).toBe(true);
  return captured.lines;
}

async function check(world: Fixture, one: Case): Promise<void> {
  Object.assign(world.model, modelOf(one));
  const [first, ...rest] = one.stages as [string, ...string[]];
  const file = await whole(world, `read ${one.file}`);
  expect(file.join('\n')).not.toMatch(/hunter2|kim@|sk-ABC/);
  expect(await whole(world, [`${first} ${one.file}`, ...rest].join(' | ')), one.stages.join(' | ')).toEqual(
    reference(file, one.stages),
  );
}

describe('pushdown to Loki', () => {
  it('gives the same bytes as fetch-then-filter, whatever the lines and the filters', async () => {
    const world = await fixture({ model: emptyModel() });
    await fc.assert(
      fc.asyncProperty(caseArb, (one) => check(world, one)),
      { numRuns: 200 },
    );
  }, 60_000);

  it('does so for every pattern over the hostile lines', async () => {
    const world = await fixture({ model: emptyModel() });
    const lines = RAW_LINES.map((text, at) => ({ text, at: at % 13, pod: at % 3, ns: at % 2 }));
    const stages = [
      ...PATTERNS.map((text) => `grep -F ${quote(text)}`),
      ...PATTERNS.map((text) => `grep -i -F ${quote(text)}`),
      ...REGEXES.map((text) => `grep ${quote(text)}`),
    ];
    for (const stage of stages)
      await check(world, { lines, page_max: 20, stages: [stage], file: '/teams/data/two/logs/all.log' });
  }, 60_000);

  it('loses and repeats no line between pages, in either direction and over two namespaces', async () => {
    const world = await fixture({ model: emptyModel() });
    const lines = Array.from({ length: 90 }, (_, index) => ({
      text: `l${index}`,
      at: Math.floor(index / 3),
      pod: index % 3,
      ns: index % 5 === 0 ? 1 : 0,
    }));
    for (const page_max of [7, 15, 30])
      for (const last of ['tail -n 1', 'tail -n 7', 'tail -n 40', 'tail -n 100', 'head -n 7', 'head -n 100'])
        await check(world, {
          lines,
          page_max,
          stages: ['grep "l"', last],
          file: '/teams/data/two/logs/all.log',
        });
  });

  it('really pushes filter, direction and limit, and stops when the tail is full', async () => {
    const world = await fixture();
    const lines = await world.lines(
      `grep "OutOfMemoryError|OOM" ${ROOT}/logs/driver.log --since 1h | tail -n 2`,
    );
    expect(lines).toHaveLength(2);
    expect(lines[1]).toContain('(299)');
    expect(world.gateway.calls).toHaveLength(1);
    expect(world.gateway.calls[0]).toMatchObject({
      tool: 'loki.query_range',
      target: 'mcp://loki/main/settlement/query/-',
      args: {
        query: '{app="settlement", namespace="settlement"} |~ "OutOfMemoryError|OOM"',
        direction: 'backward',
        limit: 200,
        end_ns: String(ns(-2000)),
      },
    });
  });

  it('asks first whether a stream has the word in its name, and does not push when one has', async () => {
    const world = await fixture();
    await world.capture(`grep "driver" ${ROOT}/logs/driver.log | tail -n 1`);
    expect(world.gateway.calls.map(({ args }) => args['query'])).toEqual([
      '{app="settlement", namespace="settlement", pod=~"(?i).*(?:driver).*"}',
      '{app="settlement", namespace="settlement"}',
    ]);
    world.gateway.calls.length = 0;
    await world.capture(`grep -i "outofmemory" ${ROOT}/logs/driver.log | tail -n 1`);
    expect(world.gateway.calls.map(({ args }) => args['query'])).toEqual([
      '{app="settlement", namespace="settlement", pod=~"(?i).*(?:outofmemory).*"}',
      '{app="settlement", namespace="settlement", container=~"(?i).*(?:outofmemory).*"}',
      '{app="settlement", namespace="settlement"} |~ "(?i)(?:outofmemory)"',
    ]);
  });

  it('tells nothing about redacted text: not by lines, redactions, bytes or budget', async () => {
    const model = sparkModel();
    const labels = { namespace: 'settlement', pod: 'p', container: 'c', app: 'settlement' };
    model.entries.push({
      namespace: 'settlement',
      ts_ns: ns(-30_000),
      labels,
      line: 'login with hunter2 ok',
    });
    const world = await fixture({ model });
    const seen = async (pattern: string) => {
      const { redactions, bytes, line_count, lines, summary } = await world.capture(
        `grep -F "${pattern}" ${ROOT}/logs/driver.log | tail -n 5`,
      );
      return { redactions, bytes, line_count, lines, summary };
    };
    expect(await seen('hunter2')).toEqual(await seen('hunter7'));
  });

  it('reads 50,000 lines in pages and finds the one that matters', async () => {
    const model = emptyModel();
    const labels = { namespace: 'settlement', pod: 'p', container: 'c', app: 'settlement' };
    for (let index = 0; index < 50_000; index++)
      model.entries.push({
        namespace: 'settlement',
        ts_ns: ns(-3_000_000 + index * 10),
        labels,
        line: index === 77 ? 'the needle' : `line ${index}`,
      });
    const world = await fixture({ model });
    expect(await world.lines(`grep -v "line" ${ROOT}/logs/driver.log`)).toHaveLength(1);
    expect(await world.lines(`grep -c "" ${ROOT}/logs/driver.log`).catch(() => 'refused')).toBe('refused');
    expect(await world.lines(`grep -c "line" ${ROOT}/logs/driver.log`)).toEqual(['49999']);
    const captured = await world.capture(`read ${ROOT}/logs/driver.log`);
    expect(captured).toMatchObject({ line_count: 50_000, complete: false });
    expect(captured.lines.length).toBeLessThanOrEqual(400);
  }, 30_000);

  it('asks for smaller pages when the answer is too large', async () => {
    const world = await fixture();
    const read = world.gateway.read.bind(world.gateway);
    Object.assign(world.gateway, {
      read: (request: Parameters<typeof read>[0], signal?: AbortSignal) =>
        Number(request.args['limit']) > 100
          ? Promise.resolve({ allow: false, code: 'result-too-large', reason: 'too large', remedy: '' })
          : read(request, signal),
    });
    expect((await world.capture(`read ${ROOT}/logs/driver.log`)).line_count).toBe(300);
  });

  it('refuses a page that cannot end: more lines at one nanosecond than a page holds', async () => {
    const model = emptyModel();
    const labels = { namespace: 'settlement', app: 'settlement' };
    for (let index = 0; index < 6000; index++)
      model.entries.push({ namespace: 'settlement', ts_ns: ns(-5000), labels, line: String(index) });
    const { refusal } = await fixture({ model });
    expect(await refusal(`read ${ROOT}/logs/driver.log`)).toMatchObject({ code: 'read-too-large' });
  });

  it('is not slowed down by a pattern that would hang a backtracking engine', async () => {
    const model = emptyModel();
    model.entries.push({
      namespace: 'settlement',
      ts_ns: ns(-5000),
      labels: { namespace: 'settlement', app: 'settlement' },
      line: `${'a'.repeat(5000)}!`,
    });
    const { lines } = await fixture({ model });
    const started = performance.now();
    expect(await lines(`grep "(a+)+$" ${ROOT}/logs/driver.log`)).toEqual([]);
    expect(await lines(`grep "(a|aa)+b" ${ROOT}/logs/driver.log`)).toEqual([]);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
