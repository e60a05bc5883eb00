import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { approvedPlan, execute } from '../gateway/approved-plan.ts';
import { startStage, type Stage } from '../gateway/stage.ts';
import { refusedWrite } from './refused-write.ts';

/** The second lock: the gateway looks at the tokens of decisions by itself, and does not ask the harness. */
let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.close());

const mint = (token_id: string, ttl_ms: number) =>
  stage.store.persons.mint(
    {
      token_id,
      principal: 'bo',
      public_key: 'k',
      minted_at_ms: stage.clock.now(),
      expires_at_ms: stage.clock.now() + ttl_ms,
    },
    `text of ${token_id}`,
    'cli:test',
  );

describe('an approval from outside Slack, at the gateway', () => {
  it('counts while its token is in force, and when that has merely expired since', async () => {
    await mint('ptok_1', 60_000);
    const approved = await approvedPlan(stage, { tokens: { bo: 'ptok_1' } });
    expect(isRefusal(await execute(stage, approved))).toBe(false);
    await mint('ptok_2', 1000);
    const later = await approvedPlan(stage, { value: '3g', tokens: { bo: 'ptok_2' } });
    stage.clock.skip(2000);
    expect(isRefusal(await execute(stage, later))).toBe(false);
  });

  it('does not count when its token was revoked, or never was one', async () => {
    await mint('ptok_3', 60_000);
    const approved = await approvedPlan(stage, { value: '4g', tokens: { bo: 'ptok_3' } });
    await stage.store.persons.revoke('ptok_3', 'cli:test');
    await refusedWrite(stage, 'approval-missing', () => execute(stage, approved), approved.incident_id);
    const made_up = await approvedPlan(stage, { value: '4g', tokens: { bo: 'ptok_9' } });
    await refusedWrite(stage, 'approval-missing', () => execute(stage, made_up), made_up.incident_id);
  });

  it('is one of two at most', async () => {
    await mint('ptok_4', 60_000);
    await mint('ptok_5', 60_000);
    const both = await approvedPlan(stage, { value: '4g', tokens: { bo: 'ptok_4', cy: 'ptok_5' } });
    await refusedWrite(stage, 'approval-missing', () => execute(stage, both), both.incident_id);
  });
});
