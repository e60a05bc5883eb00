import * as fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import { Pipeline } from '../../src/contract/pipeline.ts';
import { controlCharacter } from '../../src/contract/pipeline-lexer.ts';
import { parsePipeline, timeBound } from '../../src/contract/pipeline-parser.ts';
import { parsePath } from '../../src/contract/pipeline-path.ts';
import {
  bindPipeline,
  PipelineBindError,
  pipelineVariables,
  printPath,
  printPipeline,
} from '../../src/contract/pipeline-printer.ts';

function tree(text: string, allow_vars = false): Pipeline {
  const parsed = parsePipeline(text, { allow_vars });
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`);
  return parsed.pipeline;
}

function failure(text: string, allow_vars = false) {
  const parsed = parsePipeline(text, { allow_vars });
  if (parsed.ok) throw new Error(`parsed: ${printPipeline(parsed.pipeline)}`);
  return parsed;
}

function canonical(text: string): string {
  return printPipeline(tree(text));
}

describe('parsePipeline', () => {
  it('reads the example of the design', () => {
    expect(tree('grep "OOM" /teams/data/prod/logs/driver.log --since 1h | tail -n 50')).toEqual({
      source: {
        cmd: 'grep',
        pattern: [{ w: 'text', text: 'OOM' }],
        ignore_case: false,
        invert: false,
        fixed: false,
        count: false,
        after: 0,
        before: 0,
        path: {
          segments: ['teams', 'data', 'prod', 'logs', 'driver.log'].map((text) => [{ w: 'text', text }]),
          params: [],
        },
        window: { since: { ago_s: 3600 } },
      },
      filters: [{ cmd: 'tail', n: 50 }],
    });
  });

  it.each([
    ['tail /a', 'tail -n 10 /a'],
    ['tail -50 /a', 'tail -n 50 /a'],
    ['head -n5 /a --since=90s', 'head -n 5 /a --since 90s'],
    ['read /a/b?z=1&b=2 --lines 3-4', 'read /a/b?b=2&z=1 --lines 3-4'],
    [
      "grep -vi 'a|b' /x --since 2026-11-23T16:00:00Z",
      'grep -i -v "a|b" /x --since 2026-11-23T16:00:00.000Z',
    ],
    ['grep -C 2 x /y | grep -c -F "[" | head', 'grep -A 2 -B 2 "x" /y | grep -F -c "[" | head -n 10'],
    [String.raw`grep "\d+\.\"x" /y`, String.raw`grep '\d+\."x' /y`],
    ['grep "-v" /y', 'grep "-v" /y'],
    ['grep "/teams" /y', 'grep "/teams" /y'],
    ['grep -E "a b" /y', 'grep "a b" /y'],
    ['grep "Killed$" /y', "grep 'Killed$' /y"],
    ['find /teams/data -name "*.log"', 'find /teams/data -name "*.log"'],
    ['diff /a /b --until 1h30m', 'diff /a /b --until 90m'],
  ])('spells `%s` as `%s`', (text, expected) => {
    expect(canonical(text)).toBe(expected);
    expect(canonical(expected)).toBe(expected);
  });

  it.each([
    ['', 'a stage is empty'],
    ['   ', 'a stage is empty'],
    ['tail /x | ', 'a stage is empty'],
    ['| tail', 'a stage is empty'],
    ['cat /x', 'not a command'],
    ['tail -f /x', 'no option -f'],
    ['tail /x | sort', 'not a command'],
    ['tail /x | read /y', 'not a command'],
    ['tail /x | grep a /y', 'one pattern'],
    ['tail /x | tail /y', 'no file'],
    ['tail x', 'starts with /'],
    ['tail ../x', 'starts with /'],
    ['tail /a/../b', '`..`'],
    ['tail /a/./b', '`.`'],
    ['tail "/a/.."', '`..`'],
    ['tail //a', 'segment is empty'],
    ['tail /a//b', 'segment is empty'],
    ['tail /a/', 'segment is empty'],
    ['tail "/a b"', 'character that paths cannot have'],
    ['tail "/a\\b"', 'character that paths cannot have'],
    ['tail /a%2e%2e/b', 'character that paths cannot have'],
    ['tail /a/bücher', 'character that paths cannot have'],
    ['tail /a/\u202eb', 'character that paths cannot have'],
    ['tail /a\u0000b', 'control character'],
    ['tail /a\nread /b', 'control character'],
    ['tail /a\u2028read', 'control character'],
    ['tail /a?x', 'not name=value'],
    ['tail /a?X=1', 'not name=value'],
    ['tail /a?x=1&x=2', 'given twice'],
    ['tail /a?x=', 'needs a value'],
    ['tail /a?x=../b', 'cannot be the value'],
    ['tail -n 0 /x', 'number from 1'],
    ['tail -n 1000000 /x', 'number from 1'],
    ['tail -n 1e3 /x', 'number from 1'],
    ['tail -n /x /x', 'number from 1'],
    ['tail -n', 'needs a value'],
    ['tail -n 1 -n 2 /x', 'given twice'],
    ['tail /x --since yesterday', 'not a time'],
    ['tail /x --since 2026-02-31T99:00:00Z', 'not a time'],
    ['tail /x --since 999999d', 'not a time'],
    ['read /x --lines 9-3', 'not a range'],
    ['read /x --lines 0-3', 'not a range'],
    ['grep a', 'takes a pattern and a path'],
    ['grep "" /x', 'pattern is empty'],
    ['grep "(?=a)" /x', 'not RE2'],
    [String.raw`grep "(a)\1" /x`, 'not RE2'],
    ['grep "a{1001}" /x', 'not RE2'],
    ['grep "((a{100}){100}){100}" /x', 'not RE2'],
    ['grep "(" /x', 'not RE2'],
    [`grep "${'a'.repeat(1001)}" /x`, 'limit is 1000'],
    ['grep "a /x', 'not closed'],
    ["grep 'a /x", 'not closed'],
    ['tail /x; rm /y', 'quotes'],
    ['tail /x > /y', 'quotes'],
    ['tail `id`', 'quotes'],
    ['tail $(id)', '`$`'],
    ['tail "$(id)"', '`$`'],
    ['tail /x && tail /y', 'one command at a time'],
    ['tail /x || tail /y', '`||`'],
    ['tail /teams/$team', 'variables stand only in skills'],
    ['grep "$name" /x', 'variables stand only in skills'],
    ['find /x -name "a/b"', 'not a path'],
    ['find /x --since 1h', 'no option --since'],
    ['constructor /x', 'not a command'],
    ['__proto__ /x', 'not a command'],
    [`tail /${'a/'.repeat(41)}b`, 'more than 40'],
    [`tail /x ${'| tail '.repeat(11)}`, 'more than 10 filters'],
    ['x'.repeat(4001), 'limit is 4000'],
  ])('refuses `%s` and says "%s"', (text, reason) => {
    const found = failure(text);
    expect(found.reason).toContain(reason);
    expect(found.hint).not.toBe('');
    expect(found.at).toBeGreaterThanOrEqual(0);
    expect(found.at).toBeLessThanOrEqual(text.length);
  });

  it('keeps a $ in single quotes and an escaped one as text', () => {
    expect(canonical("grep '$name' /x")).toBe("grep '$name' /x");
    expect(canonical(String.raw`grep "\$name" /x`)).toBe("grep '$name' /x");
  });

  it('never throws, and whatever it accepts satisfies the schema and survives printing', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'grep',
        'tail',
        'read',
        '-n',
        '5',
        '|',
        '-i',
        '--since',
        '1h',
        '/a/b',
        '"a b"',
        "'$x'",
        '/t?w=1',
        '"\\"',
        '$v',
        '${v}',
        '\\',
        '..',
      ),
      fc.string({ maxLength: 8, unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), fc.boolean(), (pieces, allow_vars) => {
        const parsed = parsePipeline(pieces.join(' '), { allow_vars });
        if (!parsed.ok) return;
        expect(Pipeline.parse(parsed.pipeline)).toEqual(parsed.pipeline);
        expect(tree(printPipeline(parsed.pipeline), allow_vars)).toEqual(parsed.pipeline);
      }),
      { numRuns: 1000 },
    );
  });

  it('prints any pattern so that it reads back the same', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 30 }), (text) => {
        fc.pre(controlCharacter(text) < 0);
        const base = tree('grep -F x /y');
        const grep = {
          ...base.source,
          pattern: [{ w: 'text' as const, text }],
          fixed: true,
        } as Pipeline['source'];
        expect(tree(printPipeline({ source: grep, filters: [] })).source).toEqual(grep);
      }),
    );
  });
});

describe('bindPipeline', () => {
  it('binds names into paths, parameters and patterns', () => {
    const template = tree(
      'grep "pod $pod .*" /teams/$team/logs/pods/${pod}.log?window=${w} | grep -F "$raw"',
      true,
    );
    expect(pipelineVariables(template)).toEqual(['pod', 'team', 'w', 'raw']);
    const bound = bindPipeline(template, { pod: 'a.b', team: 'data', w: '15m', raw: '.*' });
    expect(printPipeline(bound)).toBe(
      String.raw`grep 'pod a\.b .*' /teams/data/logs/pods/a.b.log?window=15m | grep -F ".*"`,
    );
    expect(pipelineVariables(bound)).toEqual([]);
  });

  it.each([
    '..',
    '.',
    'a/b',
    '/',
    '../x',
    'a?b=c',
    'a&b',
    'a b',
    '',
    'a\nb',
    'a\u0000',
    'a\u007f',
    'a\u2028b',
    '\ud800',
    'ä',
    'a%2fb',
    'a|b',
    'a"b',
    'x'.repeat(501),
  ])('refuses %j as a path name', (value) => {
    expect(() => bindPipeline(tree('tail /teams/$v/x', true), { v: value })).toThrow(PipelineBindError);
    expect(() => bindPipeline(tree('tail /teams/a-$v/x', true), { v: value })).toThrow(PipelineBindError);
  });

  it('refuses a pair of harmless values that together climb', () => {
    expect(() => bindPipeline(tree('tail /teams/$a$b/x', true), { a: '.', b: '.' })).toThrow(
      PipelineBindError,
    );
    expect(() => bindPipeline(tree('tail /teams/.$a/x', true), { a: '.' })).toThrow(PipelineBindError);
  });

  it('refuses a variable without a value, inherited ones too', () => {
    expect(() => bindPipeline(tree('tail /teams/$v', true), {})).toThrow('no value');
    expect(() => bindPipeline(tree('tail /teams/$constructor', true), {})).toThrow('no value');
  });

  it.each([
    [String.raw`grep "\\$v" /x`],
    ['grep "[$v]" /x'],
    ['grep "[^]$v]" /x'],
    ['grep "a{$v}" /x'],
    ['grep "(?$v:a)" /x'],
    [String.raw`grep "\\Qa$v" /x`],
    [String.raw`grep "\\x1$v" /x`],
  ])('refuses the template %s, in which a value could become pattern syntax', (text) => {
    expect(failure(text, true).hint).not.toBe('');
  });

  it('makes any value match exactly itself', () => {
    const template = tree('grep "^<${v}>$" /x', true);
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 20 }), (value) => {
        let bound: Pipeline;
        try {
          bound = bindPipeline(template, { v: value });
        } catch (error) {
          expect(error).toBeInstanceOf(PipelineBindError);
          return;
        }
        const source = bound.source as Extract<Pipeline['source'], { cmd: 'grep' }>;
        const re = RE2JS.compile((source.pattern[0] as { text: string }).text);
        expect(re.matcher(`<${value}>`).find()).toBe(true);
        expect(re.matcher(`<${value}x>`).find()).toBe(false);
        expect(tree(printPipeline(bound))).toEqual(bound);
      }),
    );
  });

  it('repeats the whole value when a repeat follows it', () => {
    const bound = bindPipeline(tree('grep "^${v}+$" /x', true), { v: 'ab' });
    expect(printPipeline(bound)).toBe("grep '^(?:ab)+$' /x");
  });

  it('refuses wildcards in a find name', () => {
    expect(() => bindPipeline(tree('find /x -name "$v*"', true), { v: '*' })).toThrow(PipelineBindError);
  });
});

describe('parsePath', () => {
  it('reads the root, a trailing slash and parameters', () => {
    for (const [text, expected] of [
      ['/', '/'],
      ['/teams/', '/teams'],
      ['/a/b?z=1&a=2', '/a/b?a=2&z=1'],
    ] as const) {
      const parsed = parsePath(text, { allow_vars: false });
      expect(parsed.ok && printPath(parsed.path)).toBe(expected);
    }
  });

  it.each(['', 'a', '/a /b', '/a|b', '/../', '/a/..', '//', '"/a" x'])('refuses %j', (text) => {
    expect(parsePath(text, { allow_vars: false }).ok).toBe(false);
  });
});

describe('timeBound', () => {
  it('reads ages and UTC times only', () => {
    expect(timeBound('1d2h3m4s')).toEqual({ ago_s: 93_784 });
    expect(timeBound('2026-11-23T16:00:00.5Z')).toEqual({ at: '2026-11-23T16:00:00.500Z' });
    for (const bad of [
      '',
      '-1h',
      '1w',
      '1.5h',
      '2026-11-23',
      '2026-11-23T16:00:00+01:00',
      '2026-11-23T16:00:00',
    ])
      expect(timeBound(bad)).toBeNull();
  });
});
