import { describe } from 'vitest';
import { describeDriver } from './describe-driver.ts';
import { postgresIsHere } from './postgres-server.ts';
import { startPostgresStage, type PostgresStage } from './postgres-stage.ts';
import type { Stage } from './stage.ts';

const HERE = postgresIsHere();
const PLANTED = ['ana.planted@example.com', 'AKIAIOSFODNN7EXAMPLE'] as const;
const serverOf = (stage: Stage) => (stage as PostgresStage).server;

describe.skipIf(!HERE)('PostgreSQL', () => {
  describeDriver({
    name: 'pg',
    stage: () => startPostgresStage(),
    read: {
      tool: 'pg.query',
      target: 'mcp://pg/main/jobs/query/-',
      foreign_target: 'mcp://pg/main/fraud/query/-',
      unknown_target: 'mcp://pg/nowhere/fraud/query/-',
      args: () => ({ sql: 'SELECT id, state, note FROM job ORDER BY id' }),
      bad_args: { sql: '' },
      planted: async (stage) => {
        await serverOf(stage).admin('UPDATE jobs.job SET note = $1 WHERE id = 41', [PLANTED.join(' uses ')]);
        await serverOf(stage).admin('DELETE FROM fraud.seen');
        return PLANTED;
      },
    },
    write: {
      action: {
        tool: 'db.run_whitelisted',
        target: 'mcp://pg/main/jobs/statement/release-job',
        params: { parameters: { job_id: 42 } },
      },
      // The trigger writes a row for each change that was committed, whoever made it.
      mutations: async (stage) =>
        Number((await serverOf(stage).admin('SELECT count(*) AS n FROM fraud.seen'))[0]?.['n']),
      now: async (stage) =>
        (await serverOf(stage).admin('SELECT state, attempts FROM jobs.job WHERE id = 42'))[0],
      before: { state: 'stuck', attempts: 3 },
      after: { state: 'queued', attempts: 0 },
      changes: [
        { path: '/rows/id=42/attempts', before: '3', after: '0' },
        { path: '/rows/id=42/state', before: 'stuck', after: 'queued' },
      ],
      diff: ['-    attempts: "3"', '+    attempts: "0"', '-    state: stuck', '+    state: queued'],
      undo: (before_image) => ({
        parameters: { job_id: before_image['/parameters/job_id'] },
        restore: { 'id=42': { id: '42', state: 'stuck', attempts: '3' } },
      }),
    },
  });
});
