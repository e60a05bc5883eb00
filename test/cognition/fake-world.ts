import { readFileSync } from 'node:fs';
import { sha256Hex } from '../../src/contract/canonical.ts';
import { matchingLines } from '../../src/contract/expectation.ts';
import { parsePipeline } from '../../src/contract/pipeline-parser.ts';
import { printPath } from '../../src/contract/pipeline-printer.ts';
import type { FilterStage, Word } from '../../src/contract/pipeline.ts';
import { refuse } from '../../src/contract/verdict.ts';
import type { Capture, World, WorldRequest, WorldResponse } from '../../src/contract/world.ts';

/** A World made of a table of files: `path` -> text, or a refusal. It runs the real read language over the table. */
export interface FakeFile {
  readonly text: string;
  readonly attacker_writable?: boolean;
}

export interface FakeWorld extends World {
  /** Every request in order. */
  readonly asked: WorldRequest[];
  commands(): string[];
}

export interface FakeOptions {
  /** An answer carries at most this many lines. */
  readonly lines_max?: number;
  readonly refuse?: (command: string) => string | null;
}

export function fakeWorld(
  files: Readonly<Record<string, FakeFile | string>>,
  options: FakeOptions = {},
): FakeWorld {
  const asked: WorldRequest[] = [];
  return {
    asked,
    commands: () => asked.flatMap((request) => (request.op === 'run' ? [request.command] : [])),
    async call(request, signal): Promise<WorldResponse> {
      signal?.throwIfAborted();
      asked.push(request);
      if (request.op !== 'run')
        return { ok: false, refusal: refuse('not-here', 'Only run is here.', 'Use run.') };
      const reason = options.refuse?.(request.command) ?? null;
      if (reason !== null)
        return { ok: false, refusal: refuse('refused', reason, 'Read something narrower.') };
      return run(files, request.command, options.lines_max ?? 200, asked.length);
    },
  };
}

function run(
  files: Readonly<Record<string, FakeFile | string>>,
  command: string,
  lines_max: number,
  n: number,
): WorldResponse {
  const parsed = parsePipeline(command, { allow_vars: false });
  if (!parsed.ok) return { ok: false, refusal: refuse('bad-pipeline', parsed.reason, parsed.hint) };
  const { source, filters } = parsed.pipeline;
  if (source.cmd === 'diff' || source.cmd === 'find')
    return { ok: false, refusal: refuse('not-here', 'Not here.', '') };
  const path = printPath(source.path);
  const entry = Object.hasOwn(files, path) ? files[path] : undefined;
  if (entry === undefined)
    return { ok: false, refusal: refuse('no-such-file', `${path} does not exist.`, 'List the folder.') };
  const file = typeof entry === 'string' ? { text: entry } : entry;
  let lines = file.text === '' ? [] : file.text.replace(/\n$/, '').split('\n');
  if (source.cmd === 'read' && source.lines !== undefined) {
    const [first, last] = source.lines.split('-').map(Number) as [number, number];
    lines = lines.slice(first - 1, last);
  }
  if (source.cmd !== 'read') lines = apply(lines, source);
  for (const filter of filters) lines = apply(lines, filter);
  return {
    ok: true,
    op: 'run',
    capture: captureOf({
      path,
      command,
      lines,
      lines_max,
      n,
      attacker_writable: file.attacker_writable ?? false,
    }),
  };
}

function apply(lines: string[], stage: FilterStage | { cmd: 'grep'; pattern: Word[] }): string[] {
  if (stage.cmd === 'head') return lines.slice(0, stage.n);
  if (stage.cmd === 'tail') return lines.slice(-stage.n);
  const pattern = stage.pattern.map((word) => (word.w === 'text' ? word.text : '')).join('');
  return matchingLines(lines, pattern).map((number) => lines[number - 1] as string);
}

interface CaptureParts {
  path: string;
  command: string;
  lines: string[];
  lines_max: number;
  n: number;
  attacker_writable: boolean;
}

function captureOf({ path, command, lines, lines_max, n, attacker_writable }: CaptureParts): Capture {
  const text = lines.join('\n');
  return {
    pointer: {
      evidence_id: `EV-${String(n).padStart(8, '0')}`,
      path,
      query: command,
      lines: `1-${Math.max(1, lines.length)}`,
      sha256: sha256Hex(text),
      captured_at: '2026-11-23T13:20:00.000Z',
    },
    line_count: lines.length,
    bytes: Buffer.byteLength(text),
    mount: path.startsWith('/context') ? 'skills' : path.includes('/logs/') ? 'loki' : 'kubernetes',
    kind: path.includes('/logs/') ? 'stream' : 'state',
    redactions: 0,
    attacker_writable,
    lines: lines.slice(0, lines_max),
    complete: lines.length <= lines_max,
    summary: `${lines.length} lines`,
  };
}

const LIBRARY = new URL('../../skills/', import.meta.url);

/** The committed skill library as files of a World. */
export function libraryFiles(): Record<string, string> {
  const names = [
    '_index.json',
    'spark/spark_driver_oom.skill.yaml',
    'k8s/image_pull_backoff.skill.yaml',
    'k8s/bad_deploy.skill.yaml',
  ];
  return Object.fromEntries(
    names.map((name) => [`/context/skills/${name}`, readFileSync(new URL(name, LIBRARY), 'utf8')]),
  );
}
