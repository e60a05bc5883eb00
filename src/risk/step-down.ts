/** A smaller step between two sizes with the same meaning of the unit: `1g` -> `2g` has `1536m`. */
const SIZE = /^(\d{1,12})(b|[kmgt]b?|[KMGT]i)$/;

/** Each unit's next finer one with the same spelling, all in powers of 1024. */
const FINER: Readonly<Record<string, string>> = {
  k: 'b',
  m: 'k',
  g: 'm',
  t: 'g',
  kb: 'b',
  mb: 'kb',
  gb: 'mb',
  tb: 'gb',
  Mi: 'Ki',
  Gi: 'Mi',
  Ti: 'Gi',
};

/**
 * The size in the middle of a growth, or null when the values are no sizes of one unit or do not grow. Half of a step is
 * the safe alternative that people ask for first.
 */
export function halfStep(before: unknown, after: unknown): string | null {
  const from = typeof before === 'string' ? SIZE.exec(before) : null;
  const to = typeof after === 'string' ? SIZE.exec(after) : null;
  if (from === null || to === null || from[2] !== to[2]) return null;
  const sum = Number(from[1]) + Number(to[1]);
  const unit = from[2] as string;
  if (Number(to[1]) <= Number(from[1])) return null;
  if (sum % 2 === 0 && sum / 2 > Number(from[1])) return `${sum / 2}${unit}`;
  const finer = FINER[unit];
  return finer === undefined ? null : `${sum * 512}${finer}`;
}
