/** Parameters of Loki's HTTP API (source: Loki's `pkg/loghttp/params.go`), with its words for what is wrong. */
import { durationMs } from '../prometheus/promql-literal.ts';
import { badRequest } from './loki-error.ts';
import { goDuration } from './units.ts';

const ENTRIES_MAX = 5000;
const POINTS_MAX = 11_000n;
const LIMIT_DEFAULT = 100;
const SINCE_DEFAULT_NS = 3_600_000_000_000n;
/** `max_query_length`, 721 hours, as Loki prints it. */
const LENGTH_MAX_NS = 721n * 3_600_000_000_000n;
const LENGTH_MAX_TEXT = '30d1h';

export interface Window {
  readonly start_ns: bigint;
  readonly end_ns: bigint;
}

export function readLimit(parameters: URLSearchParams): number {
  const text = parameters.get('limit') ?? '';
  if (text === '') return LIMIT_DEFAULT;
  if (!/^[+-]?\d+$/.test(text))
    throw badRequest(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  const limit = Number(text);
  if (limit <= 0) throw badRequest('limit must be a positive value');
  return limit;
}

/** Only log queries return entries, so only they are bound by it. */
export function refuseTooManyEntries(limit: number): void {
  if (limit <= ENTRIES_MAX) return;
  throw badRequest(
    `max entries limit per query exceeded, limit > max_entries_limit (${limit} > ${ENTRIES_MAX})`,
  );
}

/** True for backward, the default. */
export function readBackward(parameters: URLSearchParams): boolean {
  const text = parameters.get('direction') ?? '';
  if (text === '') return true;
  if (text.toUpperCase() === 'FORWARD') return false;
  if (text.toUpperCase() === 'BACKWARD') return true;
  throw badRequest(`invalid direction '${text}'`);
}

/** `start` and `end`, or `since` before the end (before now when the end lies in the future). */
export function readWindow(parameters: URLSearchParams, now_ns: bigint): Window {
  const sinceText = parameters.get('since') ?? '';
  const since_ms = sinceText === '' ? undefined : durationMs(sinceText);
  if (sinceText !== '' && since_ms === undefined) {
    throw badRequest(
      `could not parse 'since' parameter: not a valid duration string: ${JSON.stringify(sinceText)}`,
    );
  }
  const end_ns = readTime(parameters, 'end', now_ns);
  const latest_ns = end_ns > now_ns ? now_ns : end_ns;
  const since_ns = since_ms === undefined ? SINCE_DEFAULT_NS : BigInt(since_ms) * 1_000_000n;
  return { start_ns: readTime(parameters, 'start', latest_ns - since_ns), end_ns };
}

export function readTime(parameters: URLSearchParams, name: string, fallback_ns: bigint): bigint {
  const text = parameters.get(name) ?? '';
  if (text === '') return fallback_ns;
  const found = timestampNs(text);
  if (found !== undefined) return found;
  const problem = `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`;
  throw badRequest(name === 'time' ? problem : `could not parse '${name}' parameter: ${problem}`);
}

/** Seconds with a fraction (milliseconds kept), whole seconds up to ten digits, else nanoseconds, or RFC 3339. */
function timestampNs(text: string): bigint | undefined {
  if (/^[+-]?\d*\.\d*$/.test(text) && /\d/.test(text))
    return BigInt(Math.round(Number(text) * 1000)) * 1_000_000n;
  if (/^[+-]?\d+$/.test(text)) return BigInt(text) * (text.length <= 10 ? 1_000_000_000n : 1n);
  const match = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1] ?? ''}${match[3] ?? ''}`);
  if (Number.isNaN(ms)) return undefined;
  return BigInt(ms) * 1_000_000n + BigInt((match?.[2] ?? '').padEnd(9, '0'));
}

/** The step of a range query; Loki checks it for log queries too. */
export function readStep(parameters: URLSearchParams, { start_ns, end_ns }: Window): bigint {
  if (end_ns < start_ns) throw badRequest('end timestamp must not be before or equal to start time');
  const step_ns = stepOf(parameters.get('step') ?? '', Number(end_ns - start_ns) / 1e9);
  if (step_ns <= 0n) {
    throw badRequest(
      'zero or negative query resolution step widths are not accepted. Try a positive integer',
    );
  }
  if ((end_ns - start_ns) / step_ns > POINTS_MAX) {
    throw badRequest(
      'exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter',
    );
  }
  return step_ns;
}

function stepOf(text: string, seconds: number): bigint {
  if (text === '') return BigInt(Math.max(Math.floor(seconds / 250), 1)) * 1_000_000_000n;
  if (/^[+-]?(\d+\.?\d*|\.\d+)$/.test(text)) return BigInt(Math.round(Number(text) * 1e9));
  const ms = durationMs(text);
  if (ms === undefined) throw badRequest(`cannot parse ${JSON.stringify(text)} to a valid duration`);
  return BigInt(ms) * 1_000_000n;
}

export function refuseTooLong({ start_ns, end_ns }: Window): void {
  const length_ns = end_ns - start_ns;
  if (length_ns <= LENGTH_MAX_NS) return;
  throw badRequest(
    `the query time range exceeds the limit (query length: ${goDuration(length_ns)}, limit: ${LENGTH_MAX_TEXT})`,
  );
}
