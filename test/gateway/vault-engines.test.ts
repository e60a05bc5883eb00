import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Credential } from '../../src/gateway/credentials/credential.ts';
import { granted, refused } from './broker-bench.ts';
import { describeVault } from './vault-cases.ts';
import { openTwinPlace, SOURCES, type TwinPlace } from './vault-place.ts';

const ENGINES = ['vault_kubernetes', 'vault_database', 'vault_aws', 'vault_kv'] as const;

describeVault('Vault, the twin', ENGINES, openTwinPlace);

let place: TwinPlace;
beforeEach(async () => {
  place = await openTwinPlace();
});
afterEach(() => place.close());

const outstanding = () => place.vault.outstanding();
const mintPath = (path: string) => /\/(?:creds|sts|data)\//.test(path);

describe.each(ENGINES)('a mint of %s', (engine) => {
  it('whose answer was lost is ended by its accessor and never asked for again', async () => {
    place.vault.faults.inject({ kind: 'drop_after' }, { match: (call) => mintPath(call.path) });
    const refusal = refused(await place.bench.lease(SOURCES[engine]));
    expect(refusal.code).toBe('credential-unavailable');
    expect(place.vault.requests().filter((request) => mintPath(request.path))).toHaveLength(1);
    await expect.poll(() => outstanding().leases, { timeout: 10_000 }).toEqual([]);
    expect(outstanding().tokens.map((token) => token.path)).toEqual(['auth/approle/login']);
  });

  it('that Vault answers with 503 or 429 is asked again, since Vault did not act', async () => {
    for (const status of [503, 429]) {
      place.vault.faults.inject(
        { kind: 'status', status },
        { times: 1, match: (call) => mintPath(call.path) },
      );
      const lease = granted(await place.bench.lease(SOURCES[engine]));
      await lease.release();
    }
  });

  it('that is aborted leaves nothing', async () => {
    const controller = new AbortController();
    let asked = false;
    place.vault.faults.inject(
      { kind: 'delay', delay_ms: 30_000 },
      { match: (call) => mintPath(call.path) && (asked = true) },
    );
    const pending = place.bench.lease(SOURCES[engine], { signal: controller.signal });
    await expect.poll(() => asked, { timeout: 15_000 }).toBe(true);
    controller.abort();
    expect(refused(await pending).reason).toContain('aborted');
    await expect.poll(() => outstanding().leases, { timeout: 10_000 }).toEqual([]);
    expect(outstanding().tokens.map((token) => token.path)).toEqual(['auth/approle/login']);
  });
});

describe('what each engine asks for', () => {
  it('vault_aws: the session bears the name of the call, 64 characters at most', async () => {
    const call_id = `call_${'x'.repeat(80)} with spaces`;
    const lease = granted(await place.bench.lease(SOURCES.vault_aws, { call_id }));
    expect(place.aws_sessions).toMatchObject([{ session_name: call_id.slice(0, 64), ttl_s: 900 }]);
    await lease.release();
  });

  it('vault_kv: one field is a bearer token', async () => {
    const read = { path: 'aegis/orders', token: 'token' };
    const lease = granted(await place.bench.lease({ ...SOURCES.vault_kv, read }, { access: 'read' }));
    expect((lease.credential as Extract<Credential, { kind: 'bearer' }>).token.reveal()).toBe(
      'a-token-of-kv',
    );
    await lease.release();
  });

  it('vault_kv: a secret that was deleted or destroyed, a missing field, and one that is too short are refusals', async () => {
    const ask = async (read: { path: string; token: string }) =>
      refused(await place.bench.lease({ ...SOURCES.vault_kv, read }, { access: 'read' }));
    place.vault.putSecret('aegis/gone', { token: 'was-here-before' });
    place.vault.deleteSecret('aegis/gone');
    expect(await ask({ path: 'aegis/gone', token: 'token' })).toMatchObject({
      reason: expect.stringContaining('deleted'),
      remedy: expect.stringContaining('path'),
    });
    place.vault.putSecret('aegis/broken', { token: 'was-here-before' });
    place.vault.destroySecret('aegis/broken');
    expect((await ask({ path: 'aegis/broken', token: 'token' })).reason).toContain('deleted');
    expect((await ask({ path: 'aegis/orders', token: 'nope' })).reason).toContain('"nope"');
    place.vault.putSecret('aegis/short', { token: 'abc' });
    const short = await ask({ path: 'aegis/short', token: 'token' });
    expect(short.reason).toContain('shorter than');
    expect(short.reason).not.toContain('abc');
  });

  it.each(['vault_database', 'vault_aws', 'vault_kv'] as const)(
    '%s without an account that may write: nothing is minted for a write',
    async (engine) => {
      const { write: _w, write_role: _r, ...reading } = { write: 0, write_role: 0, ...SOURCES[engine] };
      const refusal = refused(await place.bench.lease(reading));
      expect(refusal.reason).toContain('no account that may write');
      expect(outstanding().leases).toEqual([]);
      expect((await place.bench.store.leases.outstanding()).map((r) => r.engine)).toEqual(['vault_login']);
    },
  );
});
