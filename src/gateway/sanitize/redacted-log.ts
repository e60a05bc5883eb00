import type { Log, LogFields } from '../../contract/ports.ts';
import type { CompiledRules } from './rules.ts';
import { sanitizeText, sanitizeValue } from './sanitize.ts';

/** Fields of a log line pass the rules before any log sees them: errors quote what a server or a caller wrote. */
export function redactedLog(log: Log, rulesNow: () => CompiledRules | null): Log {
  const clean = (fields: LogFields): LogFields => {
    const rules = rulesNow();
    return rules === null
      ? { withheld: 'policies/redaction.yaml did not load' }
      : (sanitizeValue(fields, rules).value as LogFields);
  };
  const said = (message: string): string => {
    const rules = rulesNow();
    return rules === null ? message : sanitizeText(message, rules).text;
  };
  return {
    debug: (fields, message) => log.debug(clean(fields), said(message)),
    info: (fields, message) => log.info(clean(fields), said(message)),
    warn: (fields, message) => log.warn(clean(fields), said(message)),
    error: (fields, message) => log.error(clean(fields), said(message)),
  };
}
