import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Settings } from '../../src/contract/settings.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { Credential } from '../../src/gateway/credentials/credential.ts';
import { granted, refused } from './broker-bench.ts';
import { configureByReadme, readmeBlocks, readmeCluster } from './readme-blocks.ts';
import { JOB, startStage, type Stage } from './stage.ts';
import { openTwinPlace, SOURCES, type TwinPlace } from './vault-place.ts';

/** "Connect Vault" and "connect a cluster" of the README, followed to the letter against the twins. */
describe('the README: connect Vault and a cluster', () => {
  let stage: Stage;
  beforeAll(async () => {
    const vault = readmeBlocks('yaml')
      .map((text) => (parse(text) as { vault?: object }).vault)
      .find((found) => found !== undefined);
    stage = await startStage({
      settings: (s) => {
        const twin = s.vault as NonNullable<typeof s.vault>;
        const { role_id, secret_id } = twin.auth;
        const written = Settings.shape.vault.parse({ ...vault, address: twin.address });
        const cluster = s.clusters['prod-1'] as NonNullable<(typeof s.clusters)['prod-1']>;
        return {
          ...s,
          vault: {
            ...(written as typeof twin),
            auth: { ...written?.auth, role_id, secret_id } as typeof twin.auth,
          },
          clusters: {
            'prod-1': readmeCluster('vault_kubernetes', {
              server: cluster.server,
              ca_file: cluster.ca_file as string,
            }),
          },
        };
      },
    });
  }, 60_000);
  afterAll(() => stage?.close());

  it('reads the cluster with a credential that Vault leased under these policies, and proves that it dies', async () => {
    expect(configureByReadme(stage.vault).length).toBeGreaterThanOrEqual(9);
    const request = { token: await stage.token(), tool: 'k8s.get', target: JOB, args: {}, why: 'test' };
    const answer = await stage.gateway.read(request);
    expect(isRefusal(answer) ? answer : answer.source_query).toContain('nightly-settlement');
    expect(await stage.gateway.proveCredential(request)).toEqual({
      engine: 'vault_kubernetes',
      revocable: true,
      revoked: true,
      afterwards: 'refused',
    });
    const calls = await stage.store.ledger.read('INC-2026-1123-001', { kinds: ['call'] });
    expect(calls.at(-1)?.payload).toMatchObject({ credential: { revocable: true, revoked: true } });
  });
});

describe('the policies of the README', () => {
  let place: TwinPlace;
  beforeAll(async () => {
    place = await openTwinPlace();
    configureByReadme(place.vault);
  });
  afterAll(() => place?.close());

  it('allow what they promise for every engine', async () => {
    for (const source of Object.values(SOURCES)) {
      const lease = granted(await place.bench.lease(source, { access: 'read', own: true }));
      expect(await place.works(source.engine, lease.credential as Credential)).toBe(true);
      await lease.release();
    }
  });

  it('allow nothing else: not another role, not another path', async () => {
    place.vault.addDatabaseRole('payroll', { default_ttl_s: 600 });
    place.vault.putSecret('payroll/key', { token: 'a-token-of-somebody-else' });
    for (const source of [
      { ...SOURCES.vault_database, read_role: 'payroll' },
      { ...SOURCES.vault_kv, read: { path: 'payroll/key', token: 'token' } },
    ])
      expect(refused(await place.bench.lease(source, { access: 'read', own: true })).reason).toContain(
        'permission denied',
      );
    expect(place.vault.outstanding().leases).toEqual([]);
  });
});
