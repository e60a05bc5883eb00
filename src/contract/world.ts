import { z } from 'zod';
import { EvidenceKind, EvidencePointer } from './evidence.ts';
import { Refusal } from './verdict.ts';

/**
 * The only thing cognition can touch: JSON in, JSON out, asynchronous, abortable. It reads; it has no verb that
 * changes anything, so that a mistaken or talked-into model has nothing to hold.
 */
export const WorldRequest = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('ls'),
    path: z.string().min(1).max(2000),
    why_needed: z.string().min(1).max(500),
  }),
  /** A pipeline: `read|head|tail|grep|find|diff ... | ...` (grammar in contract/pipeline.ts). */
  z.strictObject({
    op: z.literal('run'),
    command: z.string().min(1).max(4000),
    why_needed: z.string().min(1).max(500),
  }),
  z.strictObject({ op: z.literal('explain'), command: z.string().min(1).max(4000) }),
]);
export type WorldRequest = z.infer<typeof WorldRequest>;

export const DirEntry = z.strictObject({
  name: z.string().min(1).max(300),
  kind: z.enum(['dir', 'file']),
  note: z.string().max(300).optional(),
});
export type DirEntry = z.infer<typeof DirEntry>;

export const Capture = z.strictObject({
  /** Points at the whole captured file (lines 1..line_count); cite a narrower range by changing `lines`. */
  pointer: EvidencePointer,
  line_count: z.int().min(0),
  bytes: z.int().min(0),
  mount: z.string(),
  kind: EvidenceKind,
  redactions: z.int().min(0),
  attacker_writable: z.boolean(),
  /** The first lines of the captured file (all of them when `complete`). */
  lines: z.array(z.string()),
  complete: z.boolean(),
  summary: z.string().max(500),
});
export type Capture = z.infer<typeof Capture>;

export const WorldResponse = z.union([
  z.strictObject({ ok: z.literal(true), op: z.literal('ls'), entries: z.array(DirEntry) }),
  z.strictObject({ ok: z.literal(true), op: z.literal('run'), capture: Capture }),
  z.strictObject({ ok: z.literal(true), op: z.literal('explain'), text: z.string() }),
  z.strictObject({ ok: z.literal(false), refusal: Refusal }),
]);
export type WorldResponse = z.infer<typeof WorldResponse>;

export interface World {
  call(request: WorldRequest, signal?: AbortSignal): Promise<WorldResponse>;
}
