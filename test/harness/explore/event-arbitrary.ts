import fc from 'fast-check';
import { z } from 'zod';
import { canonicalJson } from '../../../src/contract/canonical.ts';
import { HarnessEvent } from '../../../src/harness/events.ts';
import type { EventType } from '../../../src/harness/events.ts';

/**
 * Well-formed events of every type, made from the schema itself: an event type or a field that somebody adds tomorrow is
 * generated from then on. What this cannot read it names, instead of leaving it out.
 */
interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly propertyNames?: Schema;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

const ITEMS_MAX = 3;
const CHARS_MAX = 24;
const MS_OF_2026 = { min: Date.UTC(2026, 0, 1), max: Date.UTC(2026, 11, 31) };

/** Fields whose schema has rules that JSON Schema cannot say. */
const KNOWN: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  expect: fc.constantFrom(
    { select: 'state', op: 'eq', value: 'COMPLETED' },
    { pattern: 'ERROR', op: 'none', control_pattern: 'INFO' },
  ),
};

const BY_TYPE = new Map(
  (z.toJSONSchema(HarnessEvent) as { oneOf: Schema[] }).oneOf.map((schema) => [
    schema.properties?.['type']?.const as EventType,
    schema,
  ]),
);

export const EVENT_TYPES: readonly EventType[] = [...BY_TYPE.keys()];

/** `count` events of a type, the same ones for the same seed. @throws when the schema says more than this can read. */
export function samplesOf(type: EventType, count: number, seed: number): HarnessEvent[] {
  const values = fc.sample(arbitraryOf(BY_TYPE.get(type) as Schema, type), { numRuns: count, seed });
  return values.map((value) => {
    // As it comes out of the inbox: keys of records in canonical order.
    const parsed = HarnessEvent.safeParse(JSON.parse(canonicalJson(value)));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw new Error(
      `"${type}" has a rule that its JSON Schema does not show (${issue?.path.join('.')}: ${issue?.message}): add the field to KNOWN in test/harness/explore/event-arbitrary.ts`,
    );
  });
}

function arbitraryOf(schema: Schema, path: string): fc.Arbitrary<unknown> {
  const known = KNOWN[path.split('.').at(-1) ?? ''];
  if (known !== undefined) return known;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map((one) => arbitraryOf(one, path)));
  if (typeof schema.type === 'object')
    return fc.oneof(...schema.type.map((type) => arbitraryOf({ ...schema, type }, path)));
  switch (schema.type) {
    case undefined:
      return fc.constantFrom<unknown>(null, '2g', 7, true, { nested: ['x'] });
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({
        min: Math.max(schema.minimum ?? 0, -1000),
        max: Math.min(schema.maximum ?? 1000, 1_000_000),
      });
    case 'number':
      return fc.double({ min: schema.minimum ?? 0, max: schema.maximum ?? 1000, noNaN: true });
    case 'string':
      return textOf(schema);
    case 'array':
      return fc.array(arbitraryOf(schema.items ?? {}, `${path}.item`), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? ITEMS_MAX, Math.max(ITEMS_MAX, schema.minItems ?? 0)),
      });
    case 'object':
      return objectOf(schema, path);
    default:
      throw new Error(
        `${path} is a ${schema.type}: teach arbitraryOf in test/harness/explore/event-arbitrary.ts to make one`,
      );
  }
}

const MATCHING = new Map<string, fc.Arbitrary<string>>();

/** Made once for a pattern: a hash stands in dozens of fields, and making its arbitrary takes longer than drawing from it. */
function matching(pattern: string): fc.Arbitrary<string> {
  const arbitrary = MATCHING.get(pattern) ?? fc.stringMatching(new RegExp(pattern));
  MATCHING.set(pattern, arbitrary);
  return arbitrary;
}

function textOf(schema: Schema): fc.Arbitrary<string> {
  if (schema.format === 'date-time') return fc.integer(MS_OF_2026).map((ms) => new Date(ms).toISOString());
  if (schema.pattern !== undefined)
    return matching(schema.pattern).filter((text) => text.length <= (schema.maxLength ?? Infinity));
  return fc.string({
    minLength: schema.minLength ?? 0,
    maxLength: Math.min(schema.maxLength ?? CHARS_MAX, CHARS_MAX),
  });
}

function objectOf(schema: Schema, path: string): fc.Arbitrary<unknown> {
  if (schema.properties !== undefined)
    return fc.record(
      Object.fromEntries(
        Object.entries(schema.properties).map(([name, field]) => [
          name,
          arbitraryOf(field, `${path}.${name}`),
        ]),
      ),
      { requiredKeys: [...(schema.required ?? [])] },
    );
  const values = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};
  return fc.dictionary(fc.stringMatching(/^[a-z/]{1,12}$/), arbitraryOf(values, `${path}.value`), {
    maxKeys: ITEMS_MAX,
  });
}
