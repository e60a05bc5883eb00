/** Sizes as Kubernetes and Spark write them. Pure. */

const KUBERNETES_SUFFIX: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};
const SPARK_SUFFIX: Readonly<Record<string, number>> = {
  '': 2 ** 20,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
};

/** A Kubernetes quantity as a number ("512Mi" -> bytes, "250m" -> 0.25); null when it is not one. */
export function kubernetesQuantity(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value !== 'string') return null;
  const match = /^([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2})?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/.exec(value);
  if (match === null) return null;
  return Number(match[1]) * (KUBERNETES_SUFFIX[match[2] ?? ''] as number);
}

/** A Spark (JVM) memory string in bytes: "2g", "512m", "1024" (MiB, Spark's default unit); null when it is not one. */
export function sparkMemoryBytes(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value * 2 ** 20 : null;
  if (typeof value !== 'string') return null;
  const match = /^(\d+)([kmgtp]?)(i?b)?$/i.exec(value.trim());
  if (match === null) return null;
  return Number(match[1]) * (SPARK_SUFFIX[(match[2] ?? '').toLowerCase()] as number);
}

/**
 * The number behind a field of an object, for bounds: memory strings of a SparkApplication follow Spark's rules, where
 * "m" means MiB; everything else follows Kubernetes', where it means one thousandth.
 */
export function fieldQuantity(kind: string, path: string, value: unknown): number | null {
  const spark = kind === 'sparkapplication' && /\/memory(Overhead)?$/.test(path);
  return spark ? sparkMemoryBytes(value) : kubernetesQuantity(value);
}
