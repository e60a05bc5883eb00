import type { CompiledRules } from './rules.ts';
import type { ExactScrub } from './exact-scrub.ts';

/**
 * The last thing before data leaves the gateway. Every string of a result (values, keys, errors) passes the exact
 * scrub of the live credential first and then the rules; the shape of the data never changes.
 */
export interface Sanitized {
  readonly value: unknown;
  readonly redactions: number;
}

const SECRET_VALUE_MARK = '[REDACTED_SECRET]';

export function sanitizeText(
  text: string,
  rules: CompiledRules,
  exact?: ExactScrub,
): { text: string; redactions: number } {
  let redactions = 0;
  const hit = (): void => {
    redactions += 1;
  };
  let clean = exact === undefined ? text : exact(text, hit);
  for (const { detector, mark } of rules.detectors) {
    if (detector.possible(clean)) clean = detector.replace(clean, mark, hit);
  }
  return { text: clean, redactions };
}

/** Sanitises JSON deeply. Two fields that become the same name after redaction get a number, so that none is lost. */
export function sanitizeValue(value: unknown, rules: CompiledRules, exact?: ExactScrub): Sanitized {
  const state = { redactions: 0, keys: new Map<string, KnownKey>(), rules, exact };
  return { value: walk(value, state), redactions: state.redactions };
}

interface KnownKey {
  readonly clean: string;
  /** Its whole value is a secret, whatever it looks like. */
  readonly secret: boolean;
}

interface WalkState {
  redactions: number;
  /** Field names repeat in lists of objects: each is sanitised once. */
  readonly keys: Map<string, KnownKey>;
  readonly rules: CompiledRules;
  readonly exact: ExactScrub | undefined;
}

function walk(value: unknown, state: WalkState): unknown {
  if (typeof value === 'string') return cleanText(value, state);
  if (typeof value === 'number') return cleanNumber(value, state);
  if (Array.isArray(value)) return value.map((item) => walk(item, state));
  if (typeof value !== 'object' || value === null) return value;
  return walkObject(value as Record<string, unknown>, state);
}

function walkObject(object: Record<string, unknown>, state: WalkState): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  // An environment variable in Kubernetes' form: {name: DB_PASSWORD, value: ...}.
  const named_secret = typeof object['name'] === 'string' && knownKey(object['name'], state).secret;
  for (const [key, child] of Object.entries(object)) {
    const known = knownKey(key, state);
    const secret = (known.secret || (named_secret && key === 'value')) && isSecretText(child);
    const name = freeName(clean, known.clean);
    if (secret) state.redactions += 1;
    Object.defineProperty(clean, name, {
      value: secret ? SECRET_VALUE_MARK : walk(child, state),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return clean;
}

function isSecretText(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && !value.startsWith('[REDACTED_');
}

function isSecretKey(key: string, rules: CompiledRules): boolean {
  if (key.length > 80) return false;
  const flat = key.replaceAll(/[-_.]/g, '').toLowerCase();
  if (rules.secret_keys.has(flat)) return true;
  for (const secret of rules.secret_keys)
    if (flat.length > secret.length && flat.endsWith(secret)) return true;
  return false;
}

function cleanText(text: string, state: WalkState): string {
  const { text: clean, redactions } = sanitizeText(text, state.rules, state.exact);
  state.redactions += redactions;
  return clean;
}

/** A card number may arrive as a JSON number; every other number is too short to be anything. */
function cleanNumber(value: number, state: WalkState): unknown {
  if (!Number.isInteger(value) || value < 1e12) return value;
  const text = String(value);
  const clean = cleanText(text, state);
  return clean === text ? value : clean;
}

function knownKey(key: string, state: WalkState): KnownKey {
  const seen = state.keys.get(key);
  if (seen !== undefined) return seen;
  const known = { clean: cleanText(key, state), secret: isSecretKey(key, state.rules) };
  if (state.keys.size < 10_000) state.keys.set(key, known);
  return known;
}

function freeName(object: Record<string, unknown>, name: string): string {
  if (!Object.hasOwn(object, name)) return name;
  let number = 2;
  while (Object.hasOwn(object, `${name}#${number}`)) number += 1;
  return `${name}#${number}`;
}
