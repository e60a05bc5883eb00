import { newBudget, type DecodeBudget } from './decode.ts';
import { replaceFound } from './detector.ts';
import type { ExactScrub } from './exact-scrub.ts';
import { isEscaped } from './escapes.ts';
import { hiddenSpans, spansWith, type Span } from './hidden-secrets.ts';
import { seamSpans } from './joined.ts';
import type { CompiledRules } from './rules.ts';
import { isPair } from './secret-detectors.ts';

/**
 * The last thing before data leaves the gateway. Every string of a result (values, keys, errors) passes the exact
 * scrub of the live credential and the rules, as it stands, in everything that it hides, and across the seams of strings
 * that follow each other; the shape of the data never changes.
 */
export interface Sanitized {
  readonly value: unknown;
  readonly redactions: number;
}

const SECRET_VALUE_MARK = '[REDACTED_SECRET]';
/** Nothing shorter is a secret: an address is a@b.co or longer. */
const SECRET_CHARS_MIN = 6;
/**
 * A replacement may uncover a match that begins right behind it: in `10.1.2.3+4915112345678` nothing may precede a phone
 * number. Then all is looked at again, so that clean text stays as it is.
 */
const UNCOVERED = /\](?:[+(%]|::)/;
const ROUNDS_MAX = 4;

export function sanitizeText(
  text: string,
  rules: CompiledRules,
  exact?: ExactScrub,
): { text: string; redactions: number } {
  const all = withExact(rules, exact);
  return clean(text, { surface: all, hidden: all, escaped: true }, newBudget());
}

type Rules = CompiledRules['detectors'];

/** Which detectors a text needs, as it stands and for what it hides, and whether it can hold an escape. */
interface Plan {
  readonly surface: Rules;
  readonly hidden: Rules;
  readonly escaped: boolean;
}

function withExact(rules: CompiledRules, exact: ExactScrub | undefined): Rules {
  return exact === undefined ? rules.detectors : [exact.rule, ...rules.detectors];
}

function clean(text: string, plan: Plan, budget: DecodeBudget): { text: string; redactions: number } {
  let redactions = 0;
  const hit = (): void => {
    redactions += 1;
  };
  let before = text;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const hidden = hiddenSpans(before, plan.hidden, budget, plan.escaped);
    let after = replaceSpans(before, hidden, hit);
    for (const { detector, mark } of plan.surface)
      if (detector.possible(after)) after = replaceFound(after, detector, mark, hit);
    if (after === before) break;
    before = after;
    if (!UNCOVERED.test(after)) break;
  }
  return { text: before, redactions };
}

function replaceSpans(text: string, spans: readonly Span[], hit: () => void): string {
  if (spans.length === 0) return text;
  let out = '';
  let from = 0;
  for (const { start, end, mark } of spans) {
    hit();
    out += text.slice(from, start) + mark;
    from = end;
  }
  return out + text.slice(from);
}

/** Sanitises JSON deeply. Two fields that become the same name after redaction get a number, so that none is lost. */
export function sanitizeValue(value: unknown, rules: CompiledRules, exact?: ExactScrub): Sanitized {
  const all = withExact(rules, exact);
  const state: WalkState = {
    redactions: 0,
    keys: new Map(),
    texts: new Map(),
    secret_keys: rules.secret_keys,
    rules: all,
    plan: planFor(value, all),
    budget: newBudget(),
  };
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
  /** Short values repeat as well: labels, names, states. */
  readonly texts: Map<string, { readonly text: string; readonly redactions: number }>;
  readonly secret_keys: ReadonlySet<string>;
  readonly rules: Rules;
  readonly plan: Plan;
  readonly budget: DecodeBudget;
}

/**
 * One look at all strings together instead of one at each: what cannot stand in any of them is not sought in thousands
 * of short ones.
 */
function planFor(value: unknown, rules: Rules): Plan {
  const strings: Strings = { short: new Set(), long: [] };
  collect(value, strings);
  const together = [...strings.short, ...strings.long].join('\n');
  return {
    surface: rules.filter(({ detector }) => detector.alone === true || detector.possible(together)),
    hidden: rules,
    escaped: isEscaped(together),
  };
}

interface Strings {
  /** Short ones repeat: names of fields, labels, states. */
  readonly short: Set<string>;
  readonly long: string[];
}

function collect(value: unknown, strings: Strings): void {
  if (typeof value === 'string') {
    if (value.length > KNOWN_CHARS_MAX) strings.long.push(value);
    else if (value.length >= SECRET_CHARS_MIN) strings.short.add(value);
  } else if (typeof value === 'number') {
    if (value >= CARD_NUMBER_MIN) strings.long.push(String(value));
  } else if (Array.isArray(value)) for (const item of value) collect(item, strings);
  else if (typeof value === 'object' && value !== null)
    for (const [key, child] of Object.entries(value)) {
      if (key.length >= SECRET_CHARS_MIN) strings.short.add(key);
      collect(child, strings);
    }
}

/** No card has fewer than 13 digits. */
const CARD_NUMBER_MIN = 1e12;
const KNOWN_MAX = 10_000;
const KNOWN_CHARS_MAX = 64;

function walk(value: unknown, state: WalkState): unknown {
  if (typeof value === 'string') return cleanText(value, state);
  if (typeof value === 'number') return cleanNumber(value, state);
  if (Array.isArray(value)) return walkArray(value, state);
  if (typeof value !== 'object' || value === null) return value;
  return walkObject(value as Record<string, unknown>, state);
}

/** Spans that the neighbours of an object in its list give, by field. */
type FieldSpans = ReadonlyMap<string, readonly Span[]>;

const FIELDS_MAX = 20;

function walkArray(array: readonly unknown[], state: WalkState): unknown[] {
  if (array.length < 2) return array.map((item) => walk(item, state));
  if (typeof array[0] === 'string' || typeof array[1] === 'string') {
    const seams = seamSpans(array, state.rules, state.budget);
    return array.map((item, index) =>
      typeof item === 'string' ? cleanText(item, state, seams.get(index)) : walk(item, state),
    );
  }
  const fields = fieldSeams(array, state);
  return array.map((item, index) => {
    const spans = fields.get(index);
    return spans === undefined || !isObject(item) ? walk(item, state) : walkObject(item, state, spans);
  });
}

/** The same field of objects that follow each other: the lines of log entries. */
function fieldSeams(array: readonly unknown[], state: WalkState): ReadonlyMap<number, FieldSpans> {
  const spans = new Map<number, Map<string, readonly Span[]>>();
  const [first] = array;
  if (!isObject(first)) return spans;
  const names = Object.keys(first).filter((name) => typeof first[name] === 'string');
  for (const name of names.slice(0, FIELDS_MAX)) {
    const column = array.map((item) => (isObject(item) ? item[name] : undefined));
    for (const [index, found] of seamSpans(column, state.rules, state.budget)) {
      const known = spans.get(index) ?? new Map<string, readonly Span[]>();
      spans.set(index, known.set(name, found));
    }
  }
  return spans;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function walkObject(
  object: Record<string, unknown>,
  state: WalkState,
  seams?: FieldSpans,
): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  // An environment variable in Kubernetes' form: {name: DB_PASSWORD, value: ...}.
  const named_secret = typeof object['name'] === 'string' && knownKey(object['name'], state).secret;
  let renamed = false;
  for (const key of Object.keys(object)) {
    const child = object[key];
    const known = knownKey(key, state);
    const secret =
      isSecretText(child) &&
      (known.secret || (named_secret && key === 'value') || (key.endsWith('auth') && isPair(child)));
    renamed ||= known.clean !== key;
    const name = renamed ? freeName(shown, known.clean) : key;
    if (secret) state.redactions += 1;
    const value = secret ? SECRET_VALUE_MARK : walkField(child, state, seams?.get(key));
    if (name === '__proto__') define(shown, name, value);
    else shown[name] = value;
  }
  return shown;
}

function walkField(value: unknown, state: WalkState, seams: readonly Span[] | undefined): unknown {
  return typeof value === 'string' ? cleanText(value, state, seams) : walk(value, state);
}

/** An assignment to `__proto__` would set the prototype. */
export function define(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

function isSecretText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.startsWith('[REDACTED_');
}

function isSecretKey(key: string, secret_keys: ReadonlySet<string>): boolean {
  if (key.length > 80) return false;
  const flat = key.replaceAll(/[-_.]/g, '').toLowerCase();
  if (secret_keys.has(flat)) return true;
  for (const secret of secret_keys) if (flat.length > secret.length && flat.endsWith(secret)) return true;
  return false;
}

/** `seams`: what must go from this text because of the strings beside it. */
function cleanText(text: string, state: WalkState, seams?: readonly Span[]): string {
  if (seams !== undefined) return cleanSeams(text, seams, state);
  if (text.length < SECRET_CHARS_MIN) return text;
  const short = text.length <= KNOWN_CHARS_MAX;
  let found = short ? state.texts.get(text) : undefined;
  if (found === undefined) {
    found = clean(text, state.plan, state.budget);
    if (short && state.texts.size < KNOWN_MAX) state.texts.set(text, found);
  }
  state.redactions += found.redactions;
  return found.text;
}

/** What the seams take may be what shows a secret of the text itself, so that both are found before either goes. */
function cleanSeams(text: string, seams: readonly Span[], state: WalkState): string {
  const spans = spansWith(text, seams, state.rules, state.budget);
  const found = clean(
    replaceSpans(text, spans, () => {
      state.redactions += 1;
    }),
    state.plan,
    state.budget,
  );
  state.redactions += found.redactions;
  return found.text;
}

/** A card number may arrive as a JSON number; every other number is too short to be anything. */
function cleanNumber(value: number, state: WalkState): unknown {
  if (!Number.isInteger(value) || value < CARD_NUMBER_MIN) return value;
  const text = String(value);
  const shown = cleanText(text, state);
  return shown === text ? value : shown;
}

function knownKey(key: string, state: WalkState): KnownKey {
  const seen = state.keys.get(key);
  if (seen !== undefined) return seen;
  const known = { clean: cleanText(key, state), secret: isSecretKey(key, state.secret_keys) };
  if (state.keys.size < KNOWN_MAX) state.keys.set(key, known);
  return known;
}

/** A name that no field of the object has yet. */
export function freeName(object: Record<string, unknown>, name: string): string {
  if (!Object.hasOwn(object, name)) return name;
  let number = 2;
  while (Object.hasOwn(object, `${name}#${number}`)) number += 1;
  return `${name}#${number}`;
}
