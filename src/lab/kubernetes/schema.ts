/** A small structural schema: types, patterns, required and unknown fields, with the API server's error texts. */
import { isObject } from '../world/kube-object.ts';
import type { StatusCause } from './status.ts';

export interface Schema {
  type: 'object' | 'array' | 'string' | 'integer' | 'boolean' | 'any';
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  /** Values of a map with free keys. */
  values?: Schema;
  items?: Schema;
  pattern?: string;
  options?: readonly string[];
  minimum?: number;
}

export const ANY: Schema = { type: 'any' };
export const STRING: Schema = { type: 'string' };
export const BOOLEAN: Schema = { type: 'boolean' };
export const STRING_MAP: Schema = { type: 'object', values: STRING };

export function integer(minimum?: number): Schema {
  return minimum === undefined ? { type: 'integer' } : { type: 'integer', minimum };
}

export function object(properties: Record<string, Schema>, required: string[] = []): Schema {
  return { type: 'object', properties, required };
}

export function listOf(items: Schema): Schema {
  return { type: 'array', items };
}

export interface Checked {
  /** The value without fields that the schema does not know. */
  value: unknown;
  /** Paths of the removed fields. */
  unknown: string[];
  causes: StatusCause[];
}

export function checkSchema(schema: Schema, value: unknown, path = ''): Checked {
  const wrong = (message: string, reason = 'FieldValueInvalid'): Checked => ({
    value,
    unknown: [],
    causes: [{ reason, message, field: path }],
  });
  if (schema.type === 'any') return { value, unknown: [], causes: [] };
  const actual = typeName(value);
  if (actual !== schema.type) {
    const shown = JSON.stringify(actual);
    return wrong(
      `Invalid value: ${shown}: ${path} in body must be of type ${schema.type}: ${shown}`,
      'FieldValueTypeInvalid',
    );
  }
  if (isObject(value)) return checkObject(schema, value, path);
  if (Array.isArray(value)) {
    const checked = value.map((item, index) => checkSchema(schema.items ?? ANY, item, `${path}[${index}]`));
    return combine(
      checked.map(({ value: item }) => item),
      checked,
    );
  }
  if (typeof value === 'string') {
    if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) {
      return wrong(
        `Invalid value: ${JSON.stringify(value)}: ${path} in body should match '${schema.pattern}'`,
      );
    }
    if (schema.options !== undefined && !schema.options.includes(value)) {
      const options = schema.options.map((option) => JSON.stringify(option)).join(', ');
      return wrong(
        `Unsupported value: ${JSON.stringify(value)}: supported values: ${options}`,
        'FieldValueNotSupported',
      );
    }
  }
  if (typeof value === 'number' && schema.minimum !== undefined && value < schema.minimum) {
    return wrong(
      `Invalid value: ${value}: ${path} in body should be greater than or equal to ${schema.minimum}`,
    );
  }
  return { value, unknown: [], causes: [] };
}

function checkObject(schema: Schema, value: Record<string, unknown>, path: string): Checked {
  const kept: Record<string, unknown> = {};
  const parts: Checked[] = [];
  for (const [key, item] of Object.entries(value)) {
    const place = path === '' ? key : `${path}.${key}`;
    const inner = schema.properties?.[key] ?? schema.values;
    if (inner === undefined) {
      if (schema.properties === undefined) kept[key] = item;
      else parts.push({ value: undefined, unknown: [place], causes: [] });
      continue;
    }
    // A null in a field that does not allow it is dropped, as the server's defaulting does.
    if (item === null) continue;
    const checked = checkSchema(inner, item, place);
    kept[key] = checked.value;
    parts.push(checked);
  }
  for (const key of schema.required ?? []) {
    if (value[key] !== undefined && value[key] !== null) continue;
    const cause = {
      reason: 'FieldValueRequired',
      message: 'Required value',
      field: path === '' ? key : `${path}.${key}`,
    };
    parts.push({ value: undefined, unknown: [], causes: [cause] });
  }
  return combine(kept, parts);
}

function combine(value: unknown, parts: readonly Checked[]): Checked {
  return {
    value,
    unknown: parts.flatMap(({ unknown }) => unknown),
    causes: parts.flatMap(({ causes }) => causes),
  };
}

function typeName(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (value === null) return 'null';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}
