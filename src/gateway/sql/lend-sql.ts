import type { Client, QueryArrayResult } from 'pg';
import type { Target } from '../../contract/tool.ts';
import type { PostgresDatabase } from '../../contract/system-postgres.ts';
import type { Credential } from '../credentials/credential.ts';
import type { DriverSql, SqlRows, SqlSession, Upstream } from '../drivers/driver.ts';
import type { TransportMode } from '../transport.ts';
import { UpstreamError } from '../upstream-error.ts';
import { commit } from './commit.ts';
import { connectSql, type SqlConnection } from './connect.ts';
import { loadSqlParser, parseSql, unwrap } from './parse-sql.ts';
import { DATABASE_SQL, refuseSession, SESSION_SQL, sessionValues, SYSTEM_SQL } from './session-rules.ts';
import { asSqlError, type SqlPhase } from './sql-error.ts';

/**
 * The SQL face that a driver is lent for one call. Here, below every driver, stand the rules that no driver can
 * forget: a read runs in a read-only transaction, a preview is never committed, no statement of a driver controls a
 * transaction or the session, and the role, the time and the bytes are limited.
 */
export interface SqlOptions {
  readonly upstream: Upstream;
  readonly target: Target;
  readonly mode: TransportMode;
  readonly credential: Credential | null;
  readonly unsafe_endpoints: boolean;
  readonly call_id: string;
  readonly timeout_ms: number;
  readonly bytes_max: number;
  readonly signal: AbortSignal | undefined;
}

/** What a server says around the rows themselves. */
const WIRE_MARGIN_BYTES = 262_144;
const FETCH_ROWS = 200;

const READS: ReadonlySet<string> = new Set(['SelectStmt', 'ExplainStmt']);
const CHANGES: ReadonlySet<string> = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt']);

export function lendSql(options: SqlOptions): DriverSql {
  const deadline_at = performance.now() + options.timeout_ms;
  return {
    read: (work) =>
      inTransaction(options, deadline_at, 'READ ONLY', async (session) => ({
        keep: false,
        value: await work(session),
      })),
    change: (work) => {
      if (options.mode === 'read') throw blocked('a read may not change anything');
      return inTransaction(options, deadline_at, 'READ WRITE', work);
    },
  };
}

type Access = 'READ ONLY' | 'READ WRITE';

async function inTransaction<T>(
  options: SqlOptions,
  deadline_at: number,
  access: Access,
  work: (session: SqlSession) => Promise<{ readonly keep: boolean; readonly value: T }>,
): Promise<T> {
  const config = databaseOf(options.upstream);
  await loadSqlParser();
  const connect = () =>
    connectSql({
      ...options,
      config,
      timeout_ms: left(deadline_at),
      wire_bytes_max: options.bytes_max + WIRE_MARGIN_BYTES,
    });
  if (options.signal?.aborted === true) throw aborted();
  const connection = await connect();
  const guard = watch(connection, deadline_at, options.signal);
  let phase: SqlPhase = 'work';
  try {
    await begin(connection.client, access, options.target.namespace, config, left(deadline_at));
    const { keep, value } = await work(lentSession(connection.client, access));
    // The one place that commits: never in a read, never in a preview, whatever the driver answered.
    if (keep && access === 'READ WRITE' && options.mode === 'write') {
      phase = 'commit';
      await commit(connection.client, connect);
    } else await connection.client.query('ROLLBACK');
    return value;
  } catch (error) {
    throw explain(error, phase, connection, guard);
  } finally {
    guard.done();
    await connection.close();
  }
}

/** The order matters: what is set here no statement of a driver can set back. */
async function begin(
  client: Client,
  access: Access,
  schema: string,
  config: PostgresDatabase,
  left_ms: number,
): Promise<void> {
  if (access === 'READ ONLY') await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ ${access}`);
  const statement_ms = Math.min(left_ms, config.statement_ms_max);
  const values = sessionValues({ schema, statement_ms, lock_ms: config.lock_ms_max });
  const { rows } = await ask(client, SESSION_SQL, values);
  refuseSession(rows[0] ?? [], schema);
}

function lentSession(client: Client, access: Access): SqlSession {
  const allowed = access === 'READ ONLY' ? READS : CHANGES;
  return {
    databaseId: async () => {
      const [oid, may_ask] = (await ask(client, DATABASE_SQL, [])).rows[0] ?? [];
      const system = may_ask === 't' ? (await ask(client, SYSTEM_SQL, [])).rows[0]?.[0] : null;
      return `${system ?? '-'}.${oid ?? '-'}`;
    },
    query: async (text, values) => {
      refuseStatement(text, allowed);
      return ask(client, text, values);
    },
    fetch: async (text, values, limits) => {
      refuseStatement(text, new Set(['SelectStmt']));
      return fetchRows(client, text, values, limits);
    },
  };
}

/** No driver ends a transaction, changes the session or sends two statements at once. */
function refuseStatement(text: string, allowed: ReadonlySet<string>): void {
  const parsed = parseSql(text);
  if (!parsed.ok) throw blocked(`the statement cannot be parsed: ${parsed.reason}`);
  const [statement, ...more] = parsed.statements;
  const type = statement === undefined ? 'nothing' : unwrap(statement).type;
  if (more.length > 0 || !allowed.has(type)) throw blocked(`${type} is not sent by any tool here`);
}

async function ask(client: Client, text: string, values: readonly unknown[]): Promise<SqlRows> {
  const answer = await client.query<(string | null)[]>({ text, values: [...values], rowMode: 'array' });
  return rowsOf(answer, answer.rows, false);
}

/** Through a cursor, so that what nobody can use never arrives. */
async function fetchRows(
  client: Client,
  text: string,
  values: readonly unknown[],
  { rows_max, bytes_max }: { readonly rows_max: number; readonly bytes_max: number },
): Promise<SqlRows> {
  await client.query({ text: `DECLARE aegis NO SCROLL CURSOR FOR ${text}`, values: [...values] });
  const rows: (string | null)[][] = [];
  let bytes = 0;
  for (;;) {
    const wanted = Math.min(FETCH_ROWS, rows_max + 1 - rows.length);
    const page = await client.query<(string | null)[]>({
      text: `FETCH FORWARD ${wanted} FROM aegis`,
      rowMode: 'array',
    });
    for (const row of page.rows) {
      bytes += row.reduce((sum, cell) => sum + (cell?.length ?? 0) + 4, 0);
      rows.push(row);
    }
    if (bytes > bytes_max) throw tooLarge(bytes_max);
    const more = rows.length > rows_max;
    if (!more && page.rows.length === wanted) continue;
    await client.query('CLOSE aegis');
    return rowsOf(page, rows.slice(0, rows_max), more);
  }
}

function rowsOf(
  answer: QueryArrayResult<(string | null)[]>,
  rows: (string | null)[][],
  more: boolean,
): SqlRows {
  return {
    columns: answer.fields.map(({ name, dataTypeID }) => ({ name, type_oid: dataTypeID })),
    rows,
    more,
  };
}

interface Guard {
  readonly ended: () => 'timeout' | 'aborted' | null;
  done(): void;
}

/** Cancels at the deadline and when the caller no longer wants the answer. */
function watch(connection: SqlConnection, deadline_at: number, signal: AbortSignal | undefined): Guard {
  let ended: 'timeout' | 'aborted' | null = null;
  const end = (why: 'timeout' | 'aborted'): void => {
    ended ??= why;
    connection.cancel();
  };
  const timer = setTimeout(() => end('timeout'), left(deadline_at));
  const abort = (): void => end('aborted');
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  return {
    ended: () => ended,
    done: () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    },
  };
}

function explain(error: unknown, phase: SqlPhase, connection: SqlConnection, guard: Guard): UpstreamError {
  const known = asSqlError(error, phase);
  if (known.info.problem !== 'dropped') return known;
  const { sent } = known.info;
  if (connection.overflowed())
    return new UpstreamError({
      problem: 'too-large',
      sent,
      status: null,
      message: 'the server sent more than can be used; ask for fewer columns or rows',
    });
  const ended = guard.ended();
  if (ended === 'aborted') return aborted();
  if (ended === null) return known;
  return new UpstreamError({ problem: 'timeout', sent, status: null, message: 'it did not answer in time' });
}

function databaseOf(upstream: Upstream): PostgresDatabase {
  if (upstream.system !== 'pg') throw blocked(`${upstream.system} is not spoken to in SQL`);
  return upstream.config;
}

function left(deadline_at: number): number {
  return Math.max(1, Math.ceil(deadline_at - performance.now()));
}

const aborted = (): UpstreamError =>
  new UpstreamError({ problem: 'aborted', sent: 'no', status: null, message: 'the call was aborted' });

const blocked = (message: string): UpstreamError =>
  new UpstreamError({ problem: 'blocked', sent: 'no', status: null, message });

const tooLarge = (bytes_max: number): UpstreamError =>
  new UpstreamError({
    problem: 'too-large',
    sent: 'no',
    status: null,
    message: `the result is larger than ${bytes_max} bytes; ask for fewer columns or rows`,
  });
