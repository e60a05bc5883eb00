/** What the outside of the program lends to it; passed in everywhere so that a test or a replay decides them. */

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

export interface Ids {
  /** A unique id `<prefix>_<22 url-safe characters>`, not a secret. */
  next(prefix: string): string;
  /** `bytes` random bytes, base64url: a secret (token, nonce). */
  secret(bytes: number): string;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log. Implementations redact; callers still never pass a secret. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** ISO 8601 UTC with milliseconds, the only time format that crosses a door as text. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
