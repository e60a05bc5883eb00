import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Plan } from '../../src/contract/plan.ts';
import type { Range } from '../../src/lab/range.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { pressWhenThere, reviewAndSubmit } from '../../src/lab/watching.ts';
import { aegis, ledgerOf, patches, refusalsIn, standing, untilState } from './looking-in.ts';
import { planIncident, shown, startStory, untilShown, untilThread } from './range-for-test.ts';
import { flipEvidenceByte, flipLedgerByte } from './tampering.ts';
import type { Damage } from './tampering.ts';

/**
 * Somebody with the disk in their hands, and somebody with the cluster in theirs. The steps build on each other: one
 * incident is brought to the edge of its write again and again, and nothing is ever written.
 */
describe('integrity', () => {
  let range: Range;
  let root: StoredMessage;
  let card: StoredMessage;
  let incident_id: string;
  let damage: Damage;
  let damaged_seq: number;

  const resume = async () => {
    const before = (await standing(range)).step;
    await pressWhenThere(range.twins.slack, 'maya', root, 'incident.resume');
    for (;;) {
      const now = await untilState(range, 'HALTED');
      if (now.step >= before + 2) return now;
    }
  };

  beforeAll(async () => {
    range = await startStory();
    ({ root, card } = await planIncident(range));
    ({ incident_id } = await standing(range));
    await reviewAndSubmit(range.twins.slack, 'dan', card);
    await untilShown(range, card, /1 of 2/);
  }, 90_000);
  afterAll(async () => {
    await range?.close();
  });

  it('verifies while nobody has touched anything', async () => {
    const { code, stdout } = await aegis(range, 'ledger', 'verify');
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ledger verified: \d+ entries/) as string,
    });
  });

  it('names chain and row of one flipped byte in the ledger and exits 1', async () => {
    const reads = (await ledgerOf(range, incident_id)).filter((e) => e.kind === 'read');
    damaged_seq = reads[1]?.seq ?? 0;
    damage = flipLedgerByte(range, incident_id, damaged_seq);
    const { code, stdout } = await aegis(range, 'ledger', 'verify');
    expect(code).toBe(1);
    expect(stdout).toContain('ledger BROKEN: 1 problem(s)');
    expect(stdout).toContain(
      `${incident_id} entry ${damaged_seq}: content was changed: its hash does not match`,
    );
  });

  it('refuses to execute with both approvals given, says which row on the card, and writes the refusal down', async () => {
    await reviewAndSubmit(range.twins.slack, 'ines', card);
    const halted = await untilState(range, 'HALTED');
    expect(halted.approval).toMatchObject({ status: 'approved' });
    await untilShown(
      range,
      root,
      new RegExp(`does not verify: ${incident_id} entry ${damaged_seq}: content was changed`),
    );
    expect(shown(range, root)).toContain('aegis ledger verify');
    expect((await refusalsIn(range, incident_id)).at(-1)).toMatchObject({
      code: 'refused',
      about: 'clear for execution',
    });
    expect(patches(range)).toEqual([]);
  });

  it('refuses again as often as somebody presses Resume', async () => {
    await resume();
    expect(
      (await refusalsIn(range, incident_id)).filter((r) => r.about === 'clear for execution'),
    ).toHaveLength(2);
    expect(patches(range)).toEqual([]);
  });

  it('names the evidence of one flipped byte in a sealed file, exits 1, and refuses to execute', async () => {
    damage.repair();
    const plan = (await ledgerOf(range, incident_id)).find((e) => e.kind === 'plan')?.payload as unknown as {
      plan: Plan;
    };
    const evidence_id = plan.plan.evidence[0]?.pointer.evidence_id ?? '';
    damage = flipEvidenceByte(range, incident_id, evidence_id);
    const { code, stdout } = await aegis(range, 'ledger', 'verify');
    expect(code).toBe(1);
    expect(stdout).toContain('ledger BROKEN: 1 problem(s)');
    expect(stdout).toMatch(
      new RegExp(`${incident_id} entry \\d+: evidence ${evidence_id} was tampered with`),
    );
    await resume();
    await untilShown(range, root, new RegExp(`entry \\d+: evidence ${evidence_id} was tampered with`));
    expect(patches(range)).toEqual([]);
  });

  it('shows a tampered copy as what it is when the evidence dialog is opened', async () => {
    const dan = range.twins.slack.as('dan');
    await dan.click({ channel: card.channel, ts: card.ts, action_id: 'evidence.open' });
    await expect
      .poll(() => JSON.stringify(dan.views().at(-1)?.view ?? {}), { timeout: 10_000 })
      .toContain('The stored copy was altered');
    await dan.closeView();
  });

  it('treats a job that changed between the second approval and the apply as a conflict: no write, approvals void', async () => {
    damage.repair();
    range.twins.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
      spec: { driver: { memory: '1200m' } },
    });
    const halted = await resume();
    expect(halted.approval).toMatchObject({ status: 'void' });
    await untilShown(
      range,
      root,
      /The object changed after the approval: \/spec\/driver\/memory is now "1200m"/,
    );
    await untilShown(range, card, /No longer valid/);
    expect(shown(range, card)).toContain('/spec/driver/memory is now "1200m"');
    await untilThread(range, root, /\/spec\/driver\/memory is now "1200m"/);
    expect(patches(range)).toEqual([]);
  });

  it('verifies again once the bytes are back', async () => {
    const { code, stdout } = await aegis(range, 'ledger', 'verify');
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ledger verified/) as string,
    });
  });
});
