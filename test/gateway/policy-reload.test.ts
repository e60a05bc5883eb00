import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { HarnessDeps } from '../../src/harness/deps.ts';
import { voidUnderOldPolicies } from '../../src/harness/void-approvals.ts';
import type { PolicyChange } from '../../src/gateway/policy/policy-keeper.ts';
import type { Store } from '../../src/store/store.ts';
import { walkTo } from '../harness/fixtures.ts';
import { approvedPlan, execute } from './approved-plan.ts';
import { JOB, POLICIES_DIR, startStage, type Stage } from './stage.ts';

/** Policies that change under a running gateway. */
let base: Stage;
let stage: Stage;
let dir = '';
beforeAll(async () => {
  base = await startStage();
});
afterAll(() => base.close());
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-reload-'));
  cpSync(POLICIES_DIR, dir, { recursive: true });
  stage = await base.beside({ policies_dir: dir });
  base.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
    spec: { driver: { memory: '1g' } },
  });
});
afterEach(async () => {
  base.kubernetes.faults.clear();
  await stage.close();
  rmSync(dir, { recursive: true, force: true });
});

const FORBID_READS = '\n@id("nobody-reads") forbid (principal, action == Aegis::Action::"read", resource);\n';

function edit(name: string, change: (text: string) => string): void {
  writeFileSync(join(dir, name), change(readFileSync(join(dir, name), 'utf8')));
}

/** Looks as the service does, each second, until something was exchanged. */
async function exchanged(on = stage): Promise<PolicyChange> {
  for (let looks = 0; looks < 10; looks += 1) {
    const change = await on.gateway.refreshPolicies();
    if (change !== null) return change;
  }
  throw new Error('nothing was exchanged');
}

async function read(): Promise<string> {
  const token = await stage.token();
  const answer = await stage.gateway.read({ token, tool: 'k8s.get', target: JOB, args: {}, why: 'test' });
  return isRefusal(answer) ? answer.code : 'done';
}

const loads = async () =>
  (await stage.store.ledger.read('SYSTEM', { kinds: ['event'] }))
    .map(({ payload }) => payload)
    .filter(({ type }) => type === 'policies_loaded');

describe('a set that loads', () => {
  it('is in force at once after two looks that agree, and the SYSTEM chain names old and new digest', async () => {
    const before = stage.gateway.policyDigest();
    expect(await stage.gateway.refreshPolicies()).toBeNull();
    expect(await read()).toBe('done');
    edit('read.cedar', (text) => `${text}${FORBID_READS}`);
    expect(await stage.gateway.refreshPolicies()).toBeNull();
    expect(await read()).toBe('done');
    const change = await exchanged();
    expect(change).toMatchObject({ previous_digest: before, digest: stage.gateway.policyDigest() });
    expect(await read()).toBe('policy-denied');
    expect((await loads()).at(-1)).toMatchObject({
      in_force: true,
      previous_digest: before,
      digest: change.digest,
    });
    expect(await stage.gateway.refreshPolicies()).toBeNull();
  });

  it('is found behind symbolic links that are swapped, as a mounted ConfigMap does it', async () => {
    const old = stage.gateway.policyDigest();
    const file = join(dir, 'read.cedar');
    writeFileSync(join(dir, 'next'), `${readFileSync(file, 'utf8')}${FORBID_READS}`);
    rmSync(file);
    symlinkSync(join(dir, 'next'), file);
    expect((await exchanged()).previous_digest).toBe(old);
    expect(await read()).toBe('policy-denied');
  });

  it('files that change at every look are taken up all the same', async () => {
    for (let n = 0; ; n += 1) {
      expect(n).toBeLessThan(10);
      edit('read.cedar', (text) => `${text}// ${n}\n`);
      if ((await stage.gateway.refreshPolicies()) !== null) break;
    }
  });

  it('files that were touched and say the same change nothing', async () => {
    const before = (await loads()).length;
    edit('read.cedar', (text) => text);
    for (let looks = 0; looks < 4; looks += 1) expect(await stage.gateway.refreshPolicies()).toBeNull();
    expect((await loads()).length).toBe(before);
  });
});

describe('a set that does not load', () => {
  it('stops reads and writes, says why in the SYSTEM chain and the log, and is over when it is mended', async () => {
    const good = readFileSync(join(dir, 'write.cedar'), 'utf8');
    const approved = await approvedPlan(stage);
    const old = stage.gateway.policyDigest();
    writeFileSync(join(dir, 'write.cedar'), 'permit (');
    expect(await exchanged()).toMatchObject({ previous_digest: old, digest: null });
    expect(stage.gateway.policyDigest()).toBeNull();
    expect(await read()).toBe('policy-not-in-force');
    const answer = await execute(stage, approved);
    expect(isRefusal(answer) && answer.code).toBe('policy-not-in-force');
    expect((await loads()).at(-1)).toMatchObject({
      in_force: false,
      previous_digest: old,
      problems: [expect.stringContaining('write.cedar')],
    });
    expect(stage.log_lines.at(-1)).toContain('nothing is allowed');
    writeFileSync(join(dir, 'write.cedar'), good);
    expect(await exchanged()).toMatchObject({ previous_digest: null, digest: old });
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
  });

  it('a directory that is gone is such a set', async () => {
    rmSync(dir, { recursive: true });
    expect(await exchanged()).toMatchObject({ digest: null });
    expect(await read()).toBe('policy-not-in-force');
  });

  it('an exchange that the SYSTEM chain cannot record leaves neither set in force, until it can', async () => {
    let full = false;
    const store: Store = {
      ...base.store,
      ledger: {
        ...base.store.ledger,
        append: (chain, entries) =>
          full ? Promise.reject(new Error('disk full')) : base.store.ledger.append(chain, entries),
      },
    };
    const on = await base.beside({ policies_dir: dir, store });
    try {
      full = true;
      edit('read.cedar', (text) => `${text}\n// another\n`);
      expect(await exchanged(on)).toMatchObject({ digest: null });
      expect(on.gateway.policyDigest()).toBeNull();
      full = false;
      expect((await exchanged(on)).digest).toMatch(/^[0-9a-f]{64}$/);
    } finally {
      await on.close();
    }
  });
});

describe('calls and permits of the old set', () => {
  it('a call under way finishes under the digest that admitted it', async () => {
    const old = stage.gateway.policyDigest();
    base.kubernetes.faults.delay({ ms: 400, times: 1 });
    const incident_id = 'INC-2026-1123-777';
    const token = await stage.token({ incident_id });
    const under_way = stage.gateway.read({ token, tool: 'k8s.get', target: JOB, args: {}, why: 'test' });
    await expect.poll(() => base.store.ledger.count(incident_id, ['call']), { timeout: 10_000 }).toBe(1);
    edit('read.cedar', (text) => `${text}${FORBID_READS}`);
    await exchanged();
    expect(isRefusal(await under_way)).toBe(false);
    const calls = await stage.store.ledger.read(incident_id, { kinds: ['call'] });
    expect(calls.map(({ payload }) => payload['policy_digest'])).toEqual([old, old]);
    expect(await read()).toBe('policy-denied');
  });

  it('a permit minted under the old set is refused, and nothing is sent', async () => {
    const approved = await approvedPlan(stage);
    const permit_id = await approved.mint();
    const mutations = base.kubernetes.mutations().length;
    edit('write.cedar', (text) => `${text}\n// a comment is another set, too\n`);
    await exchanged();
    const answer = await execute(stage, approved, { permit_id });
    expect(isRefusal(answer) && answer.code).toBe('policy-changed');
    expect(base.kubernetes.mutations().length).toBe(mutations);
  });
});

describe('approvals of the old set', () => {
  it('are voided by one durable event each; while no set is in force nothing is voided', async () => {
    const rows: unknown[] = [];
    const pending = walkTo('PENDING_APPROVAL');
    const digest_of_plan = pending.context.plan?.payload.policy_digest;
    let digest: string | null = null;
    const deps = {
      clock: base.clock,
      gateway: { policyDigest: () => digest },
      store: {
        incidents: {
          get: async (incident_id: string) => ({ incident_id, state: 'PENDING_APPROVAL', snapshot: pending }),
        },
        approvals: { standingIn: async () => ['INC-2026-1123-001'] },
        inbox: {
          append: async (row: { dedup_key: string }) => {
            const duplicate = rows.some((known) => (known as typeof row).dedup_key === row.dedup_key);
            if (!duplicate) rows.push(row);
            return { inbox_id: 'i', duplicate };
          },
        },
      },
    } as unknown as HarnessDeps;
    expect(await voidUnderOldPolicies(deps)).toBe(false);
    digest = digest_of_plan ?? '';
    expect(await voidUnderOldPolicies(deps)).toBe(false);
    digest = 'e'.repeat(64);
    expect(await voidUnderOldPolicies(deps)).toBe(true);
    expect(await voidUnderOldPolicies(deps)).toBe(false);
    expect(rows).toEqual([
      expect.objectContaining({
        source: 'policies',
        incident_id: 'INC-2026-1123-001',
        payload: expect.objectContaining({ type: 'policies_changed', digest_of_plan, digest_now: digest }),
      }),
    ]);
  });
});
