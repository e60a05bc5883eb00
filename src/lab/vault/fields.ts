/** Request fields as Vault's framework reads them: lenient about JSON types, strict about values. */
import { badRequest } from './envelope.ts';

export type Fields = Readonly<Record<string, unknown>>;

const UNITS_S: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
};

export function textField(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw badRequest(`error converting input for field "${name}": expected type 'string'`);
}

/** A list, or comma-separated text. */
export function listField(fields: Fields, name: string): string[] | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  const parts = typeof value === 'string' ? value.split(',') : value;
  if (!Array.isArray(parts)) throw badRequest(`error converting input for field "${name}": expected a list`);
  return parts.map((part) => String(part).trim()).filter((part) => part !== '');
}

export function boolField(fields: Fields, name: string): boolean | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (value === true || value === 'true' || value === 1) return true;
  if (value === false || value === 'false' || value === 0) return false;
  throw badRequest(
    `error converting input for field "${name}": strconv.ParseBool: parsing "${JSON.stringify(value)}": invalid syntax`,
  );
}

export function countField(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  const count = Number(value);
  if (!Number.isInteger(count))
    throw badRequest(`error converting input for field "${name}": expected an integer`);
  if (count < 0) throw badRequest(`${name} cannot be negative`);
  return count;
}

/** A duration in whole seconds: a number, digits, or Go text such as `1h30m`; `d` as Vault's parseutil allows. */
export function durationField(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string' && typeof value !== 'number')
    throw badRequest(`error converting input for field "${name}"`);
  const text = String(value).trim();
  if (/^\d+$/.test(text)) return Number(text);
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== text) {
    throw badRequest(`error converting input for field "${name}": time: invalid duration "${text}"`);
  }
  return Math.floor(parts.reduce((sum, part) => sum + Number(part[1]) * (UNITS_S[part[2] ?? ''] ?? 0), 0));
}

export function textMapField(fields: Fields, name: string): Record<string, string> | null {
  const value = fields[name];
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value))
    throw badRequest(`error converting input for field "${name}": expected a map`);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item)]));
}

export function parseFields(body: string): Fields {
  if (body.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw badRequest('failed to parse JSON input: invalid character in request body');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('failed to parse JSON input: request body must be an object');
  }
  return value as Fields;
}

/** Go's `time.Duration.String()` for whole seconds. */
export function goDuration(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (hours > 0) return `${hours}h${minutes}m${seconds % 60}s`;
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}
