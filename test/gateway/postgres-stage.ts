import type { PostgresDatabase, WhitelistedStatement } from '../../src/contract/system-postgres.ts';
import { startPostgres, type PostgresServer } from './postgres-server.ts';
import { startStage, type Stage, type StageOptions } from './stage.ts';

/** The stage with a real database in it: a queue of jobs, an audit table behind a trigger, somebody else's schema. */
export interface PostgresStage extends Stage {
  readonly server: PostgresServer;
}

export const READ_PASSWORD = 'read-password-Zq7Xw2';
export const WRITE_PASSWORD = 'write-password-Kp4Vn9';

export const SCHEMA_SQL = `
CREATE ROLE aegis_read LOGIN PASSWORD '${READ_PASSWORD}';
CREATE ROLE aegis_write LOGIN PASSWORD '${WRITE_PASSWORD}';
GRANT pg_read_all_stats TO aegis_read;
CREATE SCHEMA jobs;
CREATE SCHEMA fraud;
CREATE TYPE jobs.kind AS ENUM ('batch', 'stream');
CREATE TABLE jobs.job (id bigint PRIMARY KEY, state text NOT NULL, attempts int NOT NULL DEFAULT 0,
  note text, kind jobs.kind NOT NULL DEFAULT 'batch', CHECK (attempts >= 0));
CREATE TABLE jobs.job_limit (name text PRIMARY KEY, value numeric NOT NULL);
CREATE TABLE jobs.message (id bigint PRIMARY KEY, body text NOT NULL, number bigserial);
CREATE TABLE fraud.score (id int PRIMARY KEY, value int);
CREATE TABLE fraud.seen (at timestamptz DEFAULT clock_timestamp(), what text);
INSERT INTO jobs.job (id, state, attempts) VALUES (41, 'done', 1), (42, 'stuck', 3), (43, 'stuck', 5);
INSERT INTO jobs.job_limit VALUES ('workers', 4);
INSERT INTO fraud.score VALUES (1, 99);
CREATE FUNCTION fraud.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN INSERT INTO fraud.seen (what) VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER noted AFTER UPDATE OR INSERT OR DELETE ON jobs.job FOR EACH ROW EXECUTE FUNCTION fraud.note();
GRANT USAGE ON SCHEMA jobs TO aegis_read, aegis_write;
GRANT SELECT ON ALL TABLES IN SCHEMA jobs TO aegis_read, aegis_write;
GRANT UPDATE ON jobs.job, jobs.job_limit TO aegis_write;
GRANT INSERT, DELETE ON jobs.job, jobs.message TO aegis_write;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA jobs TO aegis_write;
GRANT USAGE ON SCHEMA fraud TO aegis_read;
GRANT SELECT ON ALL TABLES IN SCHEMA fraud TO aegis_read;
`;

export const RELEASE: WhitelistedStatement = {
  about: 'Puts one stuck job back into the queue.',
  schema: 'jobs',
  sql: "UPDATE job SET state = 'queued', attempts = 0 WHERE id = $1 AND state = 'stuck'",
  parameters: [{ name: 'job_id', type: 'int8', min: 1, chars_max: 200 }],
  tables: ['job'],
  rows_max: 1,
  observe: 'SELECT id, state, attempts FROM job WHERE id = $1',
  key: ['id'],
  compensate: 'UPDATE job SET state = $2, attempts = $3 WHERE id = $1',
};

export const STATEMENTS: Readonly<Record<string, WhitelistedStatement>> = {
  'release-job': RELEASE,
  'release-all': {
    ...RELEASE,
    parameters: [],
    rows_max: 10,
    sql: "UPDATE job SET state = 'queued', attempts = 0 WHERE state = 'stuck'",
    observe: 'SELECT id, state, attempts FROM job',
  },
  'post-message': {
    about: 'Leaves a message for the workers.',
    schema: 'jobs',
    sql: 'INSERT INTO message (id, body) VALUES ($1, $2)',
    parameters: [
      { name: 'id', type: 'int8', min: 1, chars_max: 200 },
      { name: 'body', type: 'text', chars_max: 20 },
    ],
    tables: ['message'],
    rows_max: 1,
    observe: 'SELECT id, body FROM message WHERE id = $1',
    key: ['id'],
    compensate: { none: 'workers have read it by then' },
  },
  'raise-limit': {
    about: 'Sets one of the limits.',
    schema: 'jobs',
    sql: 'UPDATE job_limit SET value = $2 WHERE name = $1',
    parameters: [
      { name: 'name', type: 'text', chars_max: 100 },
      { name: 'value', type: 'numeric', min: 1, max: 100, chars_max: 200 },
    ],
    tables: ['job_limit'],
    rows_max: 1,
    observe: 'SELECT name, value FROM job_limit WHERE name = $1',
    key: ['name'],
    compensate: 'UPDATE job_limit SET value = $2 WHERE name = $1',
  },
  'forget-job': {
    ...RELEASE,
    sql: 'DELETE FROM job WHERE id = $1',
    observe: 'SELECT id, state, attempts FROM job WHERE id = $1',
    compensate: { none: 'a row that is gone is gone' },
  },
  'empty-jobs': { ...RELEASE, parameters: [], sql: 'TRUNCATE job' },
  'hand-out': { ...RELEASE, parameters: [], sql: 'GRANT SELECT ON job TO PUBLIC' },
};

export function databaseOf(
  server: Pick<PostgresServer, 'socket' | 'port'>,
  change: Partial<PostgresDatabase> = {},
): PostgresDatabase {
  return {
    host: server.socket,
    port: server.port,
    database: 'postgres',
    tls: 'verify',
    credentials: {
      engine: 'password',
      read: { username: 'aegis_read', password: { env: 'PG_READ' } },
      write: { username: 'aegis_write', password: { env: 'PG_WRITE' } },
    },
    rows_max: 1000,
    bytes_max: 1_000_000,
    statement_ms_max: 10_000,
    lock_ms_max: 2000,
    statements: STATEMENTS,
    ...change,
  };
}

export async function startPostgresStage(
  options: {
    readonly database?: (server: PostgresServer) => Partial<PostgresDatabase>;
    readonly server?: Parameters<typeof startPostgres>[0];
    readonly stage?: StageOptions;
    /** Puts something in front of the server: its port in, the port that the gateway uses out. */
    readonly wrapPort?: (port: number) => Promise<number>;
  } = {},
): Promise<PostgresStage> {
  const server = await startPostgres(options.server);
  await server.admin(SCHEMA_SQL);
  const port = (await options.wrapPort?.(server.port)) ?? server.port;
  const stage = await startStage({
    ...options.stage,
    secrets: { PG_READ: READ_PASSWORD, PG_WRITE: WRITE_PASSWORD, ...options.stage?.secrets },
    settings: (settings) =>
      withDatabase(settings, databaseOf({ ...server, port }, options.database?.(server))),
  });
  return {
    ...stage,
    server,
    close: async () => {
      await stage.close();
      await server.close();
    },
  };
}

function withDatabase(settings: Stage['settings'], database: PostgresDatabase): Stage['settings'] {
  const owned = (namespaces: string[]) => ({ system: 'pg' as const, name: 'main', namespaces });
  const { data, fraud } = settings.teams;
  const prod = (team: typeof data, namespaces: string[]) => ({
    environments: { prod: { ...team?.environments['prod'], systems: [owned(namespaces)] } },
  });
  return {
    ...settings,
    databases: { main: database },
    teams: { data: prod(data, ['jobs']), fraud: prod(fraud, ['fraud']) } as Stage['settings']['teams'],
  };
}
