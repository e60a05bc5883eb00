import { refuse, type Refusal } from '../contract/verdict.ts';

/**
 * How much may be read: fragments (captures), bytes of captured files and tokens handed to the reader, per round (one
 * `World`) and per incident. Only what the reader gets to see is charged: a charge for lines that a filter removed
 * again would tell how many there were.
 */
export interface ReadLimits {
  readonly fragments_max: number;
  readonly bytes_max: number;
  readonly tokens_max: number;
}

export interface ReadSpent {
  readonly fragments: number;
  readonly bytes: number;
  readonly tokens: number;
}

export const NOTHING_SPENT: ReadSpent = { fragments: 0, bytes: 0, tokens: 0 };

export function addSpent(a: ReadSpent, b: ReadSpent): ReadSpent {
  return { fragments: a.fragments + b.fragments, bytes: a.bytes + b.bytes, tokens: a.tokens + b.tokens };
}

/** One read: the bytes of its file, and the tokens of the lines that the reader sees. */
export function costOf(file: readonly string[], shown: readonly string[]): ReadSpent {
  const bytes = file.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
  const chars = shown.reduce((sum, line) => sum + line.length + 1, 0);
  // About two characters a token on logs and YAML: measured, four would count 43 % too low.
  return { fragments: 1, bytes, tokens: Math.ceil(chars / 2) };
}

/** Null when there is room for one more read that returns at least something. */
export function budgetProblem(
  spent: ReadSpent,
  limits: ReadLimits,
  period: 'round' | 'incident',
  narrower: string,
): Refusal | null {
  const over =
    spent.fragments >= limits.fragments_max
      ? `${spent.fragments} of ${limits.fragments_max} reads`
      : spent.bytes >= limits.bytes_max
        ? `${spent.bytes} of ${limits.bytes_max} bytes`
        : spent.tokens >= limits.tokens_max
          ? `${spent.tokens} of ${limits.tokens_max} tokens`
          : null;
  if (over === null) return null;
  return refuse(
    'read-budget-spent',
    `The read budget of this ${period} is spent: ${over}.`,
    `Decide with what was read, or ask a person for more budget. Next time read less at once: ${narrower}`,
  );
}

/** Null when what a read returned fits into what is left. */
export function sizeProblem(
  cost: ReadSpent,
  spent: ReadSpent,
  limits: ReadLimits,
  narrower: string,
): Refusal | null {
  const bytes_left = limits.bytes_max - spent.bytes;
  const tokens_left = limits.tokens_max - spent.tokens;
  if (cost.bytes <= bytes_left && cost.tokens <= tokens_left) return null;
  const left = cost.bytes > bytes_left ? `${bytes_left} bytes` : `${tokens_left} tokens`;
  return refuse(
    'read-too-large',
    `This read is larger than the ${left} that the read budget has left.`,
    `Read less: ${narrower}`,
  );
}
