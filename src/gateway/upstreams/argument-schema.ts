import { z } from 'zod';

/**
 * Arguments against the pinned JSON schema of an external tool. The schema is a stranger's text: its patterns would run
 * on an engine that can be made to hang, and its ids would meet those of other servers, so neither reaches the
 * validator. The server checks its own patterns; here it is enough to send nothing that is plainly wrong.
 */
type Schema = Readonly<Record<string, unknown>>;

export type ArgumentSchema = z.ZodType<Record<string, unknown>>;

const DROPPED: ReadonlySet<string> = new Set([
  'pattern',
  'patternProperties',
  '$id',
  'id',
  '$schema',
  '$async',
]);
/** Below these, keys are names that the author chose. */
const NAMED: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions', 'dependentSchemas']);
/** Below these stands data. */
const DATA: ReadonlySet<string> = new Set([
  'enum',
  'const',
  'default',
  'examples',
  'required',
  'dependentRequired',
]);
const MESSAGE_CHARS_MAX = 300;

/** @throws Error when the schema cannot be compiled; such a tool is not offered. */
export async function argumentSchema(input_schema: Schema): Promise<ArgumentSchema> {
  const { AjvJsonSchemaValidator } = await import('@modelcontextprotocol/sdk/validation/ajv');
  // One validator for each tool: a shared one would know schemas of other servers by their names.
  const validate = new AjvJsonSchemaValidator().getValidator(withoutPatterns(input_schema) as never);
  return z.record(z.string(), z.unknown()).superRefine((args, context) => {
    const answer = validate(args);
    if (!answer.valid)
      context.addIssue({ code: 'custom', message: answer.errorMessage.slice(0, MESSAGE_CHARS_MAX) });
  });
}

/** Pure: the schema as the validator gets it. */
export function withoutPatterns(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutPatterns);
  if (typeof schema !== 'object' || schema === null) return schema;
  const open = Object.hasOwn(schema, 'patternProperties');
  const entries = Object.entries(schema)
    .filter(([key]) => !DROPPED.has(key) && !(open && key === 'additionalProperties'))
    .map(([key, value]): [string, unknown] => {
      if (DATA.has(key)) return [key, value];
      if (NAMED.has(key) && typeof value === 'object' && value !== null)
        return [
          key,
          Object.fromEntries(Object.entries(value).map(([name, child]) => [name, withoutPatterns(child)])),
        ];
      return [key, withoutPatterns(value)];
    });
  return Object.fromEntries(entries);
}
