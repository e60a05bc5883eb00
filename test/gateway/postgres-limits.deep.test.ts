import { generate } from 'selfsigned';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemChecks } from '../../src/cli/doctor-systems.ts';
import type { LoadedConfig } from '../../src/config.ts';
import { Secret } from '../../src/contract/secret.ts';
import type { PostgresDatabase } from '../../src/contract/system-postgres.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { lendSql } from '../../src/gateway/sql/lend-sql.ts';
import { ADMIN_PASSWORD, postgresIsHere, startPostgres, type PostgresServer } from './postgres-server.ts';
import { databaseOf, READ_PASSWORD, startPostgresStage, type PostgresStage } from './postgres-stage.ts';

const HERE = postgresIsHere();
const QUERY = 'mcp://pg/main/jobs/query/-';

describe.skipIf(!HERE)('reading PostgreSQL', () => {
  let stage: PostgresStage;
  beforeAll(async () => {
    stage = await startPostgresStage({
      database: () => ({ bytes_max: 200_000, rows_max: 500 }),
    });
  });
  afterAll(() => stage.close());

  const read = async (
    args: Record<string, unknown>,
    more: { tool?: string; target?: string; signal?: AbortSignal } = {},
  ): Promise<unknown> => {
    const answer = await stage.gateway.read(
      {
        token: await stage.token({ action_class: 'read' }),
        tool: more.tool ?? 'pg.query',
        target: more.target ?? QUERY,
        args,
        why: 'test',
      },
      more.signal,
    );
    return isRefusal(answer) ? `${answer.code}: ${answer.reason}` : answer.result;
  };
  const MANY = 'FROM generate_series(1, 10000) a(n), generate_series(1, 1000) b(m)';

  it('gives types, nulls and values that no number holds as the server writes them', async () => {
    const sql =
      "SELECT 9007199254740993 AS big, 7::int4 AS small, true AS yes, NULL::text AS none, 1.10 AS exact, '2026-11-23 10:00+01'::timestamptz AS at, kind FROM job WHERE id = $1";
    expect(await read({ sql, parameters: [{ type: 'int8', value: '41' }] })).toEqual({
      columns: [
        ['big', 'int8'], ['small', 'int4'], ['yes', 'bool'], ['none', 'text'], ['exact', 'numeric'],
        ['at', 'timestamptz'], ['kind', expect.stringMatching(/^oid \d+$/)],
      ].map(([name, type]) => ({ name, type })), // prettier-ignore
      rows: [['9007199254740993', 7, true, null, '1.10', '2026-11-23 09:00:00+00', 'batch']],
      more: false,
    });
  });

  it('explains', async () => {
    expect(JSON.stringify(await read({ sql: 'EXPLAIN SELECT * FROM job' }))).toContain('Seq Scan on job');
  });

  it('takes the first of ten million rows and leaves the others where they are', async () => {
    const before = process.memoryUsage().rss;
    const found = (await read({ sql: `SELECT a.n, b.m, md5(a.n::text) AS hash ${MANY}` })) as {
      rows: unknown[];
      more: boolean;
    };
    expect([found.rows.length, found.more]).toEqual([500, true]);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it('cuts a single value that is too large while it arrives', async () => {
    const before = process.memoryUsage().rss;
    const sql = `SELECT string_agg(md5(a.n::text), '') FROM generate_series(1, 1000) a(n), generate_series(1, 200) b(m)`;
    expect(await read({ sql })).toMatch(/^result-too-large/);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it('refuses more bytes than are allowed', async () => {
    expect(
      await read({
        sql: `SELECT md5(a.n::text), md5(b.m::text), md5('a'), md5('b'), md5('c'), md5('d'), md5('e'), md5('f'), md5('g'), md5('h'), md5('i'), md5('j'), md5('k'), md5('l'), md5('m') ${MANY}`,
      }),
    ).toMatch(/^result-too-large/);
  });

  it('stops at the server when nobody wants the answer any more', async () => {
    const stop = new AbortController();
    const reading = read(
      { sql: `SELECT count(*) ${MANY}, generate_series(1, 1000) c(k)` },
      { signal: stop.signal },
    );
    const running = async () =>
      Number(
        (
          await stage.server.admin(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND application_name LIKE 'call%' AND query LIKE 'FETCH%'",
          )
        )[0]?.['n'],
      );
    await expect.poll(running, { timeout: 10_000 }).toBe(1);
    stop.abort();
    expect(await reading).toMatch(/^call-aborted/);
    await expect.poll(running, { timeout: 3000 }).toBe(0);
  });

  it('refuses a function of the schema that hides a built-in one', async () => {
    await stage.server.admin(
      "CREATE FUNCTION jobs.lower(bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$",
    );
    expect(await read({ sql: 'SELECT lower(id) FROM job' })).toMatch(
      /^request-blocked: .*its own function lower/,
    );
    expect(await read({ sql: 'SELECT pg_catalog.lower(state) FROM job LIMIT 1' })).toMatchObject({
      more: false,
    });
    await stage.server.admin('DROP FUNCTION jobs.lower(bigint)');
  });

  it('keeps secrets out of error texts', async () => {
    await stage.server.admin(
      "UPDATE jobs.job SET note = 'AKIAIOSFODNN7EXAMPLE ana.planted@example.com' WHERE id = 41",
    );
    const answer = await read({ sql: 'SELECT note::int4 FROM job WHERE id = 41' });
    expect(answer).toMatch(/^source-rejected: .*invalid input syntax/);
    expect(answer).not.toMatch(/AKIAIOSFODNN7EXAMPLE|ana\.planted/);
  });

  it('counts values and parameters', async () => {
    expect(await read({ sql: 'SELECT $1', parameters: [] })).toMatch(/has 1 parameters, and 0 values/);
    expect(await read({ sql: 'SELECT 1', parameters: [{ type: 'int8', value: 1 }] })).toMatch(
      /0 parameters, and 1/,
    );
    expect(await read({ sql: 'SELECT $1', parameters: [{ type: 'int8', value: 'x' }] })).toMatch(
      /not of type int8/,
    );
    expect(await read({ sql: 'SELECT * FROM fraud.score' })).toMatch(
      /^request-blocked: .*outside of the schema/,
    );
  });

  it('shows tables, rows and columns of the schema, and of no other', async () => {
    await stage.server.admin('ANALYZE jobs.job');
    const schema = { tool: 'pg.schema', target: 'mcp://pg/main/jobs/schema/-' };
    const { tables } = (await read({}, schema)) as {
      tables: { table: string; rows_estimate: string; columns: unknown[] }[];
    };
    expect(tables.map((table) => table.table)).toEqual(['job', 'job_limit', 'message']);
    expect(tables[0]).toMatchObject({
      rows_estimate: '3',
      columns: expect.arrayContaining([{ name: 'state', type: 'text', not_null: true }]) as unknown,
    });
    expect(await read({}, { ...schema, target: 'mcp://pg/main/jobs/schema/job_limit' })).toMatchObject({
      tables: [{ table: 'job_limit' }],
    });
  });

  it('is asked by aegis doctor, which says what is wrong with a role', async () => {
    const config = { settings: stage.settings } as unknown as LoadedConfig;
    const asked = async () =>
      (await systemChecks(config, stage.gateway, stage.store)).filter(
        ({ check }) => check === 'database main',
      );
    expect((await asked()).map(({ status }) => status)).toEqual(['ok', 'ok']);
    await stage.server.admin('ALTER ROLE aegis_read SUPERUSER');
    const [failed] = await asked();
    await stage.server.admin('ALTER ROLE aegis_read NOSUPERUSER');
    expect(failed?.status).toBe('failed');
    expect(failed?.detail).toContain('it is a superuser');
  });

  it('shows who blocks whom, without constants and without other schemas', async () => {
    const holder = await stage.server.hold("UPDATE jobs.job SET note = 'AKIAIOSFODNN7EXAMPLE' WHERE id = 41");
    const other = await stage.server.hold('SELECT * FROM fraud.score WHERE value = 99');
    const waiter = stage.server.admin("UPDATE jobs.job SET note = 'secret-of-a-row' WHERE id = 41");
    try {
      await expect.poll(() => stage.server.waiting(), { timeout: 10_000 }).toBe(1);
      const locks = await read({}, { tool: 'pg.locks', target: 'mcp://pg/main/jobs/locks/-' });
      expect(locks).toMatchObject({
        waiting: [
          {
            query: 'UPDATE jobs.job SET note = $1 WHERE id = $2',
            blocking_state: 'idle in transaction',
            tables: 'job',
          },
        ],
      });
      const activity = JSON.stringify(
        await read({}, { tool: 'pg.activity', target: 'mcp://pg/main/jobs/activity/-' }),
      );
      expect(activity).toContain('[not shown: another schema]');
      expect(activity + JSON.stringify(locks)).not.toMatch(/secret-of-a-row|AKIAIOSFODNN7EXAMPLE|fraud/);
    } finally {
      await holder.commit();
      await other.commit();
      await waiter;
    }
  });
});

describe.skipIf(!HERE)('connecting to PostgreSQL', () => {
  let server: PostgresServer;
  let ca_file: string;
  let other_ca: string;
  beforeAll(async () => {
    const certificate = async (): Promise<{ cert: string; private: string }> =>
      generate([{ name: 'commonName', value: 'localhost' }], {
        keySize: 2048,
        algorithm: 'sha256',
        extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
      });
    const own = await certificate();
    server = await startPostgres({ tls: { cert: own.cert, key: own.private } });
    ca_file = join(server.socket, 'ca.pem');
    other_ca = join(server.socket, 'other.pem');
    writeFileSync(ca_file, own.cert);
    writeFileSync(other_ca, (await certificate()).cert);
    await server.admin(
      `CREATE SCHEMA jobs; CREATE ROLE reader LOGIN PASSWORD '${READ_PASSWORD}'; GRANT USAGE ON SCHEMA jobs TO reader`,
    );
  });
  afterAll(() => server.close());

  const connect = async (
    change: Partial<PostgresDatabase>,
    more: { user?: string; password?: string; unsafe?: boolean; sql?: string } = {},
  ): Promise<string> => {
    const face = lendSql({
      upstream: { system: 'pg', name: 'main', config: databaseOf(server, { statements: {}, ...change }) },
      target: { system: 'pg', cluster: 'main', namespace: 'jobs', kind: 'query', name: '-' },
      mode: 'read',
      credential: {
        kind: 'password',
        username: more.user ?? 'reader',
        password: new Secret(more.password ?? READ_PASSWORD),
      },
      unsafe_endpoints: more.unsafe ?? true,
      call_id: 'call_connect',
      timeout_ms: 8000,
      bytes_max: 100_000,
      signal: undefined,
    });
    try {
      const { rows } = await face.read((session) => session.query(more.sql ?? SESSION_SQL, []));
      return (rows[0] ?? []).join(' | ');
    } catch (error) {
      const { info } = error as { info: { problem: string; sent: string; message: string } };
      return `${info.problem} ${info.sent} ${info.message}`;
    }
  };

  const SESSION_SQL = `SELECT current_user, current_setting('transaction_read_only'),
    current_setting('default_transaction_read_only'), current_setting('search_path'),
    current_setting('application_name'), (SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid())`;
  const SESSION = 'reader | on | on | pg_catalog, jobs, pg_temp | call_connect';

  it('speaks TLS to a server whose certificate is for the configured name, and reads only', async () => {
    expect(await connect({ host: 'localhost', ca_file })).toBe(`${SESSION} | true`);
  });

  it('needs no TLS over a Unix socket, also without unsafe_endpoints', async () => {
    expect(await connect({}, { unsafe: false })).toBe(`${SESSION} | false`);
  });

  it('ends what runs too long, at the server', async () => {
    const sql = 'SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b';
    expect(await connect({ statement_ms_max: 300 }, { sql })).toMatch(
      /^timeout answered .*ran longer than it may/,
    );
  });

  it('takes nothing from the environment', async () => {
    process.env['PGOPTIONS'] = '-c search_path=public';
    process.env['PGSSLNEGOTIATION'] = 'direct';
    try {
      expect(await connect({})).toBe(`${SESSION} | false`);
    } finally {
      delete process.env['PGOPTIONS'];
      delete process.env['PGSSLNEGOTIATION'];
    }
  });

  it.each([
    [
      'another CA',
      () => ({ host: 'localhost', ca_file: other_ca }),
      {},
      /^unreachable no its TLS certificate/,
    ],
    ['the CAs of this machine', () => ({ host: 'localhost' }), {}, /^unreachable no its TLS certificate/],
    [
      'a certificate for another name',
      () => ({ host: '127.0.0.1', ca_file }),
      {},
      /^unreachable no its TLS certificate/,
    ],
    [
      'a CA file that is not there',
      () => ({ host: 'localhost', ca_file: '/none' }),
      {},
      /^unreachable no the CA file/,
    ],
    ['this machine', () => ({ host: 'localhost', ca_file }), { unsafe: false }, /^blocked no .*this machine/],
    [
      'a link-local address',
      () => ({ host: '169.254.169.254' }),
      { unsafe: false },
      /^blocked no .*link-local/,
    ],
    [
      'no TLS',
      () => ({ host: '127.0.0.1', tls: 'off' as const }),
      { unsafe: false },
      /^blocked no .*without TLS/,
    ],
    [
      'a closed port',
      () => ({ host: '127.0.0.1', tls: 'off' as const, port: 1 }),
      {},
      /^unreachable no .*ECONNREFUSED/,
    ],
    [
      'a name that is not there',
      () => ({ host: 'none.invalid' }),
      {},
      /^unreachable no .*cannot be resolved/,
    ],
    [
      'a wrong password',
      () => ({}),
      { password: 'wrong-password-Tr8' },
      /^unauthorized no the user name or the password/,
    ],
    ['a database that is not there', () => ({ database: 'none' }), {}, /^not-found no/],
    [
      'a superuser',
      () => ({}),
      { user: 'postgres', password: ADMIN_PASSWORD },
      /^blocked no .*it is a superuser/,
    ],
  ])('refuses %s', async (_what, change, more, reason) => {
    const answer = await connect(change(), more);
    expect(answer).toMatch(reason);
    expect(answer).not.toMatch(/wrong-password-Tr8|read-password|admin-password/);
  });

  it('accepts the roles of the README', async () => {
    const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
    const roles = /```sql\n([^]*?)```/.exec(readme)?.[1] ?? '';
    expect(roles).toContain('CREATE ROLE aegis_read');
    await server.admin('CREATE TABLE jobs.job (id int PRIMARY KEY, state text, attempts int)');
    await server.admin(roles.replaceAll("'...'", `'${READ_PASSWORD}'`));
    for (const user of ['aegis_read', 'aegis_write'])
      expect(await connect({}, { user })).toBe(`${SESSION.replace('reader', user)} | false`);
  });

  it('refuses a server that speaks no TLS', async () => {
    const plain = await startPostgres();
    try {
      const answer = await connect({ host: '127.0.0.1', port: plain.port });
      expect(answer).toMatch(/^unreachable no the server does not speak TLS/);
    } finally {
      await plain.close();
    }
  });

  it.each([
    [
      'GRANT pg_read_server_files TO reader',
      'REVOKE pg_read_server_files FROM reader',
      /member of pg_read_server_files/,
    ],
    [
      'GRANT pg_execute_server_program TO reader',
      'REVOKE pg_execute_server_program FROM reader',
      /pg_execute_server_program/,
    ],
    ['ALTER ROLE reader CREATEROLE', 'ALTER ROLE reader NOCREATEROLE', /may create roles/],
    [
      'GRANT EXECUTE ON FUNCTION pg_read_file(text) TO reader',
      'REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM reader',
      /may call pg_read_file/,
    ],
    [
      'CREATE FUNCTION public.dblink(text) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$',
      'DROP FUNCTION public.dblink(text)',
      /may call dblink/,
    ],
  ])('refuses a role after %s', async (grant, revoke, reason) => {
    await server.admin(grant);
    expect(await connect({})).toMatch(reason);
    await server.admin(revoke);
    expect(await connect({})).toBe(`${SESSION} | false`);
  });
});
