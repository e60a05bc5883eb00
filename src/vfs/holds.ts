import { sha256Hex } from '../contract/canonical.ts';
import { EvidencePointer, lineRange, type EvidenceRecord, type HoldsResult } from '../contract/evidence.ts';
import type { Pipeline } from '../contract/pipeline.ts';
import { parsePipeline } from '../contract/pipeline-parser.ts';
import { isoTime, type Clock } from '../contract/ports.ts';
import { isRefusal, type Refusal } from '../contract/verdict.ts';
import type { Store } from '../store/store.ts';
import { isPerLine } from './grep.ts';
import { linesOf } from './line-text.ts';
import type { RunResult } from './run.ts';
import type { VfsSession } from './session.ts';
import { yamlPaths } from './yaml-text.ts';

/**
 * Is this evidence still true? Intact: the pointer equals a stored record of this incident in every field and the sealed
 * file hashes the same. Current: the source is read again and compared by the kind of file.
 */
export interface HoldsDeps {
  readonly store: Pick<Store, 'evidence'>;
  readonly clock: Clock;
  /** Runs a pinned pipeline again with the session's rights; nothing is captured. */
  readonly rerun: (pipeline: Pipeline) => Promise<RunResult | Refusal>;
}

type Status = HoldsResult['status'];
type Changed = HoldsResult['changed'];
const CHANGED_MAX = 50;

export async function holdsEvidence(
  deps: HoldsDeps,
  given: EvidencePointer,
  session: VfsSession,
): Promise<HoldsResult> {
  const checked_at = isoTime(deps.clock.now());
  const answer = (
    status: Status,
    detail: string,
    changed: Changed = [],
    now_sha256: string | null = null,
  ): HoldsResult => ({
    status,
    detail: detail.slice(0, 1000),
    changed: changed.slice(0, CHANGED_MAX),
    now_sha256,
    checked_at,
  });
  const record = await ownRecord(deps, given, session);
  if (record === null)
    return answer('unknown_pointer', 'No evidence of this incident has exactly this pointer.');
  const opened = await deps.store.evidence.open(record.evidence_id);
  if ('problem' in opened) {
    if (opened.problem === 'expired')
      return answer('expired', `The captured file of ${record.evidence_id} has expired.`);
    return answer(
      'tampered',
      `The captured file of ${record.evidence_id} is ${opened.problem === 'missing' ? 'missing from the store' : 'damaged'}.`,
    );
  }
  if (sha256Hex(opened.text) !== record.sha256)
    return answer('tampered', `The captured file of ${record.evidence_id} does not have its hash any more.`);
  if (Date.parse(record.expires_at) <= deps.clock.now())
    return answer('expired', `The evidence ${record.evidence_id} has expired.`);
  const was = linesOf(opened.text);
  const pinned = parsePipeline(record.query, { allow_vars: false });
  if (!pinned.ok)
    return answer('unreachable', `The query of ${record.evidence_id} is not understood any more.`);
  const now = await deps.rerun(fromFirstCited(pinned.pipeline, was, given.lines));
  if (isRefusal(now)) {
    if (now.code === 'no-such-path') return answer('gone', `${record.path} does not exist any more.`);
    return answer('unreachable', `${record.path} could not be read again: ${now.reason}`);
  }
  const now_sha256 = sha256Hex(now.lines.join('\n'));
  const changed = compare(record, pinned.pipeline, was, now.lines, given.lines);
  if (changed.length === 0)
    return answer('holds', `Read again: the cited lines of ${record.path} are unchanged.`, [], now_sha256);
  return answer(
    'changed',
    `${changed.length} of the cited lines of ${record.path} changed since ${record.captured_at}.`,
    changed,
    now_sha256,
  );
}

/** The record that the pointer names, when it equals it in every field and its lines exist. */
async function ownRecord(
  deps: HoldsDeps,
  given: EvidencePointer,
  session: VfsSession,
): Promise<EvidenceRecord | null> {
  const parsed = EvidencePointer.safeParse(given);
  if (!parsed.success || session.incident_id === null) return null;
  const pointer = parsed.data;
  const record = await deps.store.evidence.record(pointer.evidence_id);
  if (record === null || record.incident_id !== session.incident_id) return null;
  const { first, last } = lineRange(pointer.lines);
  const same =
    record.team === session.team &&
    record.env === session.env &&
    record.path === pointer.path &&
    record.query === pointer.query &&
    record.sha256 === pointer.sha256 &&
    record.captured_at === pointer.captured_at;
  return same && first <= last && last <= Math.max(record.line_count, 1) ? record : null;
}

/**
 * A stream is read again from the first cited line on, where that cannot hide a cited line: sources that keep only so
 * many bytes from a start would otherwise end before it.
 */
function fromFirstCited(pipeline: Pipeline, was: readonly string[], lines: string): Pipeline {
  const { source, filters } = pipeline;
  if (source.cmd === 'find' || source.cmd === 'diff' || source.window.since === undefined) return pipeline;
  const stages = source.cmd === 'grep' ? [source, ...filters] : filters;
  const shifts = source.cmd === 'read' && source.lines !== undefined;
  if (shifts || stages.some((stage) => stage.cmd === 'grep' && !isPerLine(stage))) return pipeline;
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.exec(citedLines(was, lines)[0]?.text ?? '');
  const first_ms = time === null ? Number.NaN : Date.parse(`${time[0]}Z`);
  const since_ms = 'at' in source.window.since ? Date.parse(source.window.since.at) : Number.NaN;
  if (!(first_ms > since_ms)) return pipeline;
  return { source: { ...source, window: { ...source.window, since: { at: isoTime(first_ms) } } }, filters };
}

function compare(
  record: EvidenceRecord,
  pipeline: Pipeline,
  was: readonly string[],
  now: readonly string[],
  lines: string,
): Changed {
  const cited = citedLines(was, lines);
  if (record.kind === 'document') {
    if (was.length === now.length && was.every((line, index) => line === now[index])) return [];
    return differing(
      cited.length > 0 ? cited : [{ line: 1, text: '' }],
      (line) => now[line - 1] ?? null,
      true,
    );
  }
  // An empty capture says that there was nothing; anything now contradicts it.
  if (was.length === 0) return now.length === 0 ? [] : [{ line: 1, was: '', now: now[0] ?? null }];
  const fields = record.kind === 'state' && isWholeRead(pipeline) ? fieldsBeside(was, now) : null;
  return fields === null ? missingInOrder(cited, now) : differing(cited, fields, false);
}

interface Cited {
  readonly line: number;
  readonly text: string;
}

function citedLines(was: readonly string[], lines: string): Cited[] {
  const { first, last } = lineRange(lines);
  return was.slice(first - 1, last).map((text, index) => ({ line: first + index, text }));
}

/** Cited lines whose text is not what `nowAt` gives; for documents any change counts, even beside the cited lines. */
function differing(
  cited: readonly Cited[],
  nowAt: (line: number) => string | null,
  always: boolean,
): Changed {
  const changed = cited.flatMap(({ line, text }) => {
    const now = nowAt(line);
    return now === text ? [] : [{ line, was: text, now }];
  });
  const [first] = cited;
  return changed.length === 0 && always && first !== undefined
    ? [{ line: first.line, was: first.text, now: nowAt(first.line) }]
    : changed;
}

/** For state files read whole: the line that shows the same field now. Null when the text is not YAML. */
function fieldsBeside(
  was: readonly string[],
  now: readonly string[],
): ((line: number) => string | null) | null {
  const [was_paths, now_paths] = [yamlPaths(was), yamlPaths(now)];
  if (was_paths === null || now_paths === null) return null;
  const by_path = new Map(now_paths.map((path, index) => [path, now[index] as string]));
  return (line) => {
    const path = was_paths[line - 1] ?? null;
    return path === null ? null : (by_path.get(path) ?? null);
  };
}

function isWholeRead({ source, filters }: Pipeline): boolean {
  return filters.length === 0 && source.cmd === 'read' && source.lines === undefined;
}

/** Cited lines that do not occur in order any more. */
function missingInOrder(cited: readonly Cited[], now: readonly string[]): Changed {
  const changed: Changed = [];
  let from = 0;
  for (const { line, text } of cited) {
    const at = now.indexOf(text, from);
    if (at < 0) changed.push({ line, was: text, now: null });
    else from = at + 1;
  }
  return changed;
}
