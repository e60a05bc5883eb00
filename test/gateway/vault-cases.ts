import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../src/contract/credentials.ts';
import { secretTexts, type Credential } from '../../src/gateway/credentials/credential.ts';
import { granted, refused, type Bench } from './broker-bench.ts';

/**
 * What every engine of Vault must do, as one list of cases: the twin and, where there is one, a real Vault run the
 * same list, so that the twin cannot be kinder.
 */
export interface VaultPlace {
  readonly bench: Bench;
  /** Configured sources by engine; the list skips nothing that stands here. */
  readonly sources: Readonly<Record<string, CredentialSource>>;
  /** Whether the system behind the engine accepts the credential now. */
  works(engine: string, credential: Credential): Promise<boolean>;
  /** Accessors of tokens that are alive, as the operator of this Vault sees them. */
  lives(accessor: string): Promise<boolean>;
  close(): Promise<void>;
}

const KINDS: Readonly<Record<string, Credential['kind']>> = {
  vault_kubernetes: 'bearer',
  vault_database: 'password',
  vault_aws: 'aws',
  vault_kv: 'password',
};
const REVOCABLE = ['vault_kubernetes', 'vault_database'];

export function describeVault(
  name: string,
  engines: readonly string[],
  open: () => Promise<VaultPlace>,
): void {
  describe(name, () => {
    let place: VaultPlace;
    beforeAll(async () => {
      place = await open();
    }, 60_000);
    afterAll(() => place?.close());
    const sourceOf = (engine: string) => place.sources[engine] as CredentialSource;

    describe.each(engines)('%s', (engine) => {
      it.each(['read', 'write'] as const)(
        'leases a credential to %s that works, and ends it',
        async (access) => {
          const lease = granted(await place.bench.lease(sourceOf(engine), { access, own: true }));
          const revocable = REVOCABLE.includes(engine);
          expect(lease).toMatchObject({ engine, revocable, credential: { kind: KINDS[engine] } });
          const credential = lease.credential as Credential;
          expect(await place.works(engine, credential)).toBe(true);
          expect(await place.lives(lease.accessor as string)).toBe(true);
          expect(await lease.release()).toBe(revocable);
          expect(await place.lives(lease.accessor as string)).toBe(false);
          expect(await place.works(engine, credential)).toBe(!revocable);
          const rows = await place.bench.store.leases.outstanding();
          expect(rows.map((row) => row.engine)).toEqual(['vault_login']);
        },
      );

      it('shows no secret when it is printed, logged or serialised', async () => {
        const lease = granted(await place.bench.lease(sourceOf(engine)));
        const credential = lease.credential as Credential;
        const shown = [inspect(lease, { depth: 9 }), JSON.stringify(lease), ...place.bench.log_lines].join();
        for (const text of secretTexts(credential)) expect(shown).not.toContain(text);
        await lease.release();
      });

      it('two calls never get the same credential, and each ends alone', async () => {
        const [one, two] = [
          granted(await place.bench.lease(sourceOf(engine))),
          granted(await place.bench.lease(sourceOf(engine))),
        ];
        expect(one.accessor).not.toBe(two.accessor);
        await one.release();
        expect(await place.lives(two.accessor as string)).toBe(true);
        expect(await place.works(engine, two.credential as Credential)).toBe(true);
        await two.release();
      });
    });

    it.each(engines)(
      '%s: a role or path that is not there is a refusal that says what to do',
      async (engine) => {
        const source = sourceOf(engine);
        const wrong =
          source.engine === 'vault_kv'
            ? { ...source, read: { path: 'aegis/nothing-here', token: 'token' } }
            : ({ ...source, read_role: 'aegis-nope' } as CredentialSource);
        const refusal = refused(await place.bench.lease(wrong, { access: 'read', own: true }));
        expect(refusal.code).toBe('credential-unavailable');
        expect(refusal.reason).toContain('Nothing was called');
        expect(refusal.remedy).toMatch(/aegis\.yaml|polic/);
        expect((await place.bench.store.leases.outstanding()).map((row) => row.engine)).toEqual([
          'vault_login',
        ]);
      },
    );
  });
}
