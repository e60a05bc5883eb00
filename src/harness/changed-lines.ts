import { z } from 'zod';
import type { HoldsResult } from '../contract/evidence.ts';
import type { Segment } from '../contract/notice.ts';
import type { Plan } from '../contract/plan.ts';

/** Pieces of evidence that a person is shown, and lines of all of them together; further lines are counted. */
const EVIDENCE_MAX = 3;
const LINES_MAX = 8;
/** Characters of one line that are kept: enough to see the field and its value. */
const LINE_CHARS_MAX = 160;

/** Cited lines as they were captured and as the source has them now. Both are of the redacted file. */
export const ChangedEvidence = z.strictObject({
  /** Name of the evidence inside its plan. */
  id: z.string(),
  path: z.string(),
  lines: z
    .array(z.strictObject({ line: z.int(), was: z.string(), now: z.string().nullable() }))
    .max(LINES_MAX),
  /** Changed lines beyond those. */
  more: z.int().min(0),
});
export type ChangedEvidence = z.infer<typeof ChangedEvidence>;
export const ChangedEvidenceList = z.array(ChangedEvidence).max(EVIDENCE_MAX);

/** What changed under a plan, bounded; empty when every cited line is what it was. Pure. */
export function changedEvidence(plan: Plan, holds: ReadonlyMap<string, HoldsResult>): ChangedEvidence[] {
  const found: ChangedEvidence[] = [];
  let room = LINES_MAX;
  for (const { id, pointer } of plan.evidence) {
    const changed = holds.get(id)?.changed ?? [];
    if (changed.length === 0 || found.length === EVIDENCE_MAX) continue;
    const lines = changed
      .slice(0, room)
      .map(({ line, was, now }) => ({ line, was: cut(was), now: now === null ? null : cut(now) }));
    room -= lines.length;
    found.push({ id, path: pointer.path, lines, more: changed.length - lines.length });
  }
  return found;
}

/** As a unified diff: what a piece of evidence was, and what its source says now. */
export function changedSegments(changed: readonly ChangedEvidence[]): Segment[] {
  return changed.flatMap(({ id, path, lines, more }): Segment[] => [
    { t: 'text', text: `\n“${id}” ${path}`.slice(0, 500) },
    ...lines.flatMap(({ line, was, now }): Segment[] => [
      { t: 'text', text: `\nline ${line}: ` },
      { t: 'code', text: `- ${was}` },
      { t: 'text', text: '\n' },
      { t: 'code', text: now === null ? '+ (not there any more)' : `+ ${now}` },
    ]),
    ...(more === 0 ? [] : [{ t: 'text' as const, text: `\nand ${more} more lines` }]),
  ]);
}

function cut(line: string): string {
  return line.length <= LINE_CHARS_MAX ? line : `${line.slice(0, LINE_CHARS_MAX - 1)}…`;
}
