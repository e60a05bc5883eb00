import { readdirSync, readFileSync, statSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import { Secret } from '../../src/contract/secret.ts';
import { approvedPlan, execute } from './approved-plan.ts';
import { JOB, POLICIES_DIR, startStage, type Stage } from './stage.ts';

/** Every write has its own credential, and it is dead when the call is over. */
let stage: Stage;
afterEach(() => stage.close());

const read = async (): ReturnType<Stage['gateway']['read']> =>
  stage.gateway.read({ token: await stage.token(), tool: 'k8s.get', target: JOB, args: {}, why: 'test' });

function kubernetesTokens(): string[] {
  return stage.vault.secretsMinted().filter((secret) => !/^hv[sb]\./.test(secret));
}

async function statusWith(token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request(
      `${stage.kubernetes.url}/apis/sparkoperator.k8s.io/v1beta2/namespaces/spark-jobs/sparkapplications/nightly-settlement`,
      { ca: stage.kubernetes.ca_pem, headers: { authorization: `Bearer ${token}` } },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    call.on('error', reject);
    call.end();
  });
}

function allFiles(dir: string): string[] {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    return statSync(path).isDirectory() ? allFiles(path) : [path];
  });
}

describe('leased credentials', () => {
  it('the token that patched is refused (401) right after the call, and stands in no file, log or answer', async () => {
    stage = await startStage();
    const approved = await approvedPlan(stage);
    const minted_before = new Set(kubernetesTokens());
    const answer = await execute(stage, approved);
    const own = kubernetesTokens().filter((token) => !minted_before.has(token));
    expect(own).toHaveLength(1);
    expect(await statusWith(own[0] as string)).toBe(401);
    const everything = [
      JSON.stringify(answer),
      ...stage.log_lines,
      ...allFiles(join(stage.home, 'state')).map((path) => readFileSync(path, 'latin1')),
    ];
    for (const secret of stage.vault.secretsMinted())
      expect(everything.some((text) => text.includes(secret))).toBe(false);
  }, 60_000); // The first test of the file loads everything.

  it('reads share a lease for a while; closing the gateway leaves nothing that works', async () => {
    stage = await startStage();
    const token = await stage.token();
    for (let n = 0; n < 5; n += 1)
      await stage.gateway.read({ token, tool: 'k8s.get', target: JOB, args: {}, why: 'test' });
    expect(kubernetesTokens()).toHaveLength(1);
    await stage.gateway.close();
    expect(stage.vault.outstanding()).toEqual({ leases: [], tokens: [] });
    expect(await stage.store.leases.outstanding()).toEqual([]);
    expect(await statusWith(kubernetesTokens()[0] as string)).toBe(401);
  });

  it('a shared lease that died early is replaced once', async () => {
    stage = await startStage();
    const token = await stage.token();
    const ask = () => stage.gateway.read({ token, tool: 'k8s.get', target: JOB, args: {}, why: 'test' });
    await ask();
    stage.kubernetes.revokeToken(kubernetesTokens()[0] as string);
    expect(isRefusal(await ask())).toBe(false);
    expect(kubernetesTokens()).toHaveLength(2);
  });

  it('reads of two incidents never share a credential', async () => {
    stage = await startStage();
    for (const incident_id of ['INC-2026-1123-001', 'INC-2026-1123-002'])
      await stage.gateway.read({
        token: await stage.token({ incident_id }),
        tool: 'k8s.get',
        target: JOB,
        args: {},
        why: 'test',
      });
    expect(kubernetesTokens()).toHaveLength(2);
  });
});

describe('when Vault is away', () => {
  it('sealed: the call is refused with the remedy, nothing is sent, and it works again after unsealing', async () => {
    stage = await startStage();
    stage.vault.seal();
    const refused = await read();
    expect(isRefusal(refused) && refused.code).toBe('credential-unavailable');
    expect(isRefusal(refused) && `${refused.reason} ${refused.remedy}`).toMatch(/sealed.*Unseal/s);
    expect(stage.kubernetes.requests()).toHaveLength(0);
    await stage.vault.unseal();
    expect(isRefusal(await read())).toBe(false);
  });

  it('down: refused, fail closed', async () => {
    stage = await startStage({
      settings: (s) => ({
        ...s,
        vault: { ...(s.vault as NonNullable<typeof s.vault>), address: 'http://127.0.0.1:9' },
      }),
    });
    const refused = await read();
    expect(isRefusal(refused) && refused.code).toBe('credential-unavailable');
    expect(stage.kubernetes.requests()).toHaveLength(0);
  });

  it('an AppRole whose secret cannot be read: refused, not a fault', async () => {
    stage = await startStage({
      settings: (s) => ({
        ...s,
        vault: {
          ...(s.vault as NonNullable<typeof s.vault>),
          auth: {
            method: 'approle',
            mount: 'approle',
            role_id: { env: 'MISSING' },
            secret_id: { env: 'SECRET_ID' },
          },
        },
      }),
    });
    const refused = await read();
    expect(isRefusal(refused) && refused.code).toBe('credential-unavailable');
  });

  it('hanging: refused within the deadline', async () => {
    stage = await startStage({
      settings: (s) => ({ ...s, vault: { ...(s.vault as NonNullable<typeof s.vault>), timeout_ms: 200 } }),
    });
    stage.vault.faults.inject({ kind: 'delay', delay_ms: 5000 }, { times: Infinity });
    const started = performance.now();
    const refused = await read();
    expect(isRefusal(refused) && refused.code).toBe('credential-unavailable');
    expect(performance.now() - started).toBeLessThan(3000);
    stage.vault.faults.clear();
  });

  it('sealed between two approvals and the apply: the change stays accepted and runs after unsealing', async () => {
    stage = await startStage();
    const approved = await approvedPlan(stage);
    stage.vault.seal();
    const refused = await execute(stage, approved);
    expect(isRefusal(refused) && refused.code).toBe('credential-unavailable');
    expect(stage.kubernetes.mutations()).toHaveLength(0);
    await stage.vault.unseal();
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
  });

  it('a revoke that fails does not fail the call; the audit says so and it is tried again', async () => {
    stage = await startStage();
    const approved = await approvedPlan(stage);
    stage.vault.faults.inject(
      { kind: 'status', status: 500 },
      { times: 3, match: (call) => call.path.endsWith('revoke-accessor') },
    );
    expect(await execute(stage, approved)).toMatchObject({ outcome: { status: 'done' } });
    const calls = await stage.store.ledger.read(approved.incident_id, { kinds: ['call'] });
    expect(calls.at(-1)?.payload).toMatchObject({
      phase: 'after',
      credential: { revocable: true, revoked: false },
    });
    await expect
      .poll(() => stage.vault.outstanding().leases.filter((l) => l.lease_id.includes('aegis-write')), {
        timeout: 5000,
      })
      .toEqual([]);
  });

  it('a mint whose answer was lost is revoked by its accessor, not repeated', async () => {
    stage = await startStage();
    stage.vault.faults.inject({ kind: 'drop_after' }, { match: (call) => call.path.includes('/creds/') });
    const refused = await read();
    expect(isRefusal(refused) && refused.code).toBe('credential-unavailable');
    expect(kubernetesTokens()).toHaveLength(1);
    await expect.poll(() => stage.vault.outstanding().leases, { timeout: 5000 }).toEqual([]);
  });

  it('logs in again when its own token was revoked', async () => {
    stage = await startStage();
    await read();
    const login = stage.vault.secretsMinted().filter((secret) => secret.startsWith('hvs.'));
    await fetch(`${stage.vault.url}/v1/auth/token/revoke-self`, {
      method: 'POST',
      headers: { 'x-vault-token': login.find((t) => t !== stage.vault.rootToken()) as string },
    });
    expect(
      isRefusal(
        await stage.gateway.read({
          token: await stage.token({ incident_id: 'INC-2026-1123-002' }),
          tool: 'k8s.get',
          target: JOB,
          args: {},
          why: 'test',
        }),
      ),
    ).toBe(false);
  });
});

describe('after a crash', () => {
  it('leases that were left behind are revoked at the next start', async () => {
    stage = await startStage();
    await read();
    const own = await stage.store.leases.outstanding();
    const row = own.find((r) => r.engine === 'vault_kubernetes');
    expect(own.map((r) => r.engine).sort()).toEqual(['vault_kubernetes', 'vault_login']);
    // The same lease under the name of a process that is dead: pid 2^22 + 1 never exists on Linux.
    const orphan = {
      lease_id: 'lease_orphan.4194305',
      call_id: 'call_x',
      incident_id: null,
      engine: 'vault_kubernetes',
      expires_at_ms: stage.clock.now() + 600_000,
    };
    await stage.store.leases.intent(orphan);
    await stage.store.leases.live(orphan.lease_id, row?.accessor as string);
    await stage.store.leases.intent({ ...orphan, lease_id: 'lease_intent.4194305' });
    expect(await stage.gateway.sweepLeases()).toEqual({ revoked: 1, failed: 0 });
    expect(stage.vault.outstanding().leases).toEqual([]);
    expect(await stage.store.leases.outstanding()).toEqual(own);
  });

  it('a start without Vault is still a start', async () => {
    stage = await startStage();
    await stage.store.leases.intent({
      lease_id: 'lease_x.4194305',
      call_id: 'c',
      incident_id: null,
      engine: 'vault_kubernetes',
      expires_at_ms: 1,
    });
    await stage.store.leases.live('lease_x.4194305', 'accessor');
    stage.vault.seal();
    const gateway = await createGateway({
      store: stage.store,
      settings: stage.settings,
      secrets: () => new Secret('whatever-is-sealed'),
      policies_dir: POLICIES_DIR,
      clock: stage.clock,
      ids: stage.ids,
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    });
    expect(gateway.policyDigest()).not.toBeNull();
    await gateway.close();
  });
});

describe('a standing token', () => {
  it('works, is shown as not revocable, and never stands in an answer or error', async () => {
    stage = await startStage({ credentials: 'token' });
    const answer = await read();
    expect(isRefusal(answer)).toBe(false);
    expect(stage.gateway.credentialRevocable(JOB)).toBe(false);
    const calls = await stage.store.ledger.read('INC-2026-1123-001', { kinds: ['call'] });
    expect(calls.at(-1)?.payload).toMatchObject({
      credential: { engine: 'token', accessor: null, revocable: false, revoked: false },
    });
  });
});
