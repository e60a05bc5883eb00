import { z } from 'zod';
import { loadSqlParser, nodesBelow, parseSql, withoutConstants } from '../../sql/parse-sql.ts';
import { answerJson } from '../answer-json.ts';
import { readTool, type CallHandle, type ReadAnswer, type SqlRows } from '../driver.ts';

const COMMON = {
  system: 'pg',
  base_class: 'read',
  dry_run: 'none',
  timeout_ms_max: 30_000,
  result_bytes_max: 4 * 1024 * 1024,
} as const;
const BYTES_MAX = 4_000_000;

const Limit = z.strictObject({ limit: z.int().min(1).max(1000).default(200) });

/** Who is connected and what they do; the text of a query without its constants, and only of this schema. */
const ACTIVITY_SQL = `SELECT pid, usename AS "user", application_name AS application, client_addr::text AS client, state,
  wait_event_type, wait_event, query_start, xact_start AS transaction_start, state_change,
  array_to_string(pg_blocking_pids(pid), ',') AS blocked_by, query
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY xact_start NULLS LAST, pid`;

export const PG_ACTIVITY = readTool({
  ...COMMON,
  name: 'pg.activity',
  description: 'Shows the connections of a PostgreSQL database: state, waits, ages, who blocks them.',
  target_kinds: ['activity'],
  input: Limit,
  read: async (handle, { limit }) => {
    const found = await handle.sql.read((session) =>
      session.fetch(ACTIVITY_SQL, [], { rows_max: limit, bytes_max: BYTES_MAX }),
    );
    return listed('connections', await hideTexts(handle, found, ['query']), ACTIVITY_SQL);
  },
});

const LOCKS_SQL = `SELECT waiting.pid, waiting.usename AS "user", waiting.application_name AS application,
  waiting.query_start AS waiting_since, waiting.wait_event, waiting.query,
  blocking.pid AS blocking_pid, blocking.usename AS blocking_user, blocking.application_name AS blocking_application,
  blocking.state AS blocking_state, blocking.xact_start AS blocking_transaction_start, blocking.query AS blocking_query,
  (SELECT string_agg(DISTINCT held.mode, ', ') FROM pg_locks held
   WHERE held.pid = waiting.pid AND NOT held.granted) AS wanted_mode,
  (SELECT string_agg(DISTINCT c.relname, ', ') FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
   WHERE l.pid = waiting.pid AND c.relkind IN ('r', 'p') AND c.relnamespace = to_regnamespace(quote_ident($1))) AS tables
FROM pg_stat_activity waiting
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocker(pid)
LEFT JOIN pg_stat_activity blocking ON blocking.pid = blocker.pid
WHERE waiting.datname = current_database()
ORDER BY waiting.query_start, waiting.pid`;

export const PG_LOCKS = readTool({
  ...COMMON,
  name: 'pg.locks',
  description: 'Shows who waits for a lock in a PostgreSQL database, and who holds it.',
  target_kinds: ['locks'],
  input: Limit,
  read: async (handle, { limit }) => {
    const found = await handle.sql.read((session) =>
      session.fetch(LOCKS_SQL, [handle.target.namespace], { rows_max: limit, bytes_max: BYTES_MAX }),
    );
    return listed('waiting', await hideTexts(handle, found, ['query', 'blocking_query']), LOCKS_SQL);
  },
});

const SCHEMA_SQL = `SELECT c.relname AS "table",
  CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind,
  c.reltuples::int8 AS rows_estimate, pg_total_relation_size(c.oid) AS bytes,
  (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
     'not_null', a.attnotnull) ORDER BY a.attnum)::text
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT json_agg(pg_get_indexdef(i.indexrelid) ORDER BY i.indexrelid)::text
   FROM pg_index i WHERE i.indrelid = c.oid) AS indexes,
  s.n_dead_tup AS dead_rows, s.last_autovacuum, s.last_autoanalyze
FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND ($2 = '-' OR c.relname = $2)
ORDER BY c.relname`;

export const PG_SCHEMA = readTool({
  ...COMMON,
  name: 'pg.schema',
  description:
    'Shows tables, columns, indexes and estimated rows of a schema, or of the table that the target names.',
  target_kinds: ['schema'],
  input: Limit,
  read: async (handle, { limit }) => {
    const { namespace, name } = handle.target;
    const found = await handle.sql.read((session) =>
      session.fetch(SCHEMA_SQL, [namespace, name], { rows_max: limit, bytes_max: BYTES_MAX }),
    );
    const { result, source_query } = listed('tables', found, SCHEMA_SQL);
    const tables = (result as { tables: Record<string, string | null>[] }).tables.map((table) => ({
      ...table,
      columns: parts(table['columns']),
      indexes: parts(table['indexes']),
    }));
    return { result: { ...(result as object), tables }, source_query };
  },
});

function listed(name: string, { columns, rows, more }: SqlRows, source_query: string): ReadAnswer {
  const objects = rows.map((row) =>
    Object.fromEntries(columns.map((column, index) => [column.name, row[index] ?? null])),
  );
  return { result: { [name]: objects, more }, source_query };
}

/** JSON that this file's own SQL has made. */
function parts(text: string | null | undefined): unknown {
  return text == null ? [] : answerJson(text);
}

const OTHER_SCHEMA = '[not shown: another schema]';
const NOT_UNDERSTOOD = '[not shown: not a whole statement]';
const OTHER_ROLE = '[not shown: the role lacks pg_read_all_stats]';

async function hideTexts(
  { target }: CallHandle,
  found: SqlRows,
  hidden: readonly string[],
): Promise<SqlRows> {
  await loadSqlParser();
  const at = new Set(found.columns.flatMap(({ name }, index) => (hidden.includes(name) ? [index] : [])));
  const shown = (text: string | null) =>
    text === null || text === '' ? text : shownText(text, target.namespace);
  return { ...found, rows: found.rows.map((row) => row.map((cell, n) => (at.has(n) ? shown(cell) : cell))) };
}

/** Constants are data of the rows, comments may be anything: neither is shown. */
function shownText(text: string, schema: string): string {
  if (text === '<insufficient privilege>') return OTHER_ROLE;
  const parsed = parseSql(text);
  const plain = withoutConstants(text);
  if (!parsed.ok || plain === null) return NOT_UNDERSTOOD;
  for (const { body } of nodesBelow(parsed.statements)) {
    const { schemaname } = body;
    if (typeof schemaname === 'string' && schemaname !== schema && schemaname !== 'pg_catalog')
      return OTHER_SCHEMA;
  }
  return plain.replaceAll(/\/\*[^]*?\*\/|--[^\n]*/g, ' ').trim();
}
