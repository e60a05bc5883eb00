import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { journalKey } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { KubeObject } from '../../src/lab/world/kube-object.ts';
import type { ApprovedPlan } from './approved-plan.ts';
import {
  MARK,
  REPLICAS,
  evictions,
  expectOnce,
  guard,
  isMarked,
  journal,
  onNode,
  place,
  plan,
  run,
  stage,
  startPool,
} from './drain-pool.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

/** Law 12 between the requests of one write, and what is known when a server, a network or a process breaks in it. */
describe('a drain that is interrupted', () => {
  beforeAll(() => startPool());
  beforeEach(place);
  afterEach(async () => {
    journal.is_broken = false;
    await stage.store.freezes.lift('*', 'ana', 'test');
    rmSync(join(stage.home, 'state', 'FREEZE'), { force: true });
  });
  afterAll(() => stage.close());

  describe('law 12: stopped between evictions', () => {
    const second = (act: () => void) => {
      let seen = 0;
      stage.kubernetes.faults.delay({
        ms: 300,
        match: ({ path, dry_run }) => {
          if (!path.endsWith('/eviction') || dry_run) return false;
          seen += 1;
          if (seen === 2) act();
          return seen === 2;
        },
      });
    };
    it.each([
      [
        'a freeze',
        () =>
          void stage.store.freezes.set({
            freeze_id: 'f1',
            scope: '*',
            reason: 'release day',
            by: 'ana',
            until_ms: null,
          }),
        /^Stopped between evictions: \* is frozen by ana: release day\. \d of 4 pods evicted/,
      ],
      [
        'the FREEZE file',
        () => writeFileSync(join(stage.home, 'state', 'FREEZE'), 'by hand'),
        /^Stopped between evictions: \* is frozen by system:freeze-file/,
      ],
    ])(
      '%s',
      async (_what, act, words) => {
        const approved = await plan();
        const before = evictions().length;
        second(act);
        const answer = await run(approved);
        expect(answer).toMatchObject({ outcome: { status: 'failed', partial: true } });
        expect(isRefusal(answer) ? '' : answer.outcome.summary).toMatch(words);
        expect(evictions().length).toBe(before + 2);
        expect(onNode().filter((pod) => pod.metadata.deletionTimestamp === undefined)).toHaveLength(2);
      },
      60_000,
    );

    it('a stop of the incident', async () => {
      const approved = await plan();
      const before = evictions().length;
      second(() => void stage.store.freezes.stop(approved.incident_id, 'ana', 'wrong node'));
      expect(await run(approved)).toMatchObject({ outcome: { status: 'failed', partial: true } });
      expect(evictions().length).toBe(before + 2);
    });
  });

  describe('when the server or the network is ill', () => {
    const isCordon = ({ method, dry_run }: { method: string; dry_run: boolean }) =>
      method === 'PATCH' && !dry_run;
    const nth = (n: number) => {
      let seen = 0;
      return ({ path, dry_run }: { path: string; dry_run: boolean }) =>
        path.endsWith('/eviction') && !dry_run && ++seen === n;
    };

    it.each([
      ['429 at the first eviction', () => stage.kubernetes.faults.answer({ status: 429, match: nth(1) })],
      ['409 at the second', () => stage.kubernetes.faults.answer({ status: 409, match: nth(2) })],
      ['500 at the third', () => stage.kubernetes.faults.answer({ status: 500, match: nth(3) })],
      ['503 at the last', () => stage.kubernetes.faults.answer({ status: 503, match: nth(4) })],
      ['a cut before the first', () => stage.kubernetes.faults.dropBefore({ match: nth(1) })],
      ['a cut after the second', () => stage.kubernetes.faults.dropAfter({ match: nth(2) })],
      ['a cut after the last', () => stage.kubernetes.faults.dropAfter({ match: nth(4) })],
      ['a lost answer to the cordon', () => stage.kubernetes.faults.dropAfter({ times: 1, match: isCordon })],
      [
        'a look that fails',
        () =>
          stage.kubernetes.faults.answer({
            status: 500,
            times: 1,
            match: ({ path }) => path === '/api/v1/pods' && isMarked(),
          }),
      ],
    ])(
      '%s: every pod leaves once, or what is left is said',
      async (what, inject) => {
        const approved = await plan();
        inject();
        const answer = await run(approved);
        const status = isRefusal(answer) ? answer.code : answer.outcome.status;
        // A cordon whose answer was lost is no licence to go on: the node shows it, the pods stay, a person decides.
        expect(status).toBe(what.includes('cordon') ? 'outcome_unknown' : 'done');
        expect(isMarked()).toBe(true);
        expect(onNode()).toHaveLength(what.includes('cordon') ? REPLICAS : 0);
        expectOnce();
      },
      60_000,
    );

    it('a cordon that is refused moves nothing', async () => {
      for (const status of [409, 500]) {
        const approved = await plan();
        stage.kubernetes.faults.answer({ status, times: 1, match: isCordon });
        expect(await run(approved)).toMatchObject({
          outcome: { status: status === 409 ? 'conflict' : 'failed' },
        });
        expect(isMarked()).toBe(false);
        expect(onNode()).toHaveLength(REPLICAS);
      }
    });

    it('an eviction that is always lost ends as unknown; it is not asked for without end', async () => {
      const approved = await plan();
      const name = (onNode()[0] as KubeObject).metadata.name;
      const before = evictions().length;
      stage.kubernetes.faults.dropBefore({ match: ({ path }) => path.includes(`/${name}/eviction`) });
      expect(await run(approved)).toMatchObject({ outcome: { status: 'outcome_unknown' } });
      expect(evictions().slice(before).length).toBeLessThan(20);
      expect(onNode().map(({ metadata }) => metadata.name)).toEqual([name]);
    });

    it('a process that died in the middle: found by looking, and never run a second time', async () => {
      const done = await plan();
      journal.is_broken = true;
      await expect(run(done)).rejects.toThrow('the process died here');
      journal.is_broken = false;
      let sent = evictions().length;
      const settle = async ({ incident_id }: ApprovedPlan) =>
        stage.gateway.reconcile({
          token: await stage.token({ incident_id }),
          journal_key: journalKey(incident_id, 'CHG-7', 'apply'),
        });
      expect(await settle(done)).toMatchObject({ outcome: { status: 'done' } });
      await place();
      await guard({ maxUnavailable: 0 });
      const half = await plan();
      journal.is_broken = true;
      await expect(run(half, 3000)).rejects.toThrow('the process died here');
      journal.is_broken = false;
      sent = evictions().length;
      expect(await settle(half)).toMatchObject({
        outcome: { status: 'outcome_unknown', conflict_fields: [{ path: MARK, before: false, after: true }] },
      });
      expect(await run(half)).toMatchObject({ outcome: { status: 'outcome_unknown' } });
      expect(evictions().length).toBe(sent);
    });
  });
});
