/** Durations and sizes as LogQL and the values of log lines write them. */

const DURATION_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
  d: 86_400e9,
  w: 604_800e9,
  y: 31_536_000e9,
};

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** `1h30m`, `250ms`, `1.5s`, also with a sign; undefined when it is no duration. */
export function durationNs(text: string): number | undefined {
  const match = /^([+-]?)((?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h|d|w|y))+)$/.exec(text);
  if (match === null) return text === '0' ? 0 : undefined;
  const parts = [...(match[2] ?? '').matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h|d|w|y)/g)];
  const size = parts.reduce((sum, part) => sum + Number(part[1]) * (DURATION_NS[part[2] ?? ''] ?? 0), 0);
  return match[1] === '-' ? -size : size;
}

/** `5KB`, `1.2MiB`, `42`; undefined when it is no size. */
export function byteCount(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$/.exec(text.trim());
  const unit = BYTES[(match?.[2] ?? '?').toLowerCase()];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}

/** Go's `time.Duration.String()` from one second on. */
export function goDuration(ns: bigint): string {
  const seconds = Number(ns / 1_000_000_000n);
  const fraction = Number(ns % 1_000_000_000n) / 1e9;
  const rest = `${String(Number(((seconds % 60) + fraction).toFixed(9)))}s`;
  if (seconds < 60) return rest;
  const minutes = `${Math.floor((seconds % 3600) / 60)}m${rest}`;
  return seconds < 3600 ? minutes : `${Math.floor(seconds / 3600)}h${minutes}`;
}
