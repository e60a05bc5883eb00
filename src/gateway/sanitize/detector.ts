/**
 * What every detector offers, built in or written by an operator: synchronous, pure and the same on every machine, since
 * evidence is pinned by a hash of the redacted text. A recogniser of names is no detector: it is asked over the network,
 * after these, on what they leave (`recogniser/recogniser.ts`).
 */
export interface Detector {
  /**
   * `credential`: so rare in ordinary bytes that a match is one wherever it stands, also in binary data and across the
   * seam of two strings. `personal`: needs text around it to mean anything.
   */
  readonly kind: 'credential' | 'personal';
  /** It looks at a string from end to end: `possible` cannot be asked about many strings together. */
  readonly alone?: true;
  /** False: neither the text nor a part of it can hold a match. Cheap. */
  readonly possible: (text: string) => boolean;
  /** Calls `found` for the part of each match that must go, from left to right, never overlapping. */
  readonly find: (text: string, found: (start: number, end: number) => void) => void;
}

/** Start and end of what must go, counted from the start of the match; null: it is none after all. */
type Part = readonly [start: number, end: number] | null;

/** A detector from one vetted, linear pattern; `part` says what of a match must go (all of it when left out). */
export function pattern(
  kind: Detector['kind'],
  source: RegExp,
  possible: (text: string) => boolean,
  part?: (match: RegExpExecArray) => Part,
): Detector {
  return {
    kind,
    possible,
    find: (text, found) => {
      source.lastIndex = 0;
      for (let match = source.exec(text); match !== null; match = source.exec(text)) {
        const gone = part === undefined ? ([0, match[0].length] as const) : part(match);
        if (gone !== null) found(match.index + gone[0], match.index + gone[1]);
        if (match[0].length === 0) source.lastIndex += 1;
      }
    },
  };
}

/** The last group of a match that ends with it. */
export function lastGroup(match: RegExpExecArray): Part {
  const { length } = match[0];
  return [length - (match.at(-1) ?? '').length, length];
}

export function has(...needles: readonly string[]): (text: string) => boolean {
  return (text) => needles.some((needle) => text.includes(needle));
}

/** Replaces what a detector finds; `hit` hears of each. */
export function replaceFound(text: string, detector: Detector, mark: string, hit: () => void): string {
  let clean = '';
  let from = 0;
  detector.find(text, (start, end) => {
    hit();
    clean += text.slice(from, start) + mark;
    from = end;
  });
  return from === 0 ? text : clean + text.slice(from);
}
