import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { checkStatements } from '../../src/cli/check-statements.ts';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { ConfigError, loadConfig } from '../../src/config.ts';
import type { PostgresDatabase, WhitelistedStatement } from '../../src/contract/system-postgres.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import { statementFacts, touchedBy } from '../../src/gateway/drivers/postgres/statement-facts.ts';
import { statementProblems } from '../../src/gateway/drivers/postgres/statement-problems.ts';
import { loadSqlParser } from '../../src/gateway/sql/parse-sql.ts';
import { RELEASE, STATEMENTS, databaseOf } from './postgres-stage.ts';

const PLACE = { socket: '/run/postgresql', port: 5432 };
let dir = '';
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-sql-'));
  await loadSqlParser();
});
afterAll(() => rmSync(dir, { recursive: true }));

const problemOf = async (change: Partial<WhitelistedStatement>): Promise<string> => {
  const database = databaseOf(PLACE, { statements: { one: { ...RELEASE, ...change } } });
  const [problem] = await statementProblems({ main: database });
  return problem === undefined ? 'fine' : `${String(problem.path.at(-1))}: ${problem.say}`;
};

describe('a statement in the configuration', () => {
  it('of the stage is fine', async () => {
    expect(await statementProblems({ main: databaseOf(PLACE, { statements: STATEMENTS }) })).toEqual([]);
  });

  it.each<[Partial<WhitelistedStatement>, RegExp]>([
    [{ sql: 'UPDATE job SET' }, /^sql: it cannot be parsed/],
    [{ sql: `${RELEASE.sql};` }, /^sql: .*without a semicolon/],
    [{ sql: `${RELEASE.sql} /* a` }, /^sql: it cannot be parsed/],
    [{ sql: `${RELEASE.sql}; DELETE FROM job` }, /^sql: it is not exactly one statement/],
    [{ sql: 'SELECT 1' }, /^sql: it only reads/],
    [{ sql: "UPDATE job SET state = 'x'" }, /^sql: it has no WHERE/],
    [
      { sql: "UPDATE fraud.job SET state = 'x' WHERE id = $1" },
      /^sql: fraud\.job is outside of the schema jobs/,
    ],
    [{ sql: "UPDATE pg_class SET relname = 'x' WHERE oid = $1" }, /^sql: pg_class is a table of the system/],
    [
      { sql: 'UPDATE job SET attempts = (SELECT value FROM fraud.score) WHERE id = $1' },
      /^sql: .*outside of the schema/,
    ],
    [{ sql: 'UPDATE job SET attempts = pg_sleep(9) WHERE id = $1' }, /^sql: .*pg_sleep/],
    [{ sql: "UPDATE job SET state = lower('x') FROM message WHERE job.id = $1" }, /^sql: FROM/],
    [{ sql: 'UPDATE job SET (state, attempts) = (SELECT 1, 2) WHERE id = $1' }, /^sql: .*one by one/],
    [
      { sql: 'WITH x AS (DELETE FROM job RETURNING id) UPDATE job SET attempts = 0 WHERE id = $1' },
      /^sql: WITH/,
    ],
    [
      { sql: "INSERT INTO job (id, state) VALUES ($1, 'x') ON CONFLICT (id) DO UPDATE SET state = 'y'" },
      /^sql: ON CONFLICT/,
    ],
    [{ sql: "INSERT INTO job VALUES ($1, 'x')" }, /^sql: INSERT names its columns/],
    [{ sql: "UPDATE job SET state = 'x' WHERE id = $2" }, /^parameters: \$2 is used, and 1 are declared/],
    [
      { parameters: [...RELEASE.parameters, ...RELEASE.parameters] },
      /^parameters: a name stands there twice/,
    ],
    [{ tables: ['message'] }, /^tables: job is written to/],
    [{ observe: 'SELECT * FROM job WHERE id = $1' }, /^observe: every column is named/],
    [
      { observe: 'SELECT id, state FROM job WHERE id = $1' },
      /^observe: it does not show the column attempts/,
    ],
    [
      { observe: 'SELECT state, attempts FROM job WHERE id = $1' },
      /^observe: it does not show the column id/,
    ],
    [{ observe: 'SELECT id, state, attempts FROM fraud.job' }, /^observe: .*outside of the schema/],
    [{ observe: 'EXPLAIN SELECT id FROM job' }, /^observe: it is not a SELECT/],
    [{ observe: 'SELECT id, state, attempts, note AS id FROM job' }, /^observe: a column stands there twice/],
    [{ key: ['state'] }, /^key: the statement sets state/],
    [
      { compensate: 'UPDATE job SET state = $2 WHERE id = $1' },
      /^compensate: it does not bring back the column attempts/,
    ],
    [
      { compensate: 'UPDATE job SET state = $2, attempts = $4 WHERE id = $1' },
      /^compensate: \$4 is used, and observe shows 3/,
    ],
    [
      { compensate: 'UPDATE message SET body = $2 WHERE id = $1' },
      /^compensate: it does not write to one of/,
    ],
    [{ compensate: 'DROP TABLE job' }, /^compensate: it does not write/],
    [{ compensate: 'nonsense' }, /^compensate: it cannot be parsed/],
    [
      {
        sql: "INSERT INTO job (id, state, attempts) VALUES ($1, 'x', 0)",
        compensate: 'DELETE FROM job WHERE id = $1',
      },
      /^compensate: only a DELETE/,
    ],
  ])('is refused with %j', async (change, problem) => expect(await problemOf(change)).toMatch(problem));

  it('stops the start with file, line and reason', async () => {
    const file = join(dir, 'aegis.yaml');
    const broken = { ...RELEASE, sql: 'UPDATE fraud.score SET value = 1 WHERE id = $1' };
    const text = `${EXAMPLE_CONFIG}\n${stringify({ databases: { main: databaseOf(PLACE, { statements: { broken } }) } })}`;
    writeFileSync(file, text);
    const line = text.split('\n').findIndex((words) => words.includes('UPDATE fraud.score')) + 1;
    const error: unknown = await checkStatements(loadConfig(file, {})).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).message).toContain(
      `line ${line}: databases.main.statements.broken.sql: fraud.score is outside of the schema jobs`,
    );
    expect((error as ConfigError).message).toContain(file);
  });

  it('stops whoever else builds a gateway', async () => {
    const broken = { ...RELEASE, sql: 'nonsense' };
    const settings = { databases: { main: databaseOf(PLACE, { statements: { broken } }) } };
    await expect(
      createGateway({ settings } as unknown as Parameters<typeof createGateway>[0]),
    ).rejects.toThrow(/databases\.main\.statements\.broken\.sql: it cannot be parsed/);
  });
});

describe('an address in the configuration', () => {
  const load = (database: Partial<PostgresDatabase>): string => {
    const file = join(dir, 'address.yaml');
    const config = databaseOf(PLACE, { statements: {}, ...database });
    writeFileSync(file, `${EXAMPLE_CONFIG}\n${stringify({ databases: { main: config } })}`);
    try {
      loadConfig(file, {});
      return 'loaded';
    } catch (error) {
      return (error as Error).message;
    }
  };

  it('without TLS is a Unix socket, or stops the start', () => {
    expect(load({ tls: 'off' })).toBe('loaded');
    expect(load({ host: 'db.example.com' })).toBe('loaded');
    expect(load({ host: 'db.example.com', tls: 'off' })).toMatch(
      /databases\.main\.tls: would send everything in the clear/,
    );
  });
});

describe('what a statement does', () => {
  it.each([
    ["UPDATE job SET state = 'x', attempts = 0 WHERE id = 1", ['/update/job/state', '/update/job/attempts']],
    ['INSERT INTO job (id) SELECT 1', ['/insert/job/id']],
    ['DELETE FROM job WHERE id = 1', ['/delete/job']],
    ['TRUNCATE job', ['/truncate/statement']],
    ['DROP TABLE job', ['/drop/statement']],
    ['ALTER TABLE job DROP COLUMN state', ['/privileged/statement']],
    ['GRANT ALL ON job TO PUBLIC', ['/privileged/statement']],
    ['CREATE TABLE x (a int)', ['/privileged/statement']],
    ["COPY job TO PROGRAM 'x'", ['/privileged/statement']],
    // A comment or a string that says something else changes nothing.
    ["DELETE /* UPDATE job SET state */ FROM job WHERE state = 'UPDATE'", ['/delete/job']],
  ])('%s is %j', (sql, paths) => {
    expect(touchedBy(statementFacts(sql, 'jobs')).map(({ path }) => path)).toEqual(paths);
  });
});
