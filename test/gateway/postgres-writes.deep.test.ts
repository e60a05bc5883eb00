import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hashOf } from '../../src/contract/canonical.ts';
import type { Preview } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { Secret } from '../../src/contract/secret.ts';
import { lendSql } from '../../src/gateway/sql/lend-sql.ts';
import { approvedPlan, execute, type ApprovedPlan } from './approved-plan.ts';
import { startCuttingProxy, type CuttingProxy } from './cutting-proxy.ts';
import { postgresIsHere } from './postgres-server.ts';
import { databaseOf, startPostgresStage, WRITE_PASSWORD, type PostgresStage } from './postgres-stage.ts';

const target = (name: string): string => `mcp://pg/main/jobs/statement/${name}`;
const RELEASE_42 = {
  tool: 'db.run_whitelisted',
  target: target('release-job'),
  params: { parameters: { job_id: 42 } },
};

describe.skipIf(!postgresIsHere())('db.run_whitelisted', () => {
  let stage: PostgresStage;
  let proxy: CuttingProxy;
  beforeAll(async () => {
    stage = await startPostgresStage({
      database: () => ({ host: '127.0.0.1', tls: 'off' }),
      // Through the proxy, in the clear, so that it sees COMMIT.
      wrapPort: async (port) => {
        proxy = await startCuttingProxy(port);
        return proxy.port;
      },
    });
  });
  afterAll(async () => {
    await stage.close();
    await proxy.close();
  });
  beforeEach(async () => {
    await stage.server.admin(
      "DELETE FROM jobs.job WHERE id > 43; UPDATE jobs.job SET state = 'stuck', attempts = id - 39, note = NULL WHERE id IN (42, 43)",
    );
  });

  const preview = async (name: string, params: Record<string, unknown> = {}): Promise<Preview | string> => {
    const answer = await stage.gateway.preview({
      token: await stage.token(),
      tool: 'db.run_whitelisted',
      target: target(name),
      params,
      change_id: 'CHG-1',
      why: 'test',
    });
    return isRefusal(answer) ? `${answer.code}: ${answer.reason}` : answer.preview;
  };
  const job = async (id = 42): Promise<unknown> =>
    (await stage.server.admin('SELECT state, attempts FROM jobs.job WHERE id = $1', [id]))[0];
  const STUCK = { state: 'stuck', attempts: 3 };
  const QUEUED = { state: 'queued', attempts: 0 };

  describe('refuses', () => {
    it.each([
      ['forget-job', { parameters: { job_id: 42 } }, /class-forbidden: .*destroy: \/delete\/job/],
      ['empty-jobs', {}, /class-forbidden: .*privileged/],
      ['hand-out', {}, /class-forbidden: .*privileged/],
      ['no-such-one', {}, /class-forbidden: .*unknown-statement/],
      ['release-job', {}, /request-blocked: .*job_id is missing/],
      ['release-job', { parameters: { job_id: 0 } }, /request-blocked: .*below 1/],
      [
        'release-job',
        { parameters: { job_id: '42; DROP TABLE job' } },
        /request-blocked: .*not of type int8/,
      ],
      ['release-job', { parameters: { job_id: 42, state: 'x' } }, /request-blocked: .*no parameter state/],
      ['release-job', { sql: 'DELETE FROM job' }, /arguments-invalid/],
      ['release-job', { parameters: { job_id: 41 } }, /request-blocked: .*touches no row/],
      ['post-message', { parameters: { id: 7, body: 'x'.repeat(21) } }, /request-blocked: .*longer than 20/],
      [
        'post-message',
        { parameters: { id: 7, body: 'x' }, restore: {} },
        /request-blocked: .*no compensation/,
      ],
      [
        'release-job',
        { parameters: { job_id: 42 }, restore: { 'id=42': { id: '42' } } },
        /request-blocked: .*columns/,
      ],
    ])('%s %j', async (name, params, reason) => {
      expect(await preview(name, params)).toMatch(reason);
      expect(await job()).toEqual(STUCK);
    });

    it('more rows than the statement may touch', async () => {
      await stage.server.admin(
        "INSERT INTO jobs.job (id, state) SELECT n, 'stuck' FROM generate_series(100, 120) n",
      );
      expect(await preview('release-all')).toMatch(/more than the 10 rows/);
    });

    it('a foreign schema with the words for an unknown one', async () => {
      const answers = [
        'mcp://pg/main/fraud/statement/release-job',
        'mcp://pg/none/fraud/statement/release-job',
      ].map(async (uri) => {
        const token = await stage.token();
        const { tool, params } = RELEASE_42;
        const answer = await stage.gateway.preview({
          token,
          tool,
          target: uri,
          params,
          change_id: 'CHG-1',
          why: 'x',
        });
        return isRefusal(answer) && answer.reason.replace(uri, '');
      });
      const [foreign, unknown] = await Promise.all(answers);
      expect(foreign).toBe(unknown);
    });

    it('to bind an approval to a value that must not be shown', async () => {
      await stage.server.admin("UPDATE jobs.job_limit SET name = 'ana.planted@example.com'");
      expect(
        await preview('raise-limit', { parameters: { name: 'ana.planted@example.com', value: 8 } }),
      ).toMatch(/effect-unshowable/);
      await stage.server.admin("UPDATE jobs.job_limit SET name = 'workers'");
    });
  });

  describe('preview', () => {
    it('shows rows before and after, says what it cannot show, and commits nothing', async () => {
      const sent = proxy.sent().length;
      const shown = (await preview('release-all')) as Preview;
      expect(shown.changes).toEqual([
        { path: '/rows/id=42/attempts', before: '3', after: '0' },
        { path: '/rows/id=42/state', before: 'stuck', after: 'queued' },
        { path: '/rows/id=43/attempts', before: '4', after: '0' },
        { path: '/rows/id=43/state', before: 'stuck', after: 'queued' },
      ]);
      expect(shown.object_uid).toMatch(/^\d+\.\d+\/jobs\.release-all\/[0-9a-f]{16}\/rows=3$/);
      expect(shown.warnings.join(' ')).toContain('the trigger noted runs');
      expect(proxy.sent().slice(sent)).not.toContain('COMMIT');
      expect(proxy.sent().slice(sent)).toContain('ROLLBACK');
      expect(await job()).toEqual(STUCK);
    });

    it('says that a sequence moved, that nothing brings it back, and counts the rows', async () => {
      const shown = (await preview('post-message', { parameters: { id: 7, body: 'hello' } })) as Preview;
      expect(shown.warnings).toEqual([
        'It runs: INSERT INTO message (id, body) VALUES ($1, $2)',
        'this cannot be undone by Aegis: workers have read it by then',
        'the preview moved the sequence of number, which no rollback takes back',
      ]);
      expect(shown.changes.at(-1)).toEqual({ path: '/row_count', before: 0, after: 1 });
      expect(await stage.server.admin('SELECT * FROM jobs.message')).toEqual([]);
    });

    it.each([
      'COMMIT',
      'END',
      'COMMIT AND CHAIN',
      'ROLLBACK',
      'SELECT 1; COMMIT',
      'SET ROLE postgres',
      'TRUNCATE job',
      'RELEASE x',
      "DO 'BEGIN COMMIT; END'",
    ])('sends no %s, whatever a driver tries, and keeps nothing', async (text) => {
      const face = lendSql({
        upstream: { system: 'pg', name: 'main', config: databaseOf(stage.server) },
        target: { system: 'pg', cluster: 'main', namespace: 'jobs', kind: 'statement', name: 'x' },
        mode: 'preview',
        credential: { kind: 'password', username: 'aegis_write', password: new Secret(WRITE_PASSWORD) },
        unsafe_endpoints: false,
        call_id: 'call_test',
        timeout_ms: 10_000,
        bytes_max: 1_000_000,
        signal: undefined,
      });
      const tried = face.change(async (session) => {
        await session.query("UPDATE job SET state = 'hacked' WHERE id = 42", []);
        await session.query(text, []);
        return { keep: true, value: null };
      });
      await expect(tried).rejects.toMatchObject({ info: { problem: 'blocked' } });
      const kept = face.change(async (session) => {
        await session.query("UPDATE job SET state = 'hacked' WHERE id = 42", []);
        return { keep: true, value: 'kept' };
      });
      expect(await kept).toBe('kept');
      expect(await job()).toEqual(STUCK);
      const reading = face.read((session) =>
        session.query("UPDATE job SET state = 'hacked' WHERE id = 42", []),
      );
      await expect(reading).rejects.toMatchObject({ info: { problem: 'blocked', sent: 'no' } });
    });
  });

  it('inserts what was approved', async () => {
    const action = {
      ...RELEASE_42,
      target: target('post-message'),
      params: { parameters: { id: 8, body: 'hello' } },
    };
    const plan = await approvedPlan(stage, { action });
    expect(await execute(stage, plan)).toMatchObject({
      outcome: { status: 'done', result: { rows_touched: 1 } },
    });
    expect(await stage.server.admin('SELECT id, body FROM jobs.message')).toEqual([
      { id: '8', body: 'hello' },
    ]);
  });

  it('refuses other parameters than the planned and the previewed ones', async () => {
    const plan = await approvedPlan(stage, { action: RELEASE_42 });
    const params = { parameters: { job_id: 43 } };
    const permit_id = await plan.mint({ args_hash: hashOf(params) });
    expect(await execute(stage, plan, { params, permit_id })).toMatchObject({ code: 'permit-mismatch' });
    const undo_id = await plan.mint({ phase: 'undo', args_hash: hashOf(params) });
    expect(await execute(stage, plan, { params, permit_id: undo_id })).toMatchObject({
      code: 'effect-mismatch',
    });
    expect(await job(43)).toMatchObject({ state: 'stuck' });
    expect(await job(42)).toEqual(STUCK);
  });

  describe('conflict', () => {
    const approved = (): Promise<ApprovedPlan> => approvedPlan(stage, { action: RELEASE_42 });

    it('when a row changed after the approval: nothing is written', async () => {
      const plan = await approved();
      await stage.server.admin('UPDATE jobs.job SET attempts = 9 WHERE id = 42');
      expect(await execute(stage, plan)).toMatchObject({
        outcome: {
          status: 'conflict',
          conflict_fields: [{ path: '/rows/id=42/attempts', before: '3', after: '9' }],
        },
      });
      expect(await job()).toEqual({ state: 'stuck', attempts: 9 });
    });

    it('when another row would be touched as well', async () => {
      const plan = await approvedPlan(stage, {
        action: { ...RELEASE_42, target: target('release-all'), params: {} },
      });
      await stage.server.admin("INSERT INTO jobs.job (id, state) VALUES (50, 'stuck')");
      expect(await execute(stage, plan)).toMatchObject({ outcome: { status: 'conflict' } });
      expect(await job(50)).toMatchObject({ state: 'stuck' });
    });

    it('when somebody commits while it waits for the row', async () => {
      const plan = await approved();
      const holder = await stage.server.hold("UPDATE jobs.job SET note = 'mine' WHERE id = 42");
      const running = execute(stage, plan);
      await expect.poll(() => stage.server.waiting(), { timeout: 10_000 }).toBe(1);
      await holder.commit();
      expect(await running).toMatchObject({ outcome: { status: 'conflict' } });
      expect(await job()).toEqual(STUCK);
    });

    it('but a lock that is held for too long is a failure that wrote nothing', async () => {
      const plan = await approved();
      const holder = await stage.server.hold('SELECT 1 FROM jobs.job WHERE id = 42 FOR UPDATE');
      try {
        expect(await execute(stage, plan)).toMatchObject({
          outcome: {
            status: 'failed',
            summary: expect.stringContaining('somebody else holds a lock') as string,
          },
        });
      } finally {
        await holder.commit();
      }
      expect(await job()).toEqual(STUCK);
    });
  });

  describe('a lost COMMIT', () => {
    it('that the server never saw did not happen, and the server says so', async () => {
      const plan = await approvedPlan(stage, { action: RELEASE_42 });
      proxy.loseNextCommit('before');
      expect(await execute(stage, plan)).toMatchObject({
        outcome: { status: 'failed', summary: expect.stringContaining('was not committed') as string },
      });
      expect(await job()).toEqual(STUCK);
    });

    it('whose answer was lost happened, and the server says so', async () => {
      const plan = await approvedPlan(stage, { action: RELEASE_42 });
      proxy.loseNextCommit('after');
      expect(await execute(stage, plan)).toMatchObject({ outcome: { status: 'done', replayed: false } });
      expect(await execute(stage, plan)).toMatchObject({ outcome: { status: 'done', replayed: true } });
      expect(await job()).toEqual(QUEUED);
    });

    it('of a server that keeps its identity to itself is settled by a look at the rows', async () => {
      await stage.server.admin('REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC');
      const plan = await approvedPlan(stage, { action: RELEASE_42 });
      proxy.loseNextCommit('after');
      expect(await execute(stage, plan)).toMatchObject({
        outcome: { status: 'done', summary: expect.stringContaining('The answer was lost') as string },
      });
      await stage.server.admin('GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC');
      expect(await job()).toEqual(QUEUED);
    });

    it('before a server that dies with it ends as done or unknown, and a look afterwards settles it', async () => {
      const plan = await approvedPlan(stage, { action: RELEASE_42 });
      const before = await seen();
      proxy.loseNextCommit('after', () => stage.server.crash());
      const answer = await execute(stage, plan);
      await stage.server.start().catch(() => undefined);
      expect(['done', 'outcome_unknown']).toContain(isRefusal(answer) ? answer.code : answer.outcome.status);
      const token = await stage.token({ incident_id: plan.incident_id });
      const settled = await stage.gateway.reconcile({
        token,
        journal_key: `${plan.incident_id}#CHG-7#apply`,
      });
      expect(settled).toMatchObject({ outcome: { status: 'done' } });
      expect(await job()).toEqual(QUEUED);
      expect(await seen()).toBe(before + 1);
    });

    const seen = async (): Promise<number> =>
      Number((await stage.server.admin('SELECT count(*) AS n FROM fraud.seen'))[0]?.['n']);
  });
});
