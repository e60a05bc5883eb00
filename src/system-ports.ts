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
    const entries = Object.entries(fields).map(
      ([key, value]) =>
        [
          key,
          typeof value === 'string' ? (rules?.(value) ?? value).slice(0, FIELD_CHARS_MAX) : value,
        ] as const,
    );
    return Object.fromEntries(entries);
  };
  return {
    debug: (fields, message) => logger.debug(clean(fields), message),
    info: (fields, message) => logger.info(clean(fields), message),
    warn: (fields, message) => logger.warn(clean(fields), message),
    error: (fields, message) => logger.error(clean(fields), message),
  };
}
