// Slack's libraries log through ours. Their debug and info lines hold whole payloads and are dropped.
import type { Logger, LogLevel } from '@slack/web-api';
import type { Log } from '../contract/ports.ts';

export function boltLogger(log: Log): Logger {
  const words = (parts: readonly unknown[]): string =>
    parts
      .map((part) => (part instanceof Error ? part.message : typeof part === 'string' ? part : ''))
      .join(' ')
      .trim()
      .slice(0, 500);
  const drop = (): void => undefined;
  return {
    debug: drop,
    info: drop,
    warn: (...parts) => log.warn({ room: 'slack' }, words(parts)),
    error: (...parts) => log.error({ room: 'slack' }, words(parts)),
    setLevel: drop,
    getLevel: () => 'warn' as LogLevel,
    setName: drop,
  };
}
