import { bindPipeline, pipelineVariables, printPipeline } from '../contract/pipeline-printer.ts';
import { parsePipeline } from '../contract/pipeline-parser.ts';
import type { Pipeline } from '../contract/pipeline.ts';
import type { Expectation } from '../contract/expectation.ts';
import { TargetUri } from '../contract/tool.ts';
import type { Vars } from './skill-vars.ts';

/**
 * Puts typed values into parsed templates: a pipeline's words, a target's segments, whole JSON values. A value is never
 * concatenated into text that is parsed afterwards, so no value can become a command, a path separator or a key.
 */
export type Bound<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

const VARIABLE = /^\$([a-z][a-z0-9_]{0,39})$/;

/** Name of the variable that a JSON string or target segment consists of; null for literal text. */
export function variableName(text: string): string | null {
  return VARIABLE.exec(text)?.[1] ?? null;
}

export function bindRead(template: string, vars: Vars): Bound<Pipeline> {
  const parsed = parsePipeline(template, { allow_vars: true });
  if (!parsed.ok) return { ok: false, reason: `the read is not well formed: ${parsed.reason}` };
  const missing = pipelineVariables(parsed.pipeline).find((name) => !vars.has(name));
  if (missing !== undefined) return unknownVariable(missing);
  const texts = Object.fromEntries([...vars].map(([name, value]) => [name, String(value)]));
  try {
    return { ok: true, value: bindPipeline(parsed.pipeline, texts) };
  } catch (error) {
    return { ok: false, reason: (error as Error).message };
  }
}

/** The canonical text of a bound read, as it stands in a plan's checks. */
export function bindReadText(template: string, vars: Vars): Bound<string> {
  const bound = bindRead(template, vars);
  return bound.ok ? { ok: true, value: printPipeline(bound.value) } : bound;
}

/** `mcp://k8s/$cluster/$namespace/sparkapplication/$job`: system and kind are literal, a variable fills one segment. */
export function bindTarget(template: string, vars: Vars): Bound<string> {
  if (!template.startsWith('mcp://')) return { ok: false, reason: 'a target starts with mcp://' };
  const segments: string[] = [];
  for (const segment of template.slice('mcp://'.length).split('/')) {
    const name = variableName(segment);
    const value = name === null ? segment : vars.get(name);
    if (value === undefined) return unknownVariable(name as string);
    // One segment stays one segment whatever the value holds; the type of the variable already excludes this.
    if (String(value).includes('/'))
      return { ok: false, reason: `$${name} does not fit into one segment of a target` };
    segments.push(String(value));
  }
  const target = `mcp://${segments.join('/')}`;
  return TargetUri.safeParse(target).success
    ? { ok: true, value: target }
    : { ok: false, reason: 'the target is not well formed' };
}

/** Replaces every JSON string that is exactly `$name` by the typed value; keys and other strings stay as they are. */
export function bindJson(template: unknown, vars: Vars): Bound<unknown> {
  if (typeof template === 'string') {
    const name = variableName(template);
    if (name === null) return { ok: true, value: template };
    const value = vars.get(name);
    return value === undefined ? unknownVariable(name) : { ok: true, value };
  }
  if (typeof template !== 'object' || template === null) return { ok: true, value: template };
  const entries: [string, unknown][] = [];
  for (const [key, child] of Object.entries(template)) {
    const bound = bindJson(child, vars);
    if (!bound.ok) return bound;
    entries.push([key, bound.value]);
  }
  return {
    ok: true,
    value: Array.isArray(template) ? entries.map(([, value]) => value) : Object.fromEntries(entries),
  };
}

export function bindParams(
  template: Readonly<Record<string, unknown>>,
  vars: Vars,
): Bound<Record<string, unknown>> {
  return bindJson(template, vars) as Bound<Record<string, unknown>>;
}

/** Only `value` may hold a variable: selects and patterns are the skill author's own syntax. */
export function bindExpectation(template: Expectation, vars: Vars): Bound<Expectation> {
  if (template.value === undefined) return { ok: true, value: template };
  const value = bindJson(template.value, vars);
  return value.ok
    ? { ok: true, value: { ...template, value: value.value as NonNullable<Expectation['value']> } }
    : value;
}

/** Fills `$name` in a sentence that people read and nothing parses; an unknown variable shows as `?`. */
export function fillSentence(template: string, vars: Vars, chars_max: number): string {
  const text = template.replaceAll(/\$([a-z][a-z0-9_]{0,39})/g, (_, name: string) =>
    String(vars.get(name) ?? '?'),
  );
  return text.length <= chars_max ? text : `${text.slice(0, chars_max - 1)}…`;
}

/** Every variable that a JSON template uses as a value. */
export function jsonVariables(template: unknown): string[] {
  if (typeof template === 'string') {
    const name = variableName(template);
    return name === null ? [] : [name];
  }
  return typeof template === 'object' && template !== null
    ? Object.values(template).flatMap(jsonVariables)
    : [];
}

function unknownVariable(name: string): { ok: false; reason: string } {
  return { ok: false, reason: `$${name} is unknown` };
}
