/** Parameters of the Prometheus HTTP API, with its words for what is wrong with them. */
import { PromqlError } from './promql-error.ts';
import { durationMs } from './promql-literal.ts';

const POINTS_MAX = 11_000;

export function invalidParameter(name: string, message: string): PromqlError {
  return new PromqlError(400, 'bad_data', `invalid parameter "${name}": ${message}`);
}

/** Unix seconds with fraction, or RFC 3339; milliseconds since the epoch. */
function timestampMs(text: string): number | undefined {
  if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) return Math.round(Number(text) * 1000);
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.test(text)) return undefined;
  const parsed = Date.parse(text);
  return Number.isNaN(parsed) ? undefined : parsed;
}

/** A required time of query_range. */
function requiredTime(parameters: URLSearchParams, name: string): number {
  const text = parameters.get(name) ?? '';
  const found = timestampMs(text);
  if (found === undefined) throw invalidParameter(name, `cannot parse "${text}" to a valid timestamp`);
  return found;
}

/** An optional time of the other endpoints, which wrap their complaint once more. */
export function optionalTime(parameters: URLSearchParams, name: string, fallback_ms: number): number {
  const text = parameters.get(name) ?? '';
  if (text === '') return fallback_ms;
  const found = timestampMs(text);
  if (found === undefined) {
    throw invalidParameter(
      name,
      `Invalid time value for '${name}': cannot parse "${text}" to a valid timestamp`,
    );
  }
  return found;
}

export interface RangeParameters {
  readonly start_ms: number;
  readonly end_ms: number;
  readonly step_ms: number;
}

export function rangeParameters(parameters: URLSearchParams): RangeParameters {
  const start_ms = requiredTime(parameters, 'start');
  const end_ms = requiredTime(parameters, 'end');
  if (end_ms < start_ms) throw invalidParameter('end', 'end timestamp must not be before start time');
  const step_ms = duration(parameters, 'step');
  if (step_ms <= 0) {
    throw invalidParameter(
      'step',
      'zero or negative query resolution step widths are not accepted. Try a positive integer',
    );
  }
  if ((end_ms - start_ms) / step_ms > POINTS_MAX) {
    throw new PromqlError(
      400,
      'bad_data',
      'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)',
    );
  }
  return { start_ms, end_ms, step_ms };
}

/** `timeout` is checked and otherwise ignored: an answer here takes no time. */
export function checkTimeout(parameters: URLSearchParams): void {
  if ((parameters.get('timeout') ?? '') !== '') duration(parameters, 'timeout');
}

function duration(parameters: URLSearchParams, name: string): number {
  const text = parameters.get(name) ?? '';
  if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) return Number(text) * 1000;
  const found = durationMs(text);
  if (found === undefined) throw invalidParameter(name, `cannot parse "${text}" to a valid duration`);
  return found;
}
