import { expect, it } from 'vitest';
import type { PersonGrant } from '../../src/contract/person-token.ts';
import { START_MS } from './samples.ts';
import type { Bench } from './store-place.ts';

const grant = (token_id: string, change: Partial<PersonGrant> = {}): PersonGrant => ({
  token_id,
  principal: 'dan',
  public_key: 'key',
  minted_at_ms: START_MS,
  expires_at_ms: START_MS + 60_000,
  ...change,
});

export function describePersons(bench: Bench): void {
  it('finds a token by its text and by its id, and knows no other', async () => {
    const { persons } = bench.store;
    await persons.mint(grant('P1'), 'secret-1', 'cli:root');
    expect(await persons.find('secret-1')).toEqual(grant('P1'));
    expect(await persons.byId('P1')).toEqual(grant('P1'));
    expect(await persons.find('secret-2')).toMatchObject({ code: 'token-unknown' });
    expect(await persons.byId('P2')).toMatchObject({ code: 'token-unknown' });
    expect(await bench.store.tokens.find('secret-1')).toBeNull();
  });

  it('ends a token by revoking it and by time, and says which', async () => {
    const { persons } = bench.store;
    await persons.mint(grant('P1'), 'secret-1', 'cli:root');
    await persons.mint(grant('P2', { principal: 'ines' }), 'secret-2', 'cli:root');
    expect((await persons.list(10)).map((t) => t.token_id)).toEqual(['P2', 'P1']);
    expect(await persons.revoke('P1', 'cli:root')).toBe(true);
    expect(await persons.revoke('P1', 'cli:root')).toBe(false);
    expect(await persons.find('secret-1')).toMatchObject({ code: 'token-revoked' });
    expect((await persons.list(10)).map((t) => t.token_id)).toEqual(['P2']);
    bench.clock.at += 60_000;
    expect(await persons.byId('P2')).toMatchObject({ code: 'token-expired' });
    expect(await persons.list(10)).toEqual([]);
  });

  it('writes minting and revoking into the SYSTEM chain, without the secret', async () => {
    const { persons, ledger } = bench.store;
    await persons.mint(grant('P1'), 'secret-1', 'cli:root');
    await persons.revoke('P1', 'cli:root');
    const entries = await ledger.read('SYSTEM');
    expect(entries.map((e) => [e.payload['type'], e.payload['token_id'], e.actor])).toEqual([
      ['person_token_minted', 'P1', 'cli:root'],
      ['person_token_revoked', 'P1', 'cli:root'],
    ]);
    expect(JSON.stringify(entries)).not.toContain('secret-1');
  });
}
