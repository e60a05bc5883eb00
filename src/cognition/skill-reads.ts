import type { IncidentContext } from '../contract/incident.ts';
import { printPath, printPipeline } from '../contract/pipeline-printer.ts';
import type { Pipeline } from '../contract/pipeline.ts';
import type { Skill } from '../contract/skill.ts';
import type { Capture, World } from '../contract/world.ts';
import { completed, readCapture, type ReadResult } from './reading.ts';
import { bindRead, fillSentence } from './skill-binding.ts';
import { resolveVars, type ReadState, type Resolution } from './skill-vars.ts';

/** What the reads of one skill have brought so far. */
export interface ReadSession {
  readonly skill: Skill;
  readonly incident: IncidentContext;
  readonly captures: Map<string, { readonly capture: Capture; readonly pipeline: Pipeline }>;
  /** Reads that were tried or skipped without a capture. */
  readonly failed: Set<string>;
  /** What could not be seen, one sentence each. */
  readonly gaps: string[];
  /** False once a read that the procedure cannot do without has failed. */
  complete: boolean;
}

/** An empty stream is read once more this much wider, at most this far back: nothing in an hour may be something in six. */
const WIDER_FACTOR = 6;
const WIDEST_S = 86_400;

/**
 * Runs a skill's reads in their order; a later read may use what an earlier one found. Refusals become gaps and nothing
 * is tried twice (retrying belongs to the harness and the gateway); a read that is needed ends the procedure when it fails.
 */
export async function runReads(
  world: World,
  skill: Skill,
  incident: IncidentContext,
  signal?: AbortSignal,
): Promise<ReadSession> {
  const session: ReadSession = {
    skill,
    incident,
    captures: new Map(),
    failed: new Set(),
    gaps: [],
    complete: true,
  };
  const tried = new Set<string>();
  for (const read of skill.reads) {
    if (!session.complete) {
      session.failed.add(read.id);
      continue;
    }
    tried.add(read.id);
    const { vars } = currentVars(session);
    const bound = bindRead(read.run, vars);
    const problem = bound.ok ? await perform(world, session, read, bound.value, signal) : bound.reason;
    if (problem === null) continue;
    session.failed.add(read.id);
    session.gaps.push(gap(fillSentence(read.why, vars, 200), problem));
    session.complete = read.optional;
  }
  const untried = skill.reads.filter((read) => session.failed.has(read.id) && !tried.has(read.id));
  if (untried.length > 0)
    session.gaps.push(gap('Not looked at after that', untried.map((read) => read.id).join(', ')));
  return session;
}

export function currentVars(session: ReadSession): Resolution {
  return resolveVars(session.skill.vars, {
    incident: session.incident,
    readOf: (id) => readState(session, id),
  });
}

function readState(session: ReadSession, id: string): ReadState {
  const found = session.captures.get(id);
  if (found === undefined) return session.failed.has(id) ? 'absent' : 'pending';
  // A value cut off in the middle would be a wrong value; an incomplete file gives none.
  return found.capture.complete ? found.capture.lines : 'absent';
}

/** Reads and keeps the capture; the reason when it was refused. */
async function perform(
  world: World,
  session: ReadSession,
  read: Skill['reads'][number],
  pipeline: Pipeline,
  signal?: AbortSignal,
): Promise<string | null> {
  const result = await readCapture(world, printPipeline(pipeline), read.why, signal);
  if (!result.ok) return result.refusal.reason;
  const capture = await paged(world, pipeline, result.capture, read.why, signal);
  session.captures.set(read.id, { capture, pipeline });
  const wider = result.capture.line_count === 0 ? widened(pipeline) : null;
  if (wider === null) return null;
  const again = await readCapture(
    world,
    printPipeline(wider),
    `${read.why} (wider window: the first one was empty)`.slice(0, 500),
    signal,
  );
  if (again.ok && again.capture.line_count > 0)
    session.captures.set(read.id, { capture: again.capture, pipeline: wider });
  return null;
}

/** A state file up to this length is paged through; longer ones and streams are only ever narrowed. */
const PAGED_LINES_MAX = 2000;

/** The capture with all its lines, when it is a whole state file of bearable length; else as it came. */
async function paged(
  world: World,
  { source, filters }: Pipeline,
  capture: Capture,
  why: string,
  signal?: AbortSignal,
): Promise<Capture> {
  const whole = source.cmd === 'read' && source.lines === undefined && filters.length === 0;
  if (!whole || capture.kind === 'stream' || capture.line_count > PAGED_LINES_MAX) return capture;
  const result = await completed(world, printPath(source.path), capture, why, signal);
  return result.ok ? result.capture : capture;
}

/** The same pipeline over a wider window; null when it has no relative window or is as wide as it gets. */
function widened(pipeline: Pipeline): Pipeline | null {
  const { source } = pipeline;
  if (source.cmd === 'find' || source.window.since === undefined || !('ago_s' in source.window.since))
    return null;
  const { ago_s } = source.window.since;
  const wider_s = Math.min(WIDEST_S, ago_s * WIDER_FACTOR);
  return wider_s <= ago_s
    ? null
    : { ...pipeline, source: { ...source, window: { ...source.window, since: { ago_s: wider_s } } } };
}

/** The lines of a read that match a pattern, asked from the source: the narrow read for a file too long to be handed over. */
export async function narrowRead(
  world: World,
  pipeline: Pipeline,
  pattern: string,
  why: string,
  signal?: AbortSignal,
): Promise<ReadResult | null> {
  if (pipeline.filters.length >= 9) return null;
  const grep = {
    cmd: 'grep' as const,
    pattern: [{ w: 'text' as const, text: pattern }],
    ignore_case: false,
    invert: false,
    fixed: false,
    count: false,
    after: 0,
    before: 0,
  };
  const narrow: Pipeline = { ...pipeline, filters: [...pipeline.filters, grep, { cmd: 'tail', n: 50 }] };
  return readCapture(world, printPipeline(narrow), why, signal);
}

const GAP_CHARS_MAX = 300;

/** One sentence about something unseen, within the contract's length. */
export function gap(what: string, reason: string): string {
  const text = `${what.replace(/[.\s]+$/, '')}: ${reason}`;
  return text.length <= GAP_CHARS_MAX ? text : `${text.slice(0, GAP_CHARS_MAX - 1)}…`;
}
