/** Runs the stages of a pipeline over one entry. */
import type { Labels } from '../prometheus/label-set.ts';
import type { Comparison, LabelTest, Stage } from './logql-ast.ts';
import { jsonLabels, jsonPathLabels, logfmtLabels } from './line-parsers.ts';
import { byteCount, durationNs } from './units.ts';

export const ERROR_LABEL = '__error__';

export interface Processed {
  readonly line: string;
  readonly labels: Labels;
}

/** The entry after all stages, or undefined when one of them dropped it. `stream` are the entry's own labels. */
export function runPipeline(stages: readonly Stage[], stream: Labels, line: string): Processed | undefined {
  let entry: Processed = { line, labels: stream };
  for (const stage of stages) {
    const next = runStage(stage, stream, entry);
    if (next === undefined) return undefined;
    entry = next;
  }
  return entry;
}

function runStage(stage: Stage, stream: Labels, entry: Processed): Processed | undefined {
  switch (stage.kind) {
    case 'line':
      return stage.accepts(entry.line) ? entry : undefined;
    case 'json':
    case 'json-paths': {
      const found = stage.kind === 'json' ? jsonLabels(entry.line) : jsonPathLabels(entry.line, stage.paths);
      if (found !== undefined) return withExtracted(stream, entry, found);
      const details = "Value looks like object, but can't find closing '}' symbol";
      return {
        ...entry,
        labels: { ...entry.labels, [ERROR_LABEL]: 'JSONParserErr', __error_details__: details },
      };
    }
    case 'logfmt':
      return withExtracted(stream, entry, logfmtLabels(entry.line));
    case 'labels':
      return filterLabels(stage.test, entry);
    case 'format':
      break;
  }
  const pieces = stage.parts.map((part) => ('text' in part ? part.text : (entry.labels[part.label] ?? '')));
  return { ...entry, line: pieces.join('') };
}

/** A label that the stream already has is kept; the extracted one gets the suffix `_extracted`. */
function withExtracted(stream: Labels, entry: Processed, found: ReadonlyMap<string, string>): Processed {
  const extracted = [...found].map(
    ([name, value]) => [stream[name] === undefined ? name : `${name}_extracted`, value] as const,
  );
  return {
    ...entry,
    labels: { ...entry.labels, ...Object.fromEntries(extracted.filter(([, value]) => value !== '')) },
  };
}

function filterLabels(test: LabelTest, entry: Processed): Processed | undefined {
  const errors: string[] = [];
  if (!passes(test, entry.labels, errors)) return undefined;
  if (errors.length === 0 || entry.labels[ERROR_LABEL] !== undefined) return entry;
  return {
    ...entry,
    labels: { ...entry.labels, [ERROR_LABEL]: 'LabelFilterErr', __error_details__: errors.join('; ') },
  };
}

/** A value that is no number does not drop the line: Loki keeps it and marks it with an error. */
function passes(test: LabelTest, labels: Labels, errors: string[]): boolean {
  switch (test.kind) {
    case 'text':
      return test.matcher.accepts(labels[test.matcher.name] ?? '');
    case 'and':
      return passes(test.left, labels, errors) && passes(test.right, labels, errors);
    case 'or':
      return passes(test.left, labels, errors) || passes(test.right, labels, errors);
    case 'number':
    case 'duration':
    case 'bytes':
      break;
  }
  const text = labels[test.label];
  if (text === undefined || text === '') return false;
  const value = readValue(test.kind, text);
  if (value === undefined) errors.push(`cannot read ${JSON.stringify(text)} as ${test.kind}`);
  return value === undefined || compare(test.op, value, test.value);
}

function readValue(kind: 'number' | 'duration' | 'bytes', text: string): number | undefined {
  if (kind === 'duration') return durationNs(text);
  if (kind === 'bytes') return byteCount(text);
  return text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

function compare(op: Comparison, left: number, right: number): boolean {
  switch (op) {
    case '=':
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
    case '<':
      return left < right;
    case '<=':
      break;
  }
  return left <= right;
}
