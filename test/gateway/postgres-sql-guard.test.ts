import fc from 'fast-check';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guardRead } from '../../src/gateway/drivers/postgres/read-guard.ts';
import { bindSql, bindText } from '../../src/gateway/drivers/postgres/bind.ts';
import { loadSqlParser } from '../../src/gateway/sql/parse-sql.ts';
import { ADMIN_PASSWORD, postgresIsHere, startPostgres, type PostgresServer } from './postgres-server.ts';
import { SCHEMA_SQL } from './postgres-stage.ts';

beforeAll(() => loadSqlParser());

const reasonOf = (sql: string): string => {
  const guarded = guardRead(sql, 'jobs');
  return guarded.ok ? 'PASSED' : guarded.reason;
};

/** Statement, and a part of the reason why it is refused. */
const HOSTILE: readonly (readonly [string, string])[] = [
  // Other statements than a SELECT.
  ['INSERT INTO job VALUES (1)', 'INSERT writes'],
  ["UPDATE job SET state = 'x'", 'UPDATE writes'],
  ['DELETE FROM job', 'DELETE writes'],
  ['MERGE INTO job USING job j ON true WHEN MATCHED THEN DELETE', 'MERGE writes'],
  ['TRUNCATE job', 'TruncateStmt'],
  ['DROP TABLE job', 'DropStmt'],
  ['CREATE TABLE x AS SELECT 1', 'CreateTableAsStmt'],
  ['CREATE TEMP TABLE x (a int)', 'CreateStmt'],
  ['CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', 'CreateFunctionStmt'],
  ['ALTER TABLE job ADD x int', 'AlterTableStmt'],
  ['GRANT ALL ON job TO PUBLIC', 'GrantStmt'],
  ['COPY job TO STDOUT', 'COPY'],
  ["COPY (SELECT 1) TO PROGRAM 'sh -c id'", 'COPY'],
  ["COPY job FROM '/etc/passwd'", 'COPY'],
  ['DO $$ BEGIN PERFORM pg_sleep(1); END $$', 'DO runs code'],
  ['CALL p()', 'CALL runs code'],
  ['SET search_path = fraud', 'SET changes the session'],
  ['SET TRANSACTION READ WRITE', 'SET changes the session'],
  ['RESET ALL', 'SET changes the session'],
  ['SHOW ALL', 'SHOW'],
  ['LISTEN x', 'ListenStmt'],
  ["NOTIFY x, 'y'", 'NotifyStmt'],
  ['LOCK TABLE job', 'LockStmt'],
  ['VACUUM job', 'VacuumStmt'],
  ['BEGIN', 'transactions'],
  ['COMMIT', 'transactions'],
  ['ROLLBACK', 'transactions'],
  ["PREPARE TRANSACTION 'x'", 'transactions'],
  ['PREPARE p AS SELECT 1', 'PrepareStmt'],
  ['EXECUTE p', 'ExecuteStmt'],
  ['DECLARE c CURSOR FOR SELECT 1', 'DeclareCursorStmt'],
  ['FETCH ALL FROM c', 'FetchStmt'],
  ["LOAD 'x'", 'LoadStmt'],
  ['CHECKPOINT', 'CheckPointStmt'],
  ['REFRESH MATERIALIZED VIEW m', 'RefreshMatViewStmt'],
  ['EXPLAIN ANALYZE SELECT 1', 'EXPLAIN ANALYZE'],
  ['EXPLAIN (ANALYZE false) SELECT 1', 'EXPLAIN ANALYZE'],
  ['EXPLAIN DELETE FROM job', 'DELETE writes'],
  ['EXPLAIN (BUFFERS) SELECT 1', 'EXPLAIN option'],
  // More than one, none, or not SQL.
  ['SELECT 1; SELECT 2', 'more than one'],
  ['SELECT 1; DELETE FROM job', 'more than one'],
  ['', 'cannot be parsed'],
  ['-- only a comment', 'no statement'],
  ['SELEKT 1', 'cannot be parsed'],
  ["SELECT 'open", 'cannot be parsed'],
  ['SELECT 1 \0 FROM job', 'NUL'],
  // Writing and locking inside of a SELECT.
  ['SELECT * INTO x FROM job', 'SELECT INTO'],
  ['SELECT * FROM job FOR UPDATE', 'FOR UPDATE'],
  ['SELECT * FROM job FOR KEY SHARE', 'FOR UPDATE'],
  ['SELECT * FROM (SELECT * FROM job FOR SHARE) x', 'FOR UPDATE'],
  ['WITH d AS (DELETE FROM job RETURNING id) SELECT * FROM d', 'DELETE writes'],
  ["WITH u AS (UPDATE job SET state = 'x' RETURNING id) SELECT 1", 'UPDATE writes'],
  ['WITH i AS (INSERT INTO job VALUES (9) RETURNING id) SELECT * FROM i', 'INSERT writes'],
  ['SELECT (WITH d AS (DELETE FROM job RETURNING 1) SELECT count(*) FROM d)', 'DELETE writes'],
  // Other places.
  ['SELECT * FROM fraud.score', 'outside of the schema'],
  ['SELECT * FROM public.x', 'outside of the schema'],
  ['SELECT * FROM postgres.jobs.job', 'another database'],
  ['SELECT * FROM job, fraud.score', 'outside of the schema'],
  ['SELECT (SELECT value FROM fraud.score LIMIT 1)', 'outside of the schema'],
  ['SELECT 1 WHERE EXISTS (SELECT 1 FROM fraud.score)', 'outside of the schema'],
  ['SELECT id FROM job UNION SELECT id FROM fraud.score', 'outside of the schema'],
  ['WITH x AS (SELECT * FROM fraud.score) SELECT * FROM x', 'outside of the schema'],
  ['SELECT * FROM job ORDER BY (SELECT value FROM fraud.score LIMIT 1)', 'outside of the schema'],
  ['SELECT * FROM job LIMIT (SELECT value FROM fraud.score LIMIT 1)', 'outside of the schema'],
  ['SELECT * FROM pg_authid', 'system catalog'],
  ['SELECT * FROM pg_catalog.pg_shadow', 'system catalog'],
  ['SELECT * FROM pg_stat_activity', 'system catalog'],
  ['SELECT * FROM pg_settings', 'system catalog'],
  ['SELECT * FROM information_schema.tables', 'outside of the schema'],
  // A CTE of the name of a catalog table does not reach as far as the sub-select beside it.
  ['SELECT * FROM (WITH pg_shadow AS (SELECT 1) SELECT * FROM pg_shadow) a, pg_shadow b', 'system catalog'],
  // Functions.
  ["SELECT pg_read_file('/etc/passwd')", 'pg_read_file'],
  ["SELECT pg_catalog.pg_read_file('/etc/passwd')", 'pg_read_file'],
  ['SELECT "pg_read_file"(\'/etc/passwd\')', 'pg_read_file'],
  ['SELECT U&"pg_\\0072ead_file"(\'/etc/passwd\')', 'pg_read_file'],
  ["SELECT * FROM pg_ls_dir('/')", 'pg_ls_dir'],
  ['SELECT pg_sleep(1000)', 'pg_sleep'],
  ["SELECT set_config('search_path', 'fraud', false)", 'set_config'],
  ["SELECT current_setting('data_directory')", 'current_setting'],
  ['SELECT pg_terminate_backend(pid) FROM job', 'pg_terminate_backend'],
  ["SELECT lo_import('/etc/passwd')", 'lo_import'],
  ["SELECT lo_export(1, '/tmp/x')", 'lo_export'],
  ["SELECT dblink('host=x', 'DELETE FROM job')", 'dblink'],
  ["SELECT nextval('s')", 'nextval'],
  ["SELECT pg_notify('x', 'y')", 'pg_notify'],
  ['SELECT pg_advisory_lock(1)', 'pg_advisory_lock'],
  ["SELECT query_to_xml('DELETE FROM job', true, true, '')", 'query_to_xml'],
  ["SELECT table_to_xml('fraud.score'::text, true, true, '')", 'table_to_xml'],
  ['SELECT pg_reload_conf()', 'pg_reload_conf'],
  ["SELECT pg_get_viewdef('fraud.v')", 'pg_get_viewdef'],
  ['SELECT jobs.own()', 'jobs.own'],
  ['SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL) FROM job', 'pg_sleep'],
  ['SELECT sum(id) OVER (ORDER BY pg_sleep(1)) FROM job', 'pg_sleep'],
  ['SELECT 1 FROM job GROUP BY pg_sleep(1)', 'pg_sleep'],
  ['SELECT 1 FROM job JOIN job b ON pg_sleep(1) IS NULL', 'pg_sleep'],
  ['SELECT CASE WHEN true THEN pg_sleep(1) END', 'pg_sleep'],
  ['SELECT ARRAY[pg_sleep(1)]', 'pg_sleep'],
  ['VALUES (pg_sleep(1))', 'pg_sleep'],
  ["SELECT repeat('x', 1000000000)", 'repeat'],
  // Attribute notation that PostgreSQL reads as a call.
  ["SELECT ('/etc/passwd'::text).pg_read_file", 'may call a function'],
  ["SELECT x.pg_read_file FROM lower('/etc/passwd') x", 'may call a function'],
  ["SELECT lower.pg_read_file FROM lower('/etc/passwd')", 'may call a function'],
  ['SELECT "coalesce".pg_read_file FROM COALESCE(\'/etc/passwd\')', 'needs a name'],
  ["SELECT q.* FROM lower('/etc/passwd') l, LATERAL (SELECT l.pg_read_file) q", 'may call a function'],
  ['SELECT ($1).pg_read_file', 'may call a function'],
  // Types, operators, the rest of the grammar.
  ["SELECT 'pg_authid'::regclass", 'the type regclass'],
  ["SELECT CAST('x' AS fraud.kind)", 'the type fraud.kind'],
  ['SELECT 1 OPERATOR(fraud.+) 2', 'without a schema'],
  ['SELECT a COLLATE fraud.x FROM job', 'without a schema'],
  ["SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS b text)", 'RangeTableFunc'],
  ['SELECT xmlparse(document \'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>\')', 'XmlExpr'],
  ['SELECT * FROM job TABLESAMPLE own(1)', 'RangeTableSample'],
  ['SELECT * FROM unnest(ARRAY[1]) AS x(a int)', 'column definition list'],
];

const HARMLESS: readonly string[] = [
  'SELECT 1',
  'TABLE job',
  "SELECT id, state FROM jobs.job WHERE state = 'stuck' AND id > $1 ORDER BY id DESC NULLS LAST LIMIT 10 OFFSET 2",
  'SELECT j.*, count(*) OVER (PARTITION BY state ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM job j',
  "SELECT date_trunc('hour', now()) AS h, count(*) FILTER (WHERE attempts > 1), avg(attempts)::numeric FROM job GROUP BY 1 HAVING count(*) > 0",
  'WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t',
  'SELECT a.id FROM job a LEFT JOIN LATERAL (SELECT id FROM job b WHERE b.id < a.id ORDER BY id DESC LIMIT 1) p ON true',
  'SELECT e.key, e.value FROM job, jsonb_each_text(\'{"a": 1}\'::jsonb) e',
  'SELECT g.n FROM generate_series(1, 10) AS g(n)',
  "SELECT extract(epoch FROM now() - interval '1 hour'), coalesce(note, ''), trim(state), state LIKE 's%', id BETWEEN 1 AND 2, now() AT TIME ZONE 'utc' FROM job",
  'EXPLAIN SELECT * FROM job',
  'EXPLAIN (FORMAT json, COSTS off) SELECT * FROM job',
  'SELECT DISTINCT ON (state) state, id, CASE WHEN attempts IS NULL THEN 0 ELSE 1 END, ARRAY[1, 2], (ARRAY[1])[1], ROW(1, 2) FROM job ORDER BY state',
  'SELECT kind::jobs.kind, id = ANY(ARRAY[41, 42]), id IN (SELECT id FROM job), EXISTS (SELECT 1) FROM job',
  'SELECT state, grouping(state), count(*) FROM job GROUP BY ROLLUP (state)',
  'SELECT * FROM pg_stat_database',
  'VALUES (1, 2), (3, 4)',
  'SELECT 1 UNION (SELECT 2 EXCEPT SELECT 3) INTERSECT SELECT 4',
  'SELECT 1; -- and no more',
];

describe('what a read may be', () => {
  it('has a table of hostile statements', () => expect(HOSTILE.length).toBeGreaterThanOrEqual(60));
  it.each(HOSTILE)('refuses %s', (sql, reason) => expect(reasonOf(sql)).toContain(reason));
  it.each(HARMLESS)('lets %s pass', (sql) => expect(reasonOf(sql)).toBe('PASSED'));

  it('refuses whatever nests too deeply, without falling over', () => {
    const nested = [
      `SELECT ${'1 + '.repeat(400)}1`,
      `SELECT ${'1 + '.repeat(4900)}1`,
      `SELECT ${'(SELECT '.repeat(2000)}1${')'.repeat(2000)}`,
      `SELECT ${'ARRAY['.repeat(300)}1${']'.repeat(300)}`,
      `${'SELECT 1 UNION '.repeat(1300)}SELECT 1`,
    ];
    for (const sql of nested) expect(reasonOf(sql)).toMatch(/nested too deeply|cannot be parsed/);
    expect(reasonOf('SELECT 1')).toBe('PASSED');
  });

  it('answers any text with a verdict, never an exception', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        expect(typeof guardRead(text, 'jobs').ok).toBe('boolean');
      }),
      { numRuns: 300 },
    );
  });
});

describe('bind parameters', () => {
  it('are cast where they stand, also behind letters of several bytes', () => {
    expect(bindSql("SELECT 'ä€𝕏' || $2, $1 -- $1", ['a', 'b'], ['int8', 'text'])).toEqual({
      sql: "SELECT 'ä€𝕏' || CAST($2 AS text), CAST($1 AS int8) -- $1",
      values: ['a', 'b'],
    });
  });

  it('that the text does not use are left out, and the others are numbered anew', () => {
    expect(bindSql('SELECT $3, $3', ['a', 'b', 'c'], null)).toEqual({ sql: 'SELECT $1, $1', values: ['c'] });
  });

  it.each([
    ['int8', '9223372036854775807', '9223372036854775807'],
    ['int8', '9223372036854775808', null],
    ['int8', 2 ** 60, null],
    ['int8', '1; DROP', null],
    ['int8', 1.5, null],
    ['bool', 'true', null],
    ['text', 'a\0b', null],
    ['text', 7, null],
    ['uuid', 'not-one', null],
    ['timestamptz', '2026-11-23', null],
    ['timestamptz', '2026-11-23T10:00:00Z', '2026-11-23T10:00:00Z'],
    ['numeric', 'NaN', null],
    ['numeric', '-0.50', '-0.50'],
  ] as const)('%s %j binds as %j', (type, value, text) => expect(bindText(type, value)).toBe(text));
});

const FUNCTION_CALLS = [
  'lower(state)', 'count(*)', 'now()', "nextval('jobs.message_number_seq')", 'lo_create(0)', "pg_notify('a', 'b')",
  "setval('jobs.message_number_seq', 7)", "set_config('a.b', 'c', false)", 'pg_advisory_lock(3)', 'fraud.write_something()',
  "('x'::text).length", "query_to_xml('DELETE FROM jobs.job', true, true, '')", 'x.length', 'write_something()',
]; // prettier-ignore
const TABLES = [
  'job', 'jobs.job', 'fraud.score', 'pg_class', "lower('a') x", 'generate_series(1, 2) x(n)', 'unnest(ARRAY[1]) state',
  '(SELECT * FROM job FOR UPDATE) x', "(SELECT 1 AS id, 'a' AS state) x", 'fraud.write_something() x',
]; // prettier-ignore
const TAILS = [
  '', ' FOR UPDATE', ' LIMIT 1', ' FOR SHARE SKIP LOCKED', '; DELETE FROM jobs.job', ' WHERE id = 41', ' -- x',
  ' UNION ALL SELECT 1', ' GROUP BY 1', ' ORDER BY nextval(\'jobs.message_number_seq\')', ' /* */ INTO jobs.made',
]; // prettier-ignore
const HEADS = [
  '', 'EXPLAIN ', 'EXPLAIN ANALYZE ', 'EXPLAIN (ANALYZE true) ', 'WITH w AS (SELECT 1) ', 'CREATE TABLE made AS ',
  'WITH w AS (DELETE FROM jobs.job RETURNING id) ', "WITH w AS (UPDATE jobs.job SET state = 'x') ", 'COPY (',
  'INSERT INTO jobs.job (id) ', 'WITH w AS MATERIALIZED (SELECT * FROM job) ', 'DECLARE c CURSOR WITH HOLD FOR ',
]; // prettier-ignore

describe.skipIf(!postgresIsHere())('nothing that the guard passes changes the database', () => {
  let server: PostgresServer;
  let client: Client;
  beforeAll(async () => {
    server = await startPostgres();
    await server.admin(SCHEMA_SQL);
    await server.admin(
      "CREATE FUNCTION fraud.write_something() RETURNS int LANGUAGE sql AS $$ INSERT INTO fraud.seen (what) VALUES ('x') RETURNING 1 $$",
    );
    client = new Client({
      host: server.socket,
      port: server.port,
      user: 'postgres',
      password: ADMIN_PASSWORD,
    });
    await client.connect();
    await client.query("SET search_path = pg_catalog, jobs, pg_temp; SET statement_timeout = '5s'");
  });
  afterAll(async () => {
    await client.end();
    await server.close();
  });

  const statement = fc
    .record({
      head: fc.constantFrom(...HEADS),
      what: fc.array(fc.constantFrom(...FUNCTION_CALLS, 'id', 'state', '*', '1', 'x'), {
        minLength: 1,
        maxLength: 3,
      }),
      from: fc.array(fc.constantFrom(...TABLES), { maxLength: 2 }),
      tail: fc.constantFrom(...TAILS),
    })
    .map(
      ({ head, what, from, tail }) =>
        `${head}SELECT ${what.join(', ')}${from.length === 0 ? '' : ` FROM ${from.join(', ')}`}${tail}`,
    );

  /** Run by a superuser in a transaction that may write: only the guard stands before the data here. */
  const written = async (sql: string): Promise<unknown> => {
    await client.query('BEGIN');
    try {
      await client.query({ text: sql, values: [] });
      const { rows } = await client.query<{
        xid: string | null;
        last: string;
        objects: string;
        set: string | null;
      }>(
        `SELECT pg_current_xact_id_if_assigned()::text AS xid, (SELECT last_value FROM jobs.message_number_seq)::text AS last,
          (SELECT count(*) FROM pg_largeobject_metadata)::text AS objects, current_setting('a.b', true) AS set`,
      );
      return rows[0];
    } catch {
      return NOTHING;
    } finally {
      await client.query('ROLLBACK');
    }
  };
  const NOTHING = { xid: null, last: '1', objects: '0', set: null };

  it('in two thousand statements put together from hostile parts', async () => {
    let passed = 0;
    await fc.assert(
      fc.asyncProperty(statement, async (sql) => {
        if (!guardRead(sql, 'jobs').ok) return;
        passed += 1;
        expect({ sql, ...((await written(sql)) as object) }).toEqual({ sql, ...NOTHING });
      }),
      { numRuns: 2000 },
    );
    expect(passed).toBeGreaterThan(30);
  });

  it('and this test would see it', async () => {
    expect(await written("SELECT nextval('jobs.message_number_seq')")).not.toEqual(NOTHING);
    await server.admin("SELECT setval('jobs.message_number_seq', 1, false)");
    expect(await written('SELECT * FROM job FOR UPDATE')).not.toEqual(NOTHING);
    expect(await written('SELECT lo_create(0)')).not.toEqual(NOTHING);
  });

  it('the catalog has no relation whose name does not begin with pg_', async () => {
    const found = await server.admin(
      "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relname NOT LIKE 'pg\\_%'",
    );
    expect(found).toEqual([]);
  });
});
