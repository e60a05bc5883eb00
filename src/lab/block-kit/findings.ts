// The rule engine under the Block Kit checker: small combinators that walk an unknown value and write down what Slack
// would say, in Slack's words, with a JSON pointer. Pure: no I/O, no clock. It never repairs a value and never stops at
// the first fault, because Slack lists all of them. The wording comes from recorded error bodies (see FIDELITY.md).

/** One complaint about one place. `expected` is set when the rule is a closed list of words. */
export interface Finding {
  pointer: string;
  message: string;
  expected?: readonly string[];
}

export type Surface = 'message' | 'modal' | 'home';

/** What one check run collects. `ids` remembers the block_ids seen so far on the surface. */
export interface CheckRun {
  surface: Surface;
  findings: Finding[];
  block_ids: Set<string>;
}

export type Rule = (value: unknown, at: string, run: CheckRun) => void;

export interface Shape {
  required?: readonly string[];
  fields: Readonly<Record<string, Rule>>;
}

export function complain(run: CheckRun, at: string, message: string, expected?: readonly string[]): void {
  run.findings.push(expected ? { pointer: at, message, expected } : { pointer: at, message });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Slack counts characters, not UTF-16 units. */
export function characters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

export function below(at: string, key: string | number): string {
  return `${at}/${escapePointer(String(key))}`;
}

/** An object with exactly these keys: unknown ones are refused, as Slack refuses them. */
export function object(shape: Shape): Rule {
  return (value, at, run) => {
    if (!isRecord(value)) {
      complain(run, at, 'must provide an object');
      return;
    }
    for (const key of shape.required ?? []) {
      if (value[key] === undefined || value[key] === null)
        complain(run, at, `missing required field: ${key}`);
    }
    for (const [key, inner] of Object.entries(value)) {
      const rule = shape.fields[key];
      if (!rule || !Object.hasOwn(shape.fields, key))
        complain(run, at, `invalid additional property: ${key}`);
      else if (inner === null && shape.required?.includes(key)) continue;
      else rule(inner, below(at, key), run);
    }
  };
}

/** A string of `min` to `max` characters. */
export function string(max: number, min = 1): Rule {
  return (value, at, run) => {
    if (typeof value !== 'string') {
      complain(run, at, 'must be a string');
      return;
    }
    const length = characters(value);
    if (length > max) complain(run, at, `must be less than ${max + 1} characters`);
    if (length < min) complain(run, at, `must be more than ${min - 1} characters`);
  };
}

export function oneOf(...words: string[]): Rule {
  return (value, at, run) => {
    if (typeof value !== 'string' || !words.includes(value)) {
      complain(run, at, 'must be a valid enum value', words);
    }
  };
}

export function boolean(value: unknown, at: string, run: CheckRun): void {
  if (typeof value !== 'boolean') complain(run, at, 'must be a boolean');
}

export function integer(min: number, max: number): Rule {
  return (value, at, run) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) complain(run, at, 'must be an integer');
    else if (value > max) complain(run, at, `must be less than ${max + 1}`);
    else if (value < min) complain(run, at, `must be more than ${min - 1}`);
  };
}

export function list(rule: Rule, max: number, min = 1): Rule {
  return (value, at, run) => {
    if (!Array.isArray(value)) {
      complain(run, at, 'must be an array');
      return;
    }
    if (value.length > max) complain(run, at, `no more than ${max} items allowed`);
    if (value.length < min) complain(run, at, `no less than ${min} items allowed`);
    for (const [index, item] of value.entries()) rule(item, below(at, index), run);
  };
}

/** An object whose `type` picks its rule; any other type is refused with the list of the allowed ones. */
export function byType(rules: Readonly<Record<string, Rule>>): Rule {
  return (value, at, run) => {
    if (!isRecord(value)) {
      complain(run, at, 'must provide an object');
      return;
    }
    const type = value['type'];
    if (type === undefined) {
      complain(run, at, 'missing required field: type');
      return;
    }
    const rule = typeof type === 'string' && Object.hasOwn(rules, type) ? rules[type] : undefined;
    if (rule) rule(value, at, run);
    else {
      const named = typeof type === 'string' ? type : JSON.stringify(type);
      complain(run, below(at, 'type'), `unsupported type: ${named}`, Object.keys(rules));
    }
  };
}

export function looseString(value: unknown, at: string, run: CheckRun): void {
  if (typeof value !== 'string') complain(run, at, 'must be a string');
}
