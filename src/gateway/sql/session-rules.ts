import { UpstreamError } from '../upstream-error.ts';

/** What the face asks and sets at the beginning of each transaction, and what it refuses to work with. */
export interface SessionLimits {
  readonly schema: string;
  readonly statement_ms: number;
  readonly lock_ms: number;
}

/** Settings end with the transaction, so that a pooler in front hands nothing on to somebody else. */
export const SESSION_SQL = `SELECT
  set_config('search_path', 'pg_catalog, ' || quote_ident($1) || ', pg_temp', true),
  set_config('statement_timeout', $2, true),
  set_config('lock_timeout', $3, true),
  set_config('idle_in_transaction_session_timeout', $4, true),
  set_config('timezone', 'UTC', true),
  set_config('datestyle', 'ISO, YMD', true),
  set_config('intervalstyle', 'iso_8601', true),
  set_config('bytea_output', 'hex', true),
  set_config('row_security', 'on', true),
  current_setting('server_version_num'),
  to_regnamespace(quote_ident($1)) IS NOT NULL,
  (SELECT concat_ws(', ',
    CASE WHEN rolsuper THEN 'is a superuser' END,
    CASE WHEN rolreplication THEN 'may replicate' END,
    CASE WHEN rolcreaterole THEN 'may create roles' END,
    CASE WHEN rolbypassrls THEN 'passes by row security' END)
   FROM pg_roles WHERE rolname = current_user),
  (SELECT string_agg(rolname, ', ') FROM pg_roles
   WHERE rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
   AND pg_has_role(current_user, oid, 'MEMBER')),
  (SELECT string_agg(DISTINCT proname, ', ') FROM pg_proc
   WHERE proname IN ('pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'lo_import', 'lo_export',
     'dblink', 'dblink_exec', 'dblink_connect', 'dblink_connect_u', 'dblink_open', 'dblink_send_query')
   AND has_function_privilege(current_user, oid, 'EXECUTE'))`;

export function sessionValues({ schema, statement_ms, lock_ms }: SessionLimits): string[] {
  return [schema, String(statement_ms), String(lock_ms), String(statement_ms + 5000)];
}

const VERSION_MIN = 130_000;

/** @throws UpstreamError for a role that could do more than a session can forbid, and for a schema that is not there. */
export function refuseSession(row: readonly (string | null)[], schema: string): void {
  const [version, exists, attributes, groups, functions] = row.slice(9);
  if (Number(version) < VERSION_MIN) throw refused('invalid', 'PostgreSQL before 13 is not spoken to');
  const rights = [
    ...(attributes === '' || attributes == null ? [] : [`it ${attributes}`]),
    ...(groups == null ? [] : [`it is a member of ${groups}`]),
    ...(functions == null ? [] : [`it may call ${functions}`]),
  ];
  if (rights.length > 0)
    throw refused(
      'blocked',
      `the role has rights that no session can take from it, and is not used: ${rights.join('; ')}. Take them away (README, PostgreSQL)`,
    );
  if (exists !== 't') throw refused('not-found', `there is no schema ${schema}`);
}

/** Managed databases may keep the identifier of the system to themselves; asking for it must then not be tried. */
export const DATABASE_SQL = `SELECT oid::text, has_function_privilege('pg_control_system()', 'EXECUTE')
  FROM pg_database WHERE datname = current_database()`;
export const SYSTEM_SQL = 'SELECT system_identifier::text FROM pg_control_system()';

function refused(problem: 'blocked' | 'invalid' | 'not-found', message: string): UpstreamError {
  return new UpstreamError({ problem, sent: 'no', status: null, message });
}
