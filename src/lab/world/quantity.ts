/** Sizes in the two notations of the story: Kubernetes quantities (`1408Mi`, `500m`) and JVM memory strings (`1g`). */
const QUANTITY = /^([+-]?[0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/;
const FACTORS: Readonly<Record<string, number>> = {
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

export const MIB = 2 ** 20;

/** The number that a Kubernetes quantity means (bytes, cores, pieces), or undefined when it is not one. */
export function parseQuantity(text: unknown): number | undefined {
  if (typeof text === 'number') return text;
  if (typeof text !== 'string') return undefined;
  const match = QUANTITY.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (match[2] === undefined ? 1 : (FACTORS[match[2]] ?? 1));
}

/** Canonical text of a number of bytes: the largest binary unit that divides it. */
export function formatBytes(bytes: number): string {
  for (const unit of ['Gi', 'Mi', 'Ki'] as const) {
    const factor = FACTORS[unit] ?? 1;
    if (bytes !== 0 && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(Math.round(bytes));
}

/** Canonical text of a number of cores: `3`, or `2500m` where it is not whole. */
export function formatCores(cores: number): string {
  return Number.isInteger(cores) ? String(cores) : `${Math.round(cores * 1000)}m`;
}

/** `1g`, `1800m`, `512k`, `1073741824`, also with a trailing b (`2gb`): bytes. Spark reads a bare number as MiB. */
export function parseJvmMemory(text: string): number | undefined {
  const match = /^([0-9]+)([kmgtp]?)b?$/i.exec(text.trim());
  if (match === null) return undefined;
  const power = { '': 2, k: 1, m: 2, g: 3, t: 4, p: 5 }[(match[2] ?? '').toLowerCase()] ?? 2;
  return Number(match[1]) * 1024 ** power;
}

/** Container memory of a Spark pod: heap + max(384 MiB, factor x heap), Spark's documented default with factor 0.1. */
export function sparkContainerBytes(
  heap_bytes: number,
  overhead: { factor?: number; bytes?: number },
): number {
  const minimum = 384 * MIB;
  const extra = overhead.bytes ?? Math.max(minimum, Math.floor((overhead.factor ?? 0.1) * heap_bytes));
  return Math.floor((heap_bytes + extra) / MIB) * MIB;
}
