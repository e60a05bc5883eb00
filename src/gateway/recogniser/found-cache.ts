import { sha256Hex } from '../../contract/canonical.ts';
import type { NameSpan } from './spans.ts';

/**
 * What was found in texts that were asked about before, by the hash of rules and text: no text is kept. Bounded by what
 * it weighs; the text that was not needed for the longest goes first.
 */
const WEIGHT_MAX = 200_000;

export class FoundCache {
  readonly #found = new Map<string, readonly NameSpan[]>();
  readonly #weight_max: number;
  #weight = 0;

  constructor(weight_max = WEIGHT_MAX) {
    this.#weight_max = weight_max;
  }

  get(rules_hash: string, text: string): readonly NameSpan[] | undefined {
    const key = keyOf(rules_hash, text);
    const spans = this.#found.get(key);
    if (spans === undefined) return undefined;
    this.#found.delete(key);
    this.#found.set(key, spans);
    return spans;
  }

  put(rules_hash: string, text: string, spans: readonly NameSpan[]): void {
    const key = keyOf(rules_hash, text);
    const known = this.#found.get(key);
    if (known !== undefined) this.#drop(key, known);
    this.#found.set(key, spans);
    this.#weight += weightOf(spans);
    for (const [oldest, held] of this.#found) {
      if (this.#weight <= this.#weight_max) break;
      this.#drop(oldest, held);
    }
  }

  #drop(key: string, spans: readonly NameSpan[]): void {
    this.#found.delete(key);
    this.#weight -= weightOf(spans);
  }
}

function keyOf(rules_hash: string, text: string): string {
  return sha256Hex(`${rules_hash} ${text}`);
}

/** An entry, and each span in it. */
function weightOf(spans: readonly NameSpan[]): number {
  return 1 + spans.length;
}
