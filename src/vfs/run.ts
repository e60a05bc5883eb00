import { createTwoFilesPatch } from 'diff';
import type { EvidenceKind } from '../contract/evidence.ts';
import type { FilterStage, PathExpr, Pipeline, SourceStage, Window } from '../contract/pipeline.ts';
import { printPath, printPipeline } from '../contract/pipeline-printer.ts';
import { isRefusal, refuse, type Refusal } from '../contract/verdict.ts';
import { findPaths } from './find.ts';
import { lineTest } from './grep.ts';
import { isMissing, type FileRequest, type VfsFile } from './mount.ts';
import { applyRest, logicalPlan, type LogicalPlan } from './pushdown.ts';
import type { SourceReader } from './source-reader.ts';
import { noSuchPath, type Tree } from './tree.ts';
import { absoluteWindow, pinnedWindow, type AbsoluteWindow } from './window.ts';

/** Runs a pipeline: makes its window absolute, asks the mount for pages, filters them here, and keeps what was asked for. */
export interface RunContext {
  readonly tree: Tree;
  readonly io: SourceReader;
  readonly now_ms: number;
}

export interface RunResult {
  readonly lines: readonly string[];
  /** Path as written, with its parameters. */
  readonly path: string;
  /** The canonical pipeline with an absolute window. */
  readonly query: string;
  readonly mount: string;
  readonly kind: EvidenceKind;
  readonly attacker_writable: boolean;
}

/** Limits of one read, before any budget. */
const KEPT_BYTES_MAX = 8_000_000;
const SCANNED_LINES_MAX = 1_000_000;

export async function runPipeline(pipeline: Pipeline, context: RunContext): Promise<RunResult | Refusal> {
  const { source, filters } = pipeline;
  if (source.cmd === 'find') return runFind(source, filters, context);
  if (source.cmd === 'diff') return runDiff(source, filters, context);
  const opened = openFile(source.path, source.window, context);
  if (isRefusal(opened)) return opened;
  const plan = logicalPlan(source, filters);
  const kept = await collect(opened, plan, context);
  if (isRefusal(kept)) return kept;
  const pinned: Pipeline = {
    source: { ...source, path: opened.pinned_path, window: opened.pinned },
    filters,
  };
  return {
    lines: applyRest(kept, plan.rest),
    path: printPath(source.path),
    query: printPipeline(pinned),
    ...traits(opened.file),
  };
}

export interface OpenedFile {
  readonly file: VfsFile;
  readonly path: PathExpr;
  readonly window: AbsoluteWindow | null;
  readonly until_given: boolean;
  readonly pinned: Window;
  /** The path without the parameter that the pinned window replaces. */
  readonly pinned_path: PathExpr;
}

export function openFile(
  path: PathExpr,
  window: Window,
  context: Pick<RunContext, 'tree' | 'now_ms'> & { io: { session: { opened_at_ms: number } } },
): OpenedFile | Refusal {
  const file = context.tree.look(path);
  if (file === null) return noSuchPath(path);
  if (isRefusal(file)) return file;
  if (file.kind === 'dir')
    return refuse(
      'is-a-directory',
      `${printPath(path)} is a directory.`,
      `Use ls ${printPath(path)}, or name a file in it.`,
    );
  const given = window.since !== undefined || window.until !== undefined;
  if (file.windowed === 'never' && given)
    return refuse(
      'window-not-applicable',
      `${printPath(path)} shows the state now; it has no past.`,
      'Leave out --since and --until.',
    );
  const base = { file, path, until_given: window.until !== undefined };
  if (file.windowed === 'never' || (file.windowed === 'optional' && !given))
    return { ...base, window: null, pinned: {}, pinned_path: path };
  const absolute = absoluteWindow(window, {
    now_ms: context.now_ms,
    opened_at_ms: context.io.session.opened_at_ms,
    lag_ms: file.lag_ms,
    window_param_ms: file.window_param_ms,
  });
  if (isRefusal(absolute)) return absolute;
  const pinned_path = {
    ...path,
    params: path.params.filter(({ name }) => file.window_param_ms === null || name !== 'window'),
  };
  return { ...base, window: absolute, pinned: pinnedWindow(absolute), pinned_path };
}

export function fileRequest(opened: OpenedFile, plan: Pick<LogicalPlan, 'greps' | 'take'>): FileRequest {
  return { window: opened.window, until_given: opened.until_given, greps: plan.greps, take: plan.take };
}

/** Lines that pass all line filters, as many as the plan takes, in file order. */
async function collect(
  opened: OpenedFile,
  plan: LogicalPlan,
  context: RunContext,
): Promise<readonly string[] | Refusal> {
  const tests = plan.greps.map(lineTest);
  const pages: string[][] = [];
  const { take } = plan;
  let kept = 0;
  let kept_bytes = 0;
  let scanned = 0;
  for await (const page of opened.file.pages(fileRequest(opened, plan), context.io)) {
    if (isRefusal(page)) return isMissing(page) ? noSuchPath(opened.path) : page;
    context.io.signal?.throwIfAborted();
    const passed = page.filter((line) => tests.every((test) => test(line)));
    const wanted =
      take === null
        ? passed
        : take.end === 'first'
          ? passed.slice(0, take.n - kept)
          : passed.slice(-(take.n - kept));
    pages.push(wanted);
    kept += wanted.length;
    scanned += page.length;
    for (const line of wanted) kept_bytes += Buffer.byteLength(line) + 1;
    if (kept_bytes > KEPT_BYTES_MAX) return tooLarge(opened, `more than ${KEPT_BYTES_MAX} bytes`);
    if (take !== null && kept >= take.n) break;
    if (scanned > SCANNED_LINES_MAX) return tooLarge(opened, `more than ${SCANNED_LINES_MAX} lines`);
  }
  return (take?.end === 'last' ? pages.toReversed() : pages).flat();
}

function tooLarge(opened: OpenedFile, what: string): Refusal {
  return refuse(
    'read-too-large',
    `${printPath(opened.path)} holds ${what} in this window.`,
    narrower(opened.path),
  );
}

/** The smaller read to try instead, as a command. */
export function narrower(path: PathExpr): string {
  return `try tail -n 50 ${printPath(path)}, then grep for a fixed text, then a shorter --since.`;
}

function traits(file: VfsFile): Pick<RunResult, 'mount' | 'kind' | 'attacker_writable'> {
  return { mount: file.mount, kind: file.evidence, attacker_writable: file.attacker_writable };
}

async function runFind(
  source: Extract<SourceStage, { cmd: 'find' }>,
  filters: readonly FilterStage[],
  context: RunContext,
): Promise<RunResult | Refusal> {
  const found = await findPaths(source, context);
  if (isRefusal(found)) return found;
  return {
    lines: applyRest(found, filters),
    path: printPath(source.path),
    query: printPipeline({ source, filters: [...filters] }),
    mount: 'tree',
    kind: 'state',
    attacker_writable: true,
  };
}

const DIFF_LINES_MAX = 20_000;

/** A unified diff of two files; both are read whole. Evidence of it is state: the same diff must come out again. */
async function runDiff(
  source: Extract<SourceStage, { cmd: 'diff' }>,
  filters: readonly FilterStage[],
  context: RunContext,
): Promise<RunResult | Refusal> {
  const [left, right] = [
    openFile(source.left, source.window, context),
    openFile(source.right, source.window, context),
  ];
  if (isRefusal(left)) return left;
  if (isRefusal(right)) return right;
  const whole: LogicalPlan = { greps: [], take: null, rest: [] };
  const left_lines = await collect(left, whole, context);
  if (isRefusal(left_lines)) return left_lines;
  const right_lines = await collect(right, whole, context);
  if (isRefusal(right_lines)) return right_lines;
  const lines = diffLines(printPath(source.left), left_lines, printPath(source.right), right_lines);
  if (isRefusal(lines)) return lines;
  const pinned = {
    ...source,
    left: left.pinned_path,
    right: right.pinned_path,
    window: left.window === null ? right.pinned : left.pinned,
  };
  return {
    lines: applyRest(lines, filters),
    path: printPath(source.left),
    query: printPipeline({ source: pinned, filters: [...filters] }),
    mount: left.file.mount === right.file.mount ? left.file.mount : `${left.file.mount}+${right.file.mount}`,
    kind: left.file.evidence === 'document' && right.file.evidence === 'document' ? 'document' : 'state',
    attacker_writable: left.file.attacker_writable || right.file.attacker_writable,
  };
}

function diffLines(
  left_name: string,
  left: readonly string[],
  right_name: string,
  right: readonly string[],
): readonly string[] | Refusal {
  if (left.length > DIFF_LINES_MAX || right.length > DIFF_LINES_MAX)
    return refuse(
      'read-too-large',
      `A diff takes files of at most ${DIFF_LINES_MAX} lines.`,
      'Compare smaller files or a shorter window.',
    );
  if (left.length === right.length && left.every((line, index) => line === right[index])) return [];
  const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');
  const patch = createTwoFilesPatch(left_name, right_name, text(left), text(right), '', '', {
    context: 3,
    maxEditLength: 4000,
  });
  if (patch === undefined)
    return refuse(
      'read-too-large',
      'The files differ in too many places to show a diff.',
      'Compare smaller files or a shorter window.',
    );
  // The first line of the patch is a ruler.
  return patch.replace(/\n$/, '').split('\n').slice(1);
}
