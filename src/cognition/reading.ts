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

export type DocumentResult =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly refusal: Refusal };

/** The whole text of a document. A long one comes in pages, since an answer carries only the first lines of a file. */
export async function readDocument(
  world: World,
  path: string,
  why_needed: string,
  signal?: AbortSignal,
): Promise<DocumentResult> {
  const first = await readCapture(world, `read ${path}`, why_needed, signal);
  if (!first.ok) return first;
  const { capture } = first;
  const lines = [...capture.lines];
  const page_lines = lines.length;
  for (let page = 1; lines.length < capture.line_count && !capture.complete; page++) {
    if (page_lines === 0 || page >= PAGES_MAX)
      return {
        ok: false,
        refusal: refuse(
          'document-too-long',
          `${path} has ${capture.line_count} lines, more than can be paged through.`,
          'Split the document.',
        ),
      };
    const range = `${lines.length + 1}-${Math.min(lines.length + page_lines, capture.line_count)}`;
    const next = await readCapture(world, `read ${path} --lines ${range}`, why_needed, signal);
    if (!next.ok) return next;
    if (next.capture.lines.length === 0)
      return {
        ok: false,
        refusal: refuse('document-changed', `${path} became shorter while it was read.`, 'Read it again.'),
      };
    lines.push(...next.capture.lines);
  }
  return { ok: true, text: lines.join('\n') };
}
