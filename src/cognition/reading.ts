import { sha256Hex } from '../contract/canonical.ts';
import type { Capture, World } from '../contract/world.ts';
import { refuse, type Refusal } from '../contract/verdict.ts';

/** How cognition reads: through the World only, one answer a call, refusals passed on as values, no retries. */
export type ReadResult =
  { readonly ok: true; readonly capture: Capture } | { readonly ok: false; readonly refusal: Refusal };

/** @throws the signal's reason when it is aborted; whatever the World throws on a fault. */
export async function readCapture(
  world: World,
  command: string,
  why_needed: string,
  signal?: AbortSignal,
): Promise<ReadResult> {
  signal?.throwIfAborted();
  const response = await world.call({ op: 'run', command, why_needed }, signal);
  signal?.throwIfAborted();
  if (!response.ok) return { ok: false, refusal: response.refusal };
  if (response.op !== 'run') throw new TypeError(`World answered ${response.op} to a run request`);
  return { ok: true, capture: response.capture };
}

const PAGES_MAX = 50;

/**
 * A whole file, read with `read <path>`. An answer carries only the first lines of a long file; the rest comes in pages,
 * and their hash must be that of the captured file, so that a file that changes meanwhile is never put together wrongly.
 */
export async function readWhole(
  world: World,
  path: string,
  why_needed: string,
  signal?: AbortSignal,
): Promise<ReadResult> {
  const first = await readCapture(world, `read ${path}`, why_needed, signal);
  return first.ok ? completed(world, path, first.capture, why_needed, signal) : first;
}

/** The same capture with all its lines. */
export async function completed(
  world: World,
  path: string,
  capture: Capture,
  why_needed: string,
  signal?: AbortSignal,
): Promise<ReadResult> {
  if (capture.complete) return { ok: true, capture };
  const lines = [...capture.lines];
  const page_lines = Math.max(1, lines.length);
  for (let page = 1; page < PAGES_MAX && lines.length < capture.line_count; page++) {
    const last = Math.min(lines.length + page_lines, capture.line_count);
    const range = `${lines.length + 1}-${last}`;
    const next = await readCapture(world, `read ${path} --lines ${range}`, why_needed, signal);
    if (!next.ok) return next;
    if (next.capture.lines.length === 0) break;
    lines.push(...next.capture.lines);
  }
  if (sha256Hex(lines.join('\n')) === capture.pointer.sha256)
    return { ok: true, capture: { ...capture, lines, complete: true } };
  const reason = `${path} has ${capture.line_count} lines and could not be put together from its pages: it changed, or it is too long.`;
  return { ok: false, refusal: refuse('document-incomplete', reason, 'Read it again, or read less of it.') };
}
