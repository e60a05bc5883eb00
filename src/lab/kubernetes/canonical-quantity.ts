/** Quantities as the API server writes them back: the largest suffix that leaves a whole number ("1024Mi" -> "1Gi"). */
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi'] as const;
const DECIMAL = ['m', '', 'k', 'M', 'G', 'T', 'P'] as const;

/** The canonical text; anything that is not a plain quantity comes back as it was. */
export function canonicalQuantity(value: unknown): unknown {
  const match = /^(\d+)(?:\.(\d{1,3}))?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/.exec(String(value));
  if (match === null) return value;
  const suffix = match[3] ?? '';
  const isBinary = suffix.endsWith('i');
  const scale: readonly string[] = isBinary ? BINARY : DECIMAL;
  const base = isBinary ? 1024n : 1000n;
  const fraction = BigInt((match[2] ?? '').padEnd(3, '0'));
  const exponent = BigInt(scale.indexOf(suffix));
  const thousandths = (BigInt(match[1] as string) * 1000n + fraction) * base ** exponent;
  if (thousandths % 1000n !== 0n) return value;
  let whole = thousandths / 1000n;
  let index = 0;
  while (whole !== 0n && whole % base === 0n && index < scale.length - 1) {
    whole /= base;
    index += 1;
  }
  return whole === 0n ? '0' : `${whole}${scale[index] ?? ''}`;
}
