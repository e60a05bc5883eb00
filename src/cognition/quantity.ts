/**
 * Sizes as people write them in specifications: Kubernetes memory (`512Mi`, `2G`) and Spark/JVM sizes (`1g`, `512m`,
 * `2gb`). Only syntax and doubling live here: the unit is kept, so no meaning of a unit is assumed.
 */
const QUANTITY = /^(\d{1,15})(?:\.(\d{1,3}))?([KMGTPE]i|[kKMGTPE]|[kmgtp]b?|b)?$/;

/** True for a positive size with at most three decimals. */
export function isQuantity(text: string): boolean {
  const match = QUANTITY.exec(text);
  return match !== null && /[1-9]/.test(`${match[1]}${match[2] ?? ''}`);
}

/** Twice the size in the same unit (`1g` -> `2g`, `1.5Gi` -> `3Gi`); null when the text is no quantity. */
export function doubleQuantity(text: string): string | null {
  const match = isQuantity(text) ? QUANTITY.exec(text) : null;
  if (match === null) return null;
  const decimals = match[2] ?? '';
  const digits = (BigInt(`${match[1]}${decimals}`) * 2n).toString().padStart(decimals.length + 1, '0');
  const whole = decimals === '' ? digits : digits.slice(0, -decimals.length);
  const fraction = decimals === '' ? '' : digits.slice(-decimals.length).replace(/0+$/, '');
  const doubled = `${whole}${fraction === '' ? '' : `.${fraction}`}${match[3] ?? ''}`;
  return isQuantity(doubled) ? doubled : null;
}
