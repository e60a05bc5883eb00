import { z } from 'zod';

/**
 * A refusal is a value, never an exception: `reason` is the one sentence that a person reads, `remedy` the next step,
 * `code` a stable kebab-case name for tests, metrics and the ledger.
 */
export const Refusal = z.strictObject({
  allow: z.literal(false),
  code: z.string().regex(/^[a-z0-9][a-z0-9-]{1,63}$/),
  reason: z.string().min(1).max(1000),
  remedy: z.string().max(1000),
});
export type Refusal = z.infer<typeof Refusal>;

export const Verdict = z.discriminatedUnion('allow', [z.strictObject({ allow: z.literal(true) }), Refusal]);
export type Verdict = z.infer<typeof Verdict>;

/** Builds a refusal; over-long texts (they may quote data) are cut at the contract's limit, never rejected. */
export function refuse(code: string, reason: string, remedy: string): Refusal {
  return { allow: false, code, reason: clip(reason), remedy: clip(remedy) };
}

/** True for a refusal, also when it stands in a union with an ordinary result. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'allow' in value && value.allow === false;
}

function clip(text: string): string {
  return text.length <= 1000 ? text : `${text.slice(0, 999)}…`;
}
