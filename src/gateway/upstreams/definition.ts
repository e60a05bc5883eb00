import { z } from 'zod';
import { canonicalJson, sha256Hex } from '../../contract/canonical.ts';
import { INSTRUCTIONS_PIN, type SeenTool, type UpstreamPin } from '../../store/authority.ts';
import { hiddenIn, visible } from './plain-words.ts';

/** What a server says about a tool, what of it is pinned, and what a person should be shown before believing it. Pure. */
const ListedTool = z.object({
  name: z.string(),
  title: z.string().optional(),
  description: z.string().optional(),
  inputSchema: z.record(z.string(), z.unknown()),
  outputSchema: z.record(z.string(), z.unknown()).optional(),
  annotations: z.record(z.string(), z.unknown()).optional(),
});
export type ListedTool = z.infer<typeof ListedTool>;

export const ToolPage = z.object({
  tools: z.array(z.unknown()).max(1000),
  nextCursor: z.string().optional(),
});

const DEFINITION_BYTES_MAX = 65_536;
const INSTRUCTIONS_BYTES_MAX = 65_536;

/** The pinned parts of one listed tool; null for what is no tool or too large to be looked at. */
export function seenTool(raw: unknown): SeenTool | null {
  const parsed = ListedTool.safeParse(raw);
  if (!parsed.success) return null;
  const text = canonicalJson(parsed.data);
  if (Buffer.byteLength(text) > DEFINITION_BYTES_MAX) return null;
  return { tool: parsed.data.name, hash: sha256Hex(text), definition: parsed.data };
}

/** A server's instructions are pinned like a tool: whoever reads them is talked to by them. */
export function seenInstructions(instructions: string | null): SeenTool {
  const definition = { instructions: (instructions ?? '').slice(0, INSTRUCTIONS_BYTES_MAX) };
  return { tool: INSTRUCTIONS_PIN, hash: sha256Hex(canonicalJson(definition)), definition };
}

export type PinState =
  /** Approved, and listed exactly so. */
  | 'approved'
  /** Listed, and no person has looked at it. */
  | 'new'
  /** Listed differently from what was approved. */
  | 'changed'
  /** No longer listed. */
  | 'gone'
  /** The server was never asked. */
  | 'unseen';

export function pinState(pin: UpstreamPin | null): PinState {
  if (pin === null) return 'unseen';
  if (pin.seen === null) return 'gone';
  if (pin.approved === null) return 'new';
  return pin.approved.hash === pin.seen.hash ? 'approved' : 'changed';
}

export interface Finding {
  readonly kind: 'raises-risk' | 'hidden-text' | 'mentions-others' | 'shadows';
  readonly text: string;
}

export interface Neighbours {
  /** Tools of other servers and our own: `k8s.get`, `files/read_file`. */
  readonly tools: readonly string[];
  /** Names of other servers. */
  readonly servers: readonly string[];
}

/** What in a definition a person must not overlook. Annotations can only count against a tool, never for it. */
export function findingsIn({ tool, definition }: Omit<SeenTool, 'hash'>, others: Neighbours): Finding[] {
  const findings: Finding[] = [];
  const annotations = (definition['annotations'] ?? {}) as Readonly<Record<string, unknown>>;
  if (annotations['destructiveHint'] === true)
    findings.push({
      kind: 'raises-risk',
      text: 'its server says that it may destroy (destructiveHint: true)',
    });
  if (annotations['readOnlyHint'] === false)
    findings.push({
      kind: 'raises-risk',
      text: 'its server says that it changes things (readOnlyHint: false)',
    });
  const text = canonicalJson(definition);
  const hidden = hiddenIn(text);
  if (hidden.length > 0)
    findings.push({
      kind: 'hidden-text',
      text: `it holds characters that nobody sees: ${hidden.slice(0, 10).join(', ')}`,
    });
  // Its own name is no mention; a name at the end of a sentence is one.
  const { name: _own, ...rest } = definition;
  const words = new Set(
    canonicalJson(rest)
      .toLowerCase()
      .match(/[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?/g) ?? [],
  );
  const named = [...others.servers, ...others.tools].filter((name) => words.has(name.toLowerCase()));
  if (named.length > 0)
    findings.push({
      kind: 'mentions-others',
      text: `it speaks of other servers or tools: ${named.slice(0, 10).join(', ')}`,
    });
  const shadowed = others.tools.filter((other) => flat(other) === flat(tool));
  if (shadowed.length > 0)
    findings.push({ kind: 'shadows', text: `its name reads like ${shadowed.slice(0, 10).join(', ')}` });
  return findings;
}

/** `files/read_file`, `Read-File` and `k8s.get` without what the eye skips. */
function flat(name: string): string {
  return name
    .slice(name.lastIndexOf('/') + 1)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '');
}

const SHOWN_LINES_MAX = 400;

/** What changed, line by line, with hidden characters made visible; `-` approved, `+` as listed now. */
export function definitionDiff(pin: UpstreamPin): string[] {
  const before = pin.approved === null ? [] : linesOf(pin.approved.definition);
  const after = pin.seen === null ? [] : linesOf(pin.seen.definition);
  const known = new Set(before);
  const kept = new Set(after.filter((line) => known.has(line)));
  const lines = [
    ...before.filter((line) => !kept.has(line)).map((line) => `- ${line}`),
    ...after.map((line) => `${kept.has(line) ? ' ' : '+'} ${line}`),
  ];
  return lines.length <= SHOWN_LINES_MAX
    ? lines
    : [
        ...lines.slice(0, SHOWN_LINES_MAX),
        `  ... and ${lines.length - SHOWN_LINES_MAX} more lines (--json shows all)`,
      ];
}

/** One line per value by its place, so that a line says where it belongs: `inputSchema.properties.path.type: "string"`. */
function linesOf(value: unknown, place = ''): string[] {
  if (typeof value === 'object' && value !== null && Object.keys(value).length > 0)
    return Object.entries(value).flatMap(([key, child]) =>
      linesOf(child, `${place}${place === '' ? '' : '.'}${visible(key)}`),
    );
  return [`${place}: ${visible(JSON.stringify(value))}`];
}
