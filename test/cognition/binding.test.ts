import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { doubleQuantity, isQuantity } from '../../src/cognition/quantity.ts';
import {
  bindExpectation,
  bindJson,
  bindRead,
  bindTarget,
  fillSentence,
} from '../../src/cognition/skill-binding.ts';
import { resolveVars, typedValue, type VarValue } from '../../src/cognition/skill-vars.ts';
import { printPipeline } from '../../src/contract/pipeline-printer.ts';
import { parsePipeline } from '../../src/contract/pipeline-parser.ts';
import { SkillVar } from '../../src/contract/skill.ts';
import { parseTarget } from '../../src/contract/tool.ts';
import { sparkIncident } from './spark-story.ts';

const TEMPLATE =
  'grep "$job|OOM" /teams/data/prod/logs/pods/$job.log --since 1h | grep -F "$job" | tail -n 20';
const evil = fc.oneof(
  fc.string(),
  fc.string({
    unit: fc.constantFrom(
      'a',
      '/',
      '.',
      '$',
      '|',
      '"',
      "'",
      ' ',
      '-',
      '\\',
      '{',
      '}',
      '?',
      '&',
      '=',
      '*',
      '\n',
      ';',
    ),
  }),
  fc.constantFrom('..', '../x', '$(rm)', '${job}', '$job', 'a|b', '--since 9d', '-v'),
);

describe('binding of values into parsed templates', () => {
  it('no value changes the shape of a pipeline: same stages, same number of segments, same window', () => {
    fc.assert(
      fc.property(evil, (value) => {
        const bound = bindRead(TEMPLATE, new Map<string, VarValue>([['job', value]]));
        if (!bound.ok) return;
        const again = parsePipeline(printPipeline(bound.value), { allow_vars: false });
        if (!again.ok) throw new Error(`${again.reason}: ${printPipeline(bound.value)}`);
        expect(again.pipeline).toEqual(bound.value);
        expect(again.pipeline.filters.map((stage) => stage.cmd)).toEqual(['grep', 'tail']);
        const { source } = again.pipeline;
        if (source.cmd !== 'grep') throw new Error(source.cmd);
        expect(source.path.segments).toHaveLength(6);
        expect(
          source.path.segments
            .slice(0, 5)
            .map((words) => words.map((w) => (w.w === 'text' ? w.text : '')).join('')),
        ).toEqual(['teams', 'data', 'prod', 'logs', 'pods']);
        expect(source.path.params).toEqual([]);
        expect(source.window).toEqual({ since: { ago_s: 3600 } });
      }),
      { numRuns: 1000 },
    );
  });

  it('no value of type name leaves its path segment or target segment', () => {
    fc.assert(
      fc.property(evil, (raw) => {
        const value = typedValue('name', raw);
        if (value === null) return;
        const target = bindTarget(
          'mcp://k8s/prod-a/settlement/sparkapplication/$job',
          new Map([['job', value]]),
        );
        if (!target.ok) throw new Error(target.reason);
        expect(parseTarget(target.value)).toEqual({
          system: 'k8s',
          cluster: 'prod-a',
          namespace: 'settlement',
          kind: 'sparkapplication',
          name: raw,
        });
        expect(raw).toMatch(/^[a-z0-9._-]+$/);
      }),
      { numRuns: 1000 },
    );
  });

  it('no value becomes another segment of a target, whatever its type', () => {
    fc.assert(
      fc.property(evil, (value) => {
        const target = bindTarget(
          'mcp://k8s/prod-a/settlement/sparkapplication/$job',
          new Map([['job', value]]),
        );
        if (target.ok) expect(target.value.split('/')).toHaveLength(7);
        if (target.ok)
          expect(parseTarget(target.value)).toMatchObject({
            cluster: 'prod-a',
            namespace: 'settlement',
            kind: 'sparkapplication',
          });
      }),
    );
  });

  it('JSON values are replaced whole; keys, other strings and the values themselves are never templates', () => {
    fc.assert(
      fc.property(evil, (value) => {
        const template = {
          changes: [{ path: '/spec/driver/memory', value: '$memory' }],
          $memory: 'costs $memory',
          n: 1,
        };
        const bound = bindJson(template, new Map([['memory', value]]));
        expect(bound).toEqual({
          ok: true,
          value: { changes: [{ path: '/spec/driver/memory', value }], $memory: 'costs $memory', n: 1 },
        });
      }),
    );
  });

  it('an unknown variable is named, never filled with nothing', () => {
    const none = new Map<string, VarValue>();
    expect(bindRead(TEMPLATE, none)).toEqual({ ok: false, reason: '$job is unknown' });
    expect(bindTarget('mcp://k8s/a/b/c/$job', none)).toEqual({ ok: false, reason: '$job is unknown' });
    expect(bindJson(['$job'], none)).toEqual({ ok: false, reason: '$job is unknown' });
    expect(bindExpectation({ select: 'a', op: 'eq', value: '$job' }, none)).toEqual({
      ok: false,
      reason: '$job is unknown',
    });
    expect(fillSentence('Raise $job', none, 100)).toBe('Raise ?');
  });
});

describe('quantities', () => {
  it.each([
    ['1g', '2g'],
    ['512m', '1024m'],
    ['1.5Gi', '3Gi'],
    ['0.25Gi', '0.5Gi'],
    ['1536Mi', '3072Mi'],
    ['1073741824', '2147483648'],
    ['2gb', '4gb'],
  ])('%s doubles to %s', (from, to) => {
    expect(doubleQuantity(from)).toBe(to);
  });

  it.each([
    '',
    'g',
    '0',
    '0g',
    '-1g',
    '1 g',
    '1e3',
    '1gg',
    '1G i',
    '٣g',
    '1.g',
    '.5g',
    '1g\n',
    '9999999999999999g',
  ])('%j is no quantity', (text) => {
    expect(isQuantity(text)).toBe(false);
    expect(doubleQuantity(text)).toBeNull();
  });

  it('doubling is exact and stays a quantity, or is refused', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 999_999_999 }),
        fc.integer({ min: 0, max: 999 }),
        fc.constantFrom('', 'g', 'Mi', 'K', 'tb'),
        (whole, milli, unit) => {
          const doubled = doubleQuantity(`${whole}.${String(milli).padStart(3, '0')}${unit}`);
          const twice = BigInt(whole * 1000 + milli) * 2n;
          expect(doubled).not.toBeNull();
          const [w, f = ''] = (doubled as string)
            .slice(0, (doubled as string).length - unit.length)
            .split('.');
          expect(BigInt(`${w}${f.padEnd(3, '0')}`)).toBe(twice);
        },
      ),
    );
  });
});

describe('variables', () => {
  const declare = (...vars: unknown[]) => vars.map((entry) => SkillVar.parse(entry));

  it('take the first usable source in order and report the unusable one without quoting it', () => {
    const vars = declare(
      { name: 'job', type: 'name', from: { label: 'app_name' } },
      { name: 'job', type: 'name', from: { label: 'job_name' } },
    );
    const incident = sparkIncident({ labels: { app_name: 'x/../y', job_name: 'good' } });
    const { vars: values, problems } = resolveVars(vars, { incident, readOf: () => 'absent' });
    expect(values.get('job')).toBe('good');
    expect(problems).toEqual(['label app_name is not a valid name and was ignored']);
  });

  it('wait for a pending read instead of taking a fall-back or a default too early', () => {
    const vars = declare(
      { name: 'pod', type: 'name', from: { read: 'status', select: 'pod' }, default: 'none' },
      { name: 'pod', type: 'name', from: { scope: 'service' } },
      { name: 'log', type: 'name', from: { compute: 'concat', of: ['$pod', '-log'] } },
    );
    const incident = sparkIncident({ service: 'svc' });
    const at = (state: readonly string[] | 'pending' | 'absent') =>
      Object.fromEntries(resolveVars(vars, { incident, readOf: () => state }).vars);
    expect(at('pending')).toEqual({});
    expect(at(['pod: driver'])).toEqual({ pod: 'driver', log: 'driver-log' });
    expect(at('absent')).toEqual({ pod: 'svc', log: 'svc-log' });
  });

  it('read the first capture group of a pattern, and only in the declared type', () => {
    const vars = declare({ name: 'id', type: 'number', from: { read: 'log', pattern: 'TID (\\S+)' } });
    const at = (line: string) =>
      resolveVars(vars, { incident: sparkIncident(), readOf: () => ['x', line] }).vars.get('id');
    expect(at('task (TID 42 done')).toBe(42);
    expect(at('task (TID 1e9 done')).toBeUndefined();
  });
});
