import { randomBytes } from 'node:crypto';
import pino from 'pino';
import type { Clock, Ids, Log, LogFields } from './contract/ports.ts';

/** The real clock, ids and log of the program; tests and replays bring their own. */
export const systemClock: Clock = { now: () => Date.now() };

export const systemIds: Ids = {
  next: (prefix) => `${prefix}_${randomBytes(16).toString('base64url')}`,
  secret: (bytes) => randomBytes(bytes).toString('base64url'),
};

/** Longest text of one log field, characters. */
const FIELD_CHARS_MAX = 2000;

/** JSON lines on standard error; texts go through the redaction rules once they are loaded. */
export function createLog(level: string, redact: () => ((text: string) => string) | null): Log {
  const logger = pino(
    { level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
  const clean = (fields: LogFields): Record<string, unknown> => {
    const rules = redact();
    return cleanField(fields, (text) => (rules?.(text) ?? text).slice(0, FIELD_CHARS_MAX)) as Record<
      string,
      unknown
    >;
  };
  return {
    debug: (fields, message) => logger.debug(clean(fields), message),
    info: (fields, message) => logger.info(clean(fields), message),
    warn: (fields, message) => logger.warn(clean(fields), message),
    error: (fields, message) => logger.error(clean(fields), message),
  };
}

/** Texts at every depth of a field; an error becomes its words, since pino would print its stack. */
function cleanField(value: unknown, clean: (text: string) => string): unknown {
  if (typeof value === 'string') return clean(value);
  if (value instanceof Error) return clean(value.message);
  if (Array.isArray(value)) return value.map((item) => cleanField(item, clean));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, cleanField(child, clean)]));
}
