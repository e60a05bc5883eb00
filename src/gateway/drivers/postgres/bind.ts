import type { SqlType, StatementParameter } from '../../../contract/system-postgres.ts';
import { blocked } from '../answer-json.ts';
import { nodesBelow, parseSql } from '../../sql/parse-sql.ts';

/** Bind parameters: checked here, cast by the server, never part of the text. */
export type SqlValue = string | number | boolean | null;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const TIMESTAMP = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d(?::?\d\d)?)$/;
const NUMERIC = /^-?\d{1,60}(?:\.\d{1,60})?$/;
const INT8_MAX = 2n ** 63n - 1n;

/** The value as it is bound; null when it is none of this type. */
export function bindText(type: SqlType, value: Exclude<SqlValue, null>): string | null {
  const text = String(value);
  if (text.includes('\0')) return null;
  if (type === 'bool') return typeof value === 'boolean' ? text : null;
  if (type === 'text') return typeof value === 'string' ? value : null;
  if (type === 'uuid') return UUID.test(text) ? text.toLowerCase() : null;
  if (type === 'timestamptz') return TIMESTAMP.test(text) ? text : null;
  if (typeof value === 'boolean' || !NUMERIC.test(text)) return null;
  if (type === 'numeric') return text;
  if (typeof value === 'number' && !Number.isSafeInteger(value)) return null;
  if (!/^-?\d{1,19}$/.test(text)) return null;
  const int = BigInt(text);
  return int >= -INT8_MAX - 1n && int <= INT8_MAX ? int.toString() : null;
}

/**
 * Values of a statement's parameters in their order.
 * @throws UpstreamError `blocked` for one that is missing, unknown, of another type or out of its bounds.
 */
export function bindParameters(
  parameters: readonly StatementParameter[],
  given: Readonly<Record<string, SqlValue>>,
): string[] {
  const unknown = Object.keys(given).find((name) => !parameters.some((parameter) => parameter.name === name));
  if (unknown !== undefined) throw blocked(`there is no parameter ${unknown}`);
  return parameters.map((parameter) => {
    const value = Object.hasOwn(given, parameter.name) ? given[parameter.name] : null;
    if (value === undefined || value === null) throw blocked(`the parameter ${parameter.name} is missing`);
    const text = bindText(parameter.type, value);
    if (text === null) throw blocked(`the parameter ${parameter.name} is not of type ${parameter.type}`);
    const problem = boundProblem(parameter, text);
    if (problem !== null) throw blocked(`the parameter ${parameter.name} ${problem}`);
    return text;
  });
}

function boundProblem(
  { type, min, max, chars_max, values }: StatementParameter,
  text: string,
): string | null {
  if (values !== undefined && !values.some((value) => String(value) === text))
    return 'is not one of the values that it may have';
  if (type === 'text' && text.length > chars_max) return `is longer than ${chars_max} characters`;
  if (type !== 'int8' && type !== 'numeric') return null;
  // A bound is a number of the configuration; a value that no number holds is beyond it.
  const number = Number(text);
  if (min !== undefined && number < min) return `is below ${min}`;
  if (max !== undefined && number > max) return `is above ${max}`;
  return null;
}

export interface BoundSql {
  readonly sql: string;
  readonly values: readonly (string | null)[];
}

/**
 * The text with the values that it uses, numbered anew: a server refuses a value that no parameter names. With types,
 * `$1` becomes `CAST($1 AS int8)`, so that the server reads the value as what it was declared.
 */
export function bindSql(
  sql: string,
  values: readonly (string | null)[],
  types: readonly SqlType[] | null,
): BoundSql {
  const parsed = parseSql(sql);
  if (!parsed.ok) throw blocked('the statement cannot be parsed');
  const places = [...nodesBelow(parsed.statements)]
    .filter(({ type }) => type === 'ParamRef')
    .map(({ body }) => ({ at: Number(body['location'] ?? 0), number: Number(body['number']) }));
  const used = [...new Set(places.map(({ number }) => number))].toSorted((a, b) => a - b);
  let text = Buffer.from(sql);
  for (const { at, number } of places.toSorted((a, b) => b.at - a.at)) {
    const mark = `$${number}`;
    const here = text.subarray(at, at + mark.length).toString();
    if (number > values.length || here !== mark) throw blocked(`$${number} has no value`);
    const now = `$${used.indexOf(number) + 1}`;
    const type = types?.[number - 1];
    text = Buffer.concat([
      text.subarray(0, at),
      Buffer.from(type === undefined ? now : `CAST(${now} AS ${type})`),
      text.subarray(at + mark.length),
    ]);
  }
  return { sql: text.toString(), values: used.map((number) => values[number - 1] ?? null) };
}
