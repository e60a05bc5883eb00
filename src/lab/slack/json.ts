// Reading loose JSON: a wrong type reads as empty, never as "[object Object]".
export type Json = Record<string, unknown>;

export function str(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? value : '';
}

export function items(value: unknown): Json[] {
  return Array.isArray(value) ? (value as Json[]) : [];
}
