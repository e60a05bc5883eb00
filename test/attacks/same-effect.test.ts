import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EFFECT_MEMORY_MS } from '../../src/contract/approval.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { approvedPlan, execute } from '../gateway/approved-plan.ts';
import { JOB, startStage, type Stage } from '../gateway/stage.ts';
import { incidentContext, step } from '../store/samples.ts';
import { editEntry, type Place } from './edit-rows.ts';
import { refusedWrite } from './refused-write.ts';

/** The second lock: the gateway finds out by itself who took part elsewhere, and does not ask the harness. */
let stage: Stage;
let place: Place;
beforeAll(async () => {
  stage = await startStage();
  place = { home: join(stage.home, 'state'), store: stage.store };
});
afterAll(() => stage.close());

describe('an approver took part in the same effect through another incident', () => {
  let others = 800;
  const takePart = async (principal: string, effect: { tool: string; target: string }): Promise<void> => {
    others += 1;
    const incident_id = `INC-2026-1123-${others}`;
    const context = {
      ...incidentContext(incident_id),
      involved: [{ principal, role: 'asker' as const }],
    };
    const payload = { type: 'opened', context, at: context.opened_at, channel: 'C1' };
    const entries = [{ kind: 'event' as const, actor: 'aegis:test', payload }];
    await stage.store.step.commit(step(0, { incident_id, entries, planned: [effect] }));
  };
  const { tool, target } = { tool: 'job.update_spec', target: JOB };

  it('and the write is refused by the gateway too, whoever asks it', async () => {
    const approved = await approvedPlan(stage);
    await takePart('zoe', { tool, target });
    await takePart('bo', { tool: 'k8s.patch', target });
    await takePart('bo', { tool, target: `${target}-2` });
    expect(isRefusal(await execute(stage, approved))).toBe(false);
    const next = await approvedPlan(stage, { value: '3g' });
    await takePart('bo', { tool, target });
    await refusedWrite(stage, 'approval-missing', () => execute(stage, next), next.incident_id);
  });

  it('for a day', async () => {
    stage.clock.skip(EFFECT_MEMORY_MS + 1);
    const approved = await approvedPlan(stage, { value: '4g' });
    expect(isRefusal(await execute(stage, approved))).toBe(false);
  });

  it('and the record of the other incident was edited: nothing rests on it', async () => {
    await takePart('cy', { tool, target });
    const id = `INC-2026-1123-${others}`;
    await editEntry(place, id, 'event', (text) => text.replace('"cy"', '"zz"'));
    const approved = await approvedPlan(stage, { value: '2g' });
    await refusedWrite(stage, 'ledger-tampered', () => execute(stage, approved), approved.incident_id);
  });
});
