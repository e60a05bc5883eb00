import { z } from 'zod';
import { SqlType, type PostgresDatabase } from '../../../contract/system-postgres.ts';
import { loadSqlParser } from '../../sql/parse-sql.ts';
import { blocked } from '../answer-json.ts';
import { readTool, type CallHandle, type ReadAnswer, type SqlRows, type SqlSession } from '../driver.ts';
import { bindText, bindSql } from './bind.ts';
import { guardRead } from './read-guard.ts';

const QueryArgs = z.strictObject({
  sql: z.string().min(1).max(8000),
  /** Values of `$1`, `$2`, ...; the server reads each as its type. */
  parameters: z
    .array(
      z.strictObject({
        type: SqlType,
        value: z.union([z.string().max(8000), z.number(), z.boolean(), z.null()]),
      }),
    )
    .max(20)
    .default([]),
  limit: z.int().min(1).max(100_000).optional(),
});
type QueryArgs = z.infer<typeof QueryArgs>;

export const PG_QUERY = readTool({
  system: 'pg',
  base_class: 'read',
  dry_run: 'none',
  timeout_ms_max: 60_000,
  result_bytes_max: 4 * 1024 * 1024,
  name: 'pg.query',
  description: 'Runs one SELECT or EXPLAIN over the tables of one schema of a PostgreSQL database.',
  target_kinds: ['query'],
  input: QueryArgs,
  read: query,
});

async function query(handle: CallHandle, args: QueryArgs): Promise<ReadAnswer> {
  const { namespace } = handle.target;
  const config = databaseOf(handle);
  await loadSqlParser();
  const guarded = guardRead(args.sql, namespace);
  if (!guarded.ok) throw blocked(`the query is not run: ${guarded.reason}`);
  if (guarded.parameters !== args.parameters.length)
    throw blocked(
      `the query has ${guarded.parameters} parameters, and ${args.parameters.length} values came`,
    );
  const values = args.parameters.map(({ type, value }, index) => {
    const text = value === null ? null : bindText(type, value);
    if (value !== null && text === null) throw blocked(`the value of $${index + 1} is not of type ${type}`);
    return text;
  });
  const types = args.parameters.map((parameter) => parameter.type);
  const bound = bindSql(args.sql, values, types);
  const limits = {
    rows_max: Math.min(args.limit ?? config.rows_max, config.rows_max),
    bytes_max: config.bytes_max,
  };
  const found = await handle.sql.read(async (session) => {
    await refuseOwnFunctions(session, namespace, guarded.functions);
    return guarded.kind === 'explain'
      ? session.query(bound.sql, bound.values)
      : session.fetch(bound.sql, bound.values, limits);
  });
  const shown = values.length === 0 ? '' : ` -- ${JSON.stringify(values)}`;
  return { result: resultOf(found), source_query: `${bound.sql}${shown}` };
}

/** PostgreSQL prefers a function whose argument types fit better, wherever on the path it stands. */
async function refuseOwnFunctions(
  session: SqlSession,
  schema: string,
  functions: readonly string[],
): Promise<void> {
  if (functions.length === 0) return;
  const { rows } = await session.query(
    'SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident($1)) AND proname = ANY($2) LIMIT 1',
    [schema, [...functions]],
  );
  const own = rows[0]?.[0];
  if (own !== undefined)
    throw blocked(`the schema has its own function ${own}; write pg_catalog.${own} to call the built-in one`);
}

/** Names of the types that are often seen; others keep their number. */
const TYPE_NAMES: Readonly<Record<number, string>> = {
  16: 'bool',
  17: 'bytea',
  20: 'int8',
  21: 'int2',
  23: 'int4',
  25: 'text',
  114: 'json',
  700: 'float4',
  701: 'float8',
  1043: 'varchar',
  1082: 'date',
  1114: 'timestamp',
  1184: 'timestamptz',
  1186: 'interval',
  1700: 'numeric',
  2950: 'uuid',
  3802: 'jsonb',
};

/** Numbers that JavaScript holds exactly and truth values become JSON; everything else stays the server's text. */
function resultOf({ columns, rows, more }: SqlRows): Record<string, unknown> {
  const types = columns.map(({ type_oid }) => type_oid);
  return {
    columns: columns.map(({ name, type_oid }) => ({ name, type: TYPE_NAMES[type_oid] ?? `oid ${type_oid}` })),
    rows: rows.map((row) => row.map((cell, index) => (cell === null ? null : plain(types[index], cell)))),
    more,
  };
}

function plain(type: number | undefined, text: string): string | number | boolean {
  if (type === 16) return text === 't';
  return type === 21 || type === 23 ? Number(text) : text;
}

/** The configuration of the database of a call. */
export function databaseOf({ upstream }: Pick<CallHandle, 'upstream'>): PostgresDatabase {
  if (upstream.system !== 'pg') throw new Error('the postgres driver was called for another system');
  return upstream.config;
}
