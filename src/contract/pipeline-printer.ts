import type { FilterStage, PathExpr, Pipeline, SourceStage, TimeBound, Window, Word } from './pipeline.ts';
import { controlCharacter } from './pipeline-lexer.ts';
import { paramProblem, segmentProblem } from './pipeline-path.ts';
import { escapePatternValue, patternProblem } from './pipeline-pattern.ts';

/**
 * Tree -> the one canonical spelling, and values -> tree. A bound value is always data: it is escaped in patterns and
 * refused in a path when it is not one plain name, so it never becomes syntax, a separator or another segment.
 */
export class PipelineBindError extends Error {
  override readonly name = 'PipelineBindError';
  readonly variable: string;
  constructor(variable: string, reason: string) {
    super(`bind $${variable}: ${reason}`);
    this.variable = variable;
  }
}

const VALUE_CHARS_MAX = 500;

/**
 * Puts values into a template's tree.
 * @throws PipelineBindError when a variable has no value or its value cannot stand where the template puts it.
 */
export function bindPipeline(pipeline: Pipeline, vars: Readonly<Record<string, string>>): Pipeline {
  return {
    source: bindSource(pipeline.source, vars),
    filters: pipeline.filters.map((stage) => bindFilter(stage, vars)),
  };
}

/** Names of the variables in a template, each once, in order of appearance. */
export function pipelineVariables(pipeline: Pipeline): string[] {
  const names = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const word = value as { w?: unknown; name?: unknown };
    if (word.w === 'var' && typeof word.name === 'string') names.add(word.name);
    else for (const child of Object.values(value)) visit(child);
  };
  visit(pipeline);
  return [...names];
}

/** The canonical text: `parsePipeline(printPipeline(p))` gives `p` again. */
export function printPipeline(pipeline: Pipeline): string {
  return [printSource(pipeline.source), ...pipeline.filters.map(printFilter)].join(' | ');
}

/** The canonical text of a path with its parameters. */
export function printPath(path: PathExpr): string {
  const bare = (words: readonly Word[]) =>
    words.map((word) => (word.w === 'text' ? word.text : `\${${word.name}}`)).join('');
  const params = path.params.map((param) => `${param.name}=${bare(param.value)}`).join('&');
  return `/${path.segments.map(bare).join('/')}${params === '' ? '' : `?${params}`}`;
}

// ---------------------------------------------------------------- bind

type Vars = Readonly<Record<string, string>>;
type Escape = (value: string, next: Word | undefined) => string;

function bindSource(source: SourceStage, vars: Vars): SourceStage {
  if (source.cmd === 'diff')
    return { ...source, left: bindPath(source.left, vars), right: bindPath(source.right, vars) };
  const path = bindPath(source.path, vars);
  if (source.cmd === 'grep') return { ...source, path, pattern: bindPattern(source, vars) };
  if (source.cmd === 'find' && source.name !== undefined)
    return { ...source, path, name: bindWords(source.name, vars, noGlob) };
  return { ...source, path };
}

function bindFilter(stage: FilterStage, vars: Vars): FilterStage {
  return stage.cmd === 'grep' ? { ...stage, pattern: bindPattern(stage, vars) } : stage;
}

function bindPattern(grep: { pattern: Word[]; fixed: boolean }, vars: Vars): Word[] {
  const bound = bindWords(grep.pattern, vars, grep.fixed ? (value) => value : escapePatternValue);
  const reason = patternProblem(bound, grep.fixed);
  if (reason !== null) throw new PipelineBindError(namesOf(grep.pattern), reason);
  return bound;
}

function bindPath(path: PathExpr, vars: Vars): PathExpr {
  const checked = (words: Word[], problem_of: (words: readonly Word[]) => string | null): Word[] => {
    const bound = bindWords(words, vars, plainName);
    const reason = problem_of(bound);
    if (reason !== null) throw new PipelineBindError(namesOf(words), reason);
    return bound;
  };
  return {
    segments: path.segments.map((words) => checked(words, segmentProblem)),
    params: path.params.map((param) => ({ name: param.name, value: checked(param.value, paramProblem) })),
  };
}

function bindWords(words: readonly Word[], vars: Vars, escape: Escape): Word[] {
  const merged: Word[] = [];
  for (const [index, word] of words.entries()) {
    const text =
      word.w === 'text'
        ? word.text
        : escapeValue(word.name, vars, (value) => escape(value, words[index + 1]));
    const last = merged.at(-1);
    if (last?.w === 'text') merged[merged.length - 1] = { w: 'text', text: last.text + text };
    else merged.push({ w: 'text', text });
  }
  return merged;
}

function escapeValue(name: string, vars: Vars, escape: (value: string) => string): string {
  const value = Object.hasOwn(vars, name) ? vars[name] : undefined;
  if (typeof value !== 'string') throw new PipelineBindError(name, 'it has no value');
  if (value === '' || value.length > VALUE_CHARS_MAX)
    throw new PipelineBindError(
      name,
      `its value has ${value.length} characters; allowed are 1 to ${VALUE_CHARS_MAX}`,
    );
  if (controlCharacter(value) >= 0 || value.includes('\t'))
    throw new PipelineBindError(name, 'its value holds a control character');
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value))
    throw new PipelineBindError(name, 'its value is not valid Unicode');
  try {
    return escape(value);
  } catch (error) {
    throw new PipelineBindError(name, (error as Error).message);
  }
}

function plainName(value: string): string {
  if (/[/?&=]/.test(value) || value === '.' || value.includes('..'))
    throw new Error('its value is not one plain path name');
  return value;
}

function noGlob(value: string): string {
  if (/[*?[\]/]/.test(value)) throw new Error('its value holds a wildcard');
  return value;
}

function namesOf(words: readonly Word[]): string {
  return words.flatMap((word) => (word.w === 'var' ? [word.name] : [])).join(', $');
}

// ---------------------------------------------------------------- print

function printSource(source: SourceStage): string {
  if (source.cmd === 'diff')
    return join('diff', printPath(source.left), printPath(source.right), printWindow(source.window));
  const path = printPath(source.path);
  if (source.cmd === 'find')
    return join('find', path, source.name === undefined ? '' : `-name ${quote(source.name)}`);
  const window = printWindow(source.window);
  if (source.cmd === 'grep') return join('grep', grepFlags(source), quote(source.pattern), path, window);
  if (source.cmd === 'read')
    return join('read', path, source.lines === undefined ? '' : `--lines ${source.lines}`, window);
  return join(source.cmd, `-n ${source.n}`, path, window);
}

function printFilter(stage: FilterStage): string {
  return stage.cmd === 'grep'
    ? join('grep', grepFlags(stage), quote(stage.pattern))
    : `${stage.cmd} -n ${stage.n}`;
}

function grepFlags(grep: Omit<Extract<FilterStage, { cmd: 'grep' }>, 'cmd' | 'pattern'>): string {
  return join(
    grep.ignore_case ? '-i' : '',
    grep.invert ? '-v' : '',
    grep.fixed ? '-F' : '',
    grep.count ? '-c' : '',
    grep.after > 0 ? `-A ${grep.after}` : '',
    grep.before > 0 ? `-B ${grep.before}` : '',
  );
}

function printWindow(window: Window): string {
  return join(
    window.since === undefined ? '' : `--since ${printBound(window.since)}`,
    window.until === undefined ? '' : `--until ${printBound(window.until)}`,
  );
}

function printBound(bound: TimeBound): string {
  if ('at' in bound) return bound.at;
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
  ] as const)
    if (bound.ago_s > 0 && bound.ago_s % seconds === 0) return `${bound.ago_s / seconds}${unit}`;
  return `${bound.ago_s}s`;
}

function quote(words: readonly Word[]): string {
  const plain = words.every((word) => word.w === 'text' && !/["\\$]/.test(word.text));
  const [only] = words;
  if (plain) return `"${words.map((word) => (word.w === 'text' ? word.text : '')).join('')}"`;
  if (words.length === 1 && only?.w === 'text' && !only.text.includes("'")) return `'${only.text}'`;
  return `"${words.map((word) => (word.w === 'text' ? word.text.replaceAll(/["\\$]/g, String.raw`\$&`) : `\${${word.name}}`)).join('')}"`;
}

function join(...pieces: string[]): string {
  return pieces.filter((piece) => piece !== '').join(' ');
}
