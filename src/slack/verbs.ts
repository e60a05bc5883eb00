// The grammar of `/aegis` and `@aegis`: first word is the verb. An unknown verb gets the nearest one and help. Pure.

export const SLASH_VERBS = ['help', 'status', 'investigate', 'did', 'raise', 'stop'] as const;
export const MENTION_VERBS = ['help', 'status', 'investigate', 'did', 'why', 'hold', 'stop'] as const;

export interface Spoken<V extends string> {
  readonly verb: V | null;
  readonly rest: string;
  /** Set when the verb is unknown: the nearest known one, if any is near. */
  readonly meant: V | null;
  readonly said: string;
}

export function parseVerb<V extends string>(text: string, verbs: readonly V[]): Spoken<V> {
  const [first = '', ...others] = text.trim().split(/\s+/);
  const said = first.toLowerCase().slice(0, 40);
  const rest = others.join(' ');
  const verb = said === '' ? ('help' as V) : verbs.find((known) => known === said);
  if (verb !== undefined && verbs.includes(verb)) return { verb, rest, meant: null, said };
  return { verb: null, rest, meant: nearest(said, verbs), said };
}

function nearest<V extends string>(said: string, verbs: readonly V[]): V | null {
  let best: V | null = null;
  let best_distance = Infinity;
  for (const verb of verbs) {
    // A started word ("inv") means the verb it starts.
    const distance = said.length >= 2 && verb.startsWith(said) ? 0.5 : editDistance(said, verb);
    if (distance < best_distance) [best, best_distance] = [verb, distance];
  }
  return best !== null && best_distance <= Math.max(1, Math.floor(best.length / 3)) ? best : null;
}

/** Insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, at) => at)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const above = rows[i - 1] as number[];
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(
        (above[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (above[j - 1] as number) + change,
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (rows[i - 2]?.[j - 2] as number) + 1);
      row.push(cost);
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] as number;
}

/** "INC-2026-1123-001" at the start of a text, in any case. */
export function incidentIn(text: string): string | null {
  return /^INC-\d{4}-\d{4}-\d{3,6}\b/.exec(text.trim().toUpperCase())?.[0] ?? null;
}
