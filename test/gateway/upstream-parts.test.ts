import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTarget, TargetUri } from '../../src/contract/tool.ts';
import { toolNames } from '../../src/gateway/endpoint/tool-names.ts';
import { argumentSchema, withoutPatterns } from '../../src/gateway/upstreams/argument-schema.ts';
import { findingsIn, pinState, seenTool } from '../../src/gateway/upstreams/definition.ts';
import { lineReader } from '../../src/gateway/upstreams/line-reader.ts';
import { quarantine } from '../../src/gateway/upstreams/offered-tool.ts';
import { registryNames, upstreamTarget } from '../../src/gateway/upstreams/registry-names.ts';
import { decisionOf, type ReviewedTool } from '../../src/gateway/upstreams/review.ts';
import { toolAnswer } from '../../src/gateway/upstreams/tool-answer.ts';
import type { UpstreamPin } from '../../src/store/authority.ts';

// The pure parts of external MCP servers: names, pins, schemas, lines.

const serverName = fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?$/);
const toolName = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/);

describe('names of external tools', () => {
  it('are always prefixed, never two of one name, read back exactly, and short outside', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ server: serverName, tool: toolName }), {
          selector: ({ server, tool }) => `${server}/${tool}`,
          maxLength: 30,
        }),
        (ids) => {
          const names = registryNames(ids);
          expect(names.size).toBe(ids.length);
          expect([...names.values()]).toEqual(ids);
          const { outside, inside } = toolNames([...names.keys()]);
          for (const [name, id] of names) {
            expect(name.startsWith('mcp.')).toBe(true);
            const short = outside.get(name) ?? '';
            expect(short.length).toBeLessThanOrEqual(60);
            expect(inside.get(short)).toBe(name);
            const target = upstreamTarget(id);
            expect(TargetUri.safeParse(target).success).toBe(true);
            expect(parseTarget(target)).toMatchObject({ system: 'mcp', cluster: id.server, name: id.tool });
          }
        },
      ),
    );
  });

  it('that read alike are told apart, and the one that needed no change keeps its name', () => {
    const names = registryNames([
      { server: 'a', tool: 'get_env' },
      { server: 'a', tool: 'get-env' },
    ]);
    expect([...names.keys()]).toEqual([
      'mcp.a.get_env',
      expect.stringMatching(/^mcp\.a\.get_env_[0-9a-f]{8}$/),
    ]);
  });
});

describe('pins', () => {
  const tool = { name: 'look', description: 'Looks.', inputSchema: { type: 'object', properties: {} } };

  it('do not depend on the order of keys or on what is no part of a definition', () => {
    const reordered = {
      inputSchema: { properties: {}, type: 'object' },
      description: 'Looks.',
      name: 'look',
    };
    expect(seenTool(reordered)?.hash).toBe(seenTool(tool)?.hash);
    expect(seenTool({ ...tool, _meta: { x: 1 }, icons: [] })?.hash).toBe(seenTool(tool)?.hash);
  });

  it.each([
    ['description', { description: 'Looks closely.' }],
    ['title', { title: 'Look' }],
    ['annotations', { annotations: { readOnlyHint: true } }],
    ['outputSchema', { outputSchema: { type: 'object' } }],
    ['a schema’s depth', { inputSchema: { type: 'object', properties: { at: { type: 'string' } } } }],
  ])('change with %s', (_what, change) => {
    expect(seenTool({ ...tool, ...change })?.hash).not.toBe(seenTool(tool)?.hash);
  });

  it('hold nothing that is no tool or too large to be read', () => {
    expect(seenTool({ name: 'look' })).toBeNull();
    expect(seenTool({ ...tool, description: 'x'.repeat(70_000) })).toBeNull();
  });

  const pin = (approved: string | null, seen: string | null): UpstreamPin => ({
    server: 's',
    tool: 't',
    approved: approved === null ? null : { hash: approved, definition: {}, by: 'cli:somebody', at_ms: 1 },
    seen: seen === null ? null : { hash: seen, definition: {} },
    seen_at_ms: 1,
  });

  it('let a tool be used in one state only', () => {
    const good = pin('a', 'a');
    expect(quarantine({ server: 's', tool: 't' }, good, good)).toBeNull();
    for (const [one, instructions] of [
      [null, good],
      [pin(null, 'a'), good],
      [pin('a', 'b'), good],
      [pin('a', null), good],
      [good, null],
      [good, pin(null, 'a')],
      [good, pin('a', 'b')],
    ] as const)
      expect(quarantine({ server: 's', tool: 't' }, one, instructions)?.allow).toBe(false);
    expect([pin(null, 'a'), pin('a', 'b'), pin('a', null), null].map(pinState)).toEqual([
      'new',
      'changed',
      'gone',
      'unseen',
    ]);
  });

  it('are decided as shown: the mark changes with anything that it covers', () => {
    const one = (hash: string, kind?: 'raises-risk'): ReviewedTool => ({
      tool: `t${hash}`,
      declared: 'read',
      state: 'new',
      findings: kind === undefined ? [] : [{ kind, text: '' }],
      diff: [],
      hash,
    });
    const both = decisionOf([one('a'), one('b')], undefined);
    expect(both?.approvals).toHaveLength(2);
    expect(decisionOf([one('a'), one('c')], undefined)?.mark).not.toBe(both?.mark);
    expect(decisionOf([one('a'), one('b', 'raises-risk')], undefined)).toMatchObject({
      approvals: [{ tool: 'ta' }],
      by_name_only: ['tb'],
    });
    expect(decisionOf([{ ...one('a'), state: 'approved' }], undefined)).toBeNull();
  });

  it('speak of others only when they do', () => {
    const others = { tools: ['k8s.get', 'tickets/search'], servers: ['tickets'] };
    const kinds = (definition: object, name = 'look'): string[] =>
      findingsIn({ tool: name, definition: { name, ...definition } }, others).map(({ kind }) => kind);
    expect(kinds({ description: 'Looks at one thing.' })).toEqual([]);
    expect(kinds({ description: 'Call k8s.get first.' })).toEqual(['mentions-others']);
    expect(kinds({ description: 'Ask tickets.' })).toEqual(['mentions-others']);
    expect(kinds({}, 'Search')).toEqual(['shadows']);
    expect(kinds({ annotations: { readOnlyHint: true, destructiveHint: false } })).toEqual([]);
    expect(kinds({ annotations: { readOnlyHint: false } })).toEqual(['raises-risk']);
    expect(kinds({ description: 'safe\u{e0041}\u202e' })).toEqual(['hidden-text']);
  });
});

describe('argument schemas of strangers', () => {
  it('are checked without their patterns, which could hang whoever runs them', async () => {
    const schema = {
      $id: 'https://example.com/theirs',
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: { pattern: { type: 'string', pattern: '^(a+)+$' }, count: { type: 'integer', minimum: 1 } },
      required: ['pattern'],
      additionalProperties: false,
    };
    expect(withoutPatterns(schema)).toEqual({
      type: 'object',
      properties: { pattern: { type: 'string' }, count: { type: 'integer', minimum: 1 } },
      required: ['pattern'],
      additionalProperties: false,
    });
    const input = await argumentSchema(schema);
    expect(input.safeParse({ pattern: `${'a'.repeat(40)}!` }).success).toBe(true);
    expect(input.safeParse({ pattern: 'a', count: 0 }).success).toBe(false);
    expect(input.safeParse({ count: 1 }).success).toBe(false);
    expect(input.safeParse({ pattern: 'a', other: 1 }).success).toBe(false);
  });

  it('of one name on two servers stay apart', async () => {
    const of = (type: string) => ({ $id: 'same', type: 'object', properties: { x: { type } } });
    const [text, number] = [await argumentSchema(of('string')), await argumentSchema(of('number'))];
    expect([text.safeParse({ x: 'a' }).success, number.safeParse({ x: 'a' }).success]).toEqual([true, false]);
  });

  it('that cannot be compiled are an error, not a schema that lets everything through', async () => {
    await expect(
      argumentSchema({ type: 'object', properties: { x: { $ref: 'https://example.com/x' } } }),
    ).rejects.toThrow();
    await expect(argumentSchema({ type: 'no-such-type' })).rejects.toThrow();
  });
});

describe('lines of a server', () => {
  it('are the same however the bytes were cut', () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'ü', '😀', '"'), maxLength: 20 });
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 10 }),
        fc.array(fc.nat(40), { maxLength: 20 }),
        (lines, cuts) => {
          const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
          const reader = lineReader(1000);
          const read: string[] = [];
          let from = 0;
          for (const cut of [...cuts, bytes.length]) {
            const { lines: done, too_long } = reader.take(bytes.subarray(from, from + cut));
            expect(too_long).toBe(false);
            read.push(...done);
            from += cut;
          }
          expect(read).toEqual(lines);
        },
      ),
    );
  });

  it('that are longer than the limit are reported before they are held', () => {
    const reader = lineReader(10);
    expect(reader.take(Buffer.from('12345')).too_long).toBe(false);
    expect(reader.take(Buffer.from('678901')).too_long).toBe(true);
    expect(lineReader(3).take(Buffer.from('ab\nabcd\n'))).toEqual({ lines: ['ab'], too_long: true });
  });
});

describe('answers of external tools', () => {
  it('that are no tool result are malformed, never empty', () => {
    const answer = (result: Record<string, unknown>) => toolAnswer('t', {}, { ok: true, result });
    expect(answer({ content: 'text' })).toMatchObject({ ok: false, error: { problem: 'malformed' } });
    expect(answer({ content: [{ text: 'no type' }] })).toMatchObject({ ok: false });
    expect(answer({ content: [{ type: 'text', text: 'x', _meta: { secret: 1 } }] })).toMatchObject({
      ok: true,
      structured: { result: { content: [{ type: 'text', text: 'x' }] } },
    });
  });
});
