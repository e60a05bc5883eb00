import type { Pipeline } from '../contract/pipeline.ts';
import { isoTime } from '../contract/ports.ts';
import { printPath, printPipeline } from '../contract/pipeline-printer.ts';
import { isRefusal, type Refusal } from '../contract/verdict.ts';
import { patternText, type GrepStage } from './grep.ts';
import { logicalPlan, type LogicalPlan, type RestStage } from './pushdown.ts';
import { fileRequest, openFile, type RunContext } from './run.ts';
import { noSuchPath } from './tree.ts';

/** What a command means, what its source is asked exactly, and what happens here afterwards. It asks nobody. */
export function explainPipeline(
  pipeline: Pipeline,
  context: Pick<RunContext, 'tree' | 'now_ms'> & { io: { session: { opened_at_ms: number } } },
): string | Refusal {
  const { source, filters } = pipeline;
  if (source.cmd === 'find') {
    if (context.tree.look(source.path) === null) return noSuchPath(source.path);
    return text(
      printPipeline(pipeline),
      [`lists directories below ${printPath(source.path)}, one call each where a source must be asked`],
      [],
      filters.map(stageText),
    );
  }
  if (source.cmd === 'diff') {
    const asks: string[] = [];
    for (const path of [source.left, source.right]) {
      const opened = openFile(path, source.window, context);
      if (isRefusal(opened)) return opened;
      asks.push(...opened.file.explain(fileRequest(opened, { greps: [], take: null })).pushed);
    }
    return text(
      printPipeline(pipeline),
      asks,
      ['both files are compared whole'],
      ['unified diff', ...filters.map(stageText)],
    );
  }
  const opened = openFile(source.path, source.window, context);
  if (isRefusal(opened)) return opened;
  const plan = logicalPlan(source, filters);
  const explained = opened.file.explain(fileRequest(opened, plan));
  const { file, window } = opened;
  const head = [
    `file     ${printPath(source.path)} (${file.mount}, ${file.evidence}${file.attacker_writable ? ', attacker-writable' : ''})`,
    window === null
      ? 'window   none: the state now'
      : `window   ${isoTime(window.since_ms)} until ${isoTime(window.until_ms)}`,
    `plan     ${planText(plan)}`,
  ];
  return text(printPipeline(pipeline), explained.pushed, explained.not_pushed, localSteps(plan), head);
}

function text(
  command: string,
  pushed: readonly string[],
  not_pushed: readonly string[],
  local: readonly string[],
  head: readonly string[] = [],
): string {
  const section = (name: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : [name, ...lines.map((line) => `  ${line}`)];
  return [
    `command  ${command}`,
    ...head,
    ...section('asked of the source', pushed),
    ...section('not pushed', not_pushed),
    ...section('done here, on redacted lines', local),
  ].join('\n');
}

function planText(plan: LogicalPlan): string {
  return (
    [...plan.greps.map(grepText), ...takeText(plan), ...plan.rest.map(stageText)].join(' -> ') || 'every line'
  );
}

function localSteps(plan: LogicalPlan): string[] {
  return [
    ...plan.greps.map((grep) => `${grepText(grep)} (again on every line)`),
    ...takeText(plan),
    ...plan.rest.map(stageText),
  ];
}

function takeText({ take }: LogicalPlan): string[] {
  return take === null ? [] : [`${take.end} ${take.n} lines`];
}

function stageText(stage: RestStage): string {
  if (stage.cmd === 'grep') return grepText(stage);
  return stage.cmd === 'lines'
    ? `lines ${stage.first}-${stage.last}`
    : `${stage.cmd === 'head' ? 'first' : 'last'} ${stage.n} lines`;
}

function grepText(grep: GrepStage): string {
  const flags = [
    grep.invert ? 'lines without' : 'lines with',
    JSON.stringify(patternText(grep.pattern)),
    grep.ignore_case ? 'in any case' : '',
    grep.count ? 'counted' : '',
    grep.after + grep.before > 0 ? `and ${grep.before} before, ${grep.after} after` : '',
  ];
  return flags.filter((flag) => flag !== '').join(' ');
}
