import type { Client } from 'pg';
import { UpstreamError } from '../upstream-error.ts';
import type { SqlConnection } from './connect.ts';
import { asSqlError } from './sql-error.ts';

/**
 * COMMIT whose lost answer can be asked for: the server is told the transaction's id before, and after a cut it says
 * what became of that id. The marker also names system and timeline, since after a fail-over the same id may be
 * another transaction's.
 */
const MARKER_SQL = `SELECT pg_current_xact_id()::text, ${identitySql()}`;

function identitySql(): string {
  return `(SELECT system_identifier::text FROM pg_control_system())
  || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)`;
}

/** Pauses before each question after a cut: a server that restarts is back within these. */
const ASK_PAUSES_MS = [0, 200, 500, 1000, 2000] as const;

/** @throws UpstreamError; `sent: maybe` only when nobody can say what happened. */
export async function commit(client: Client, reconnect: () => Promise<SqlConnection>): Promise<void> {
  const marker = await readMarker(client);
  try {
    await client.query('COMMIT');
    return;
  } catch (error) {
    const known = asSqlError(error, 'commit');
    if (known.info.sent !== 'maybe' || marker === null) throw known;
    const fate = await fateOf(marker, reconnect);
    if (fate === 'committed') return;
    if (fate === 'unknown') throw known;
    throw new UpstreamError({
      ...known.info,
      sent: 'answered',
      message: `${known.info.message}; the server says that the transaction was not committed`,
    });
  }
}

interface Marker {
  readonly xid: string;
  readonly timeline: string;
}

/** Null where the role may not ask: then only the object itself shows what happened. */
async function readMarker(client: Client): Promise<Marker | null> {
  await client.query('SAVEPOINT marker');
  try {
    const { rows } = await client.query<(string | null)[]>({ text: MARKER_SQL, rowMode: 'array' });
    const [xid, timeline] = rows[0] ?? [];
    return xid == null || timeline == null ? null : { xid, timeline };
  } catch (error) {
    if (asSqlError(error, 'work').info.problem === 'dropped') throw asSqlError(error, 'work');
    await client.query('ROLLBACK TO SAVEPOINT marker');
    return null;
  }
}

async function fateOf(
  marker: Marker,
  reconnect: () => Promise<SqlConnection>,
): Promise<'committed' | 'aborted' | 'unknown'> {
  for (const ms of ASK_PAUSES_MS) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    const status = await askOnce(marker, reconnect);
    if (status === 'committed' || status === 'aborted') return status;
  }
  return 'unknown';
}

async function askOnce(
  { xid, timeline }: Marker,
  reconnect: () => Promise<SqlConnection>,
): Promise<string | null> {
  let connection: SqlConnection | null = null;
  try {
    connection = await reconnect();
    const { rows } = await connection.client.query<(string | null)[]>({
      text: `SELECT pg_xact_status($1::xid8), ${identitySql()}`,
      values: [xid],
      rowMode: 'array',
    });
    const [status, now] = rows[0] ?? [];
    return now === timeline ? (status ?? null) : null;
  } catch {
    return null;
  } finally {
    await connection?.close();
  }
}
