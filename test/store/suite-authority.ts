import { describe, expect, it } from 'vitest';
import { isoTime } from '../../src/contract/ports.ts';
import type { TokenGrant } from '../../src/store/authority.ts';
import { evidence, H, INC, START_MS } from './samples.ts';
import { useBench } from './store-place.ts';
import { describePersons } from './suite-persons.ts';
import type { Bench, MakePlace } from './store-place.ts';

export function describeAuthority(make: MakePlace): void {
  describe('freezes', () => describeFreezes(useBench(make)));
  describe('leases', () => describeLeases(useBench(make)));
  describe('tokens', () => describeTokens(useBench(make)));
  describe('tokens of persons', () => describePersons(useBench(make)));
  describe('evidence', () => describeEvidence(useBench(make)));
}

function describeFreezes(bench: Bench): void {
  it('covers its scope and what lies in it, and nothing beside it', async () => {
    const { freezes } = bench.store;
    for (const scope of ['*', 'data', 'data/prod', 'data/prod/nightly'])
      await freezes.set({ freeze_id: `F ${scope}`, scope, reason: 'r', by: 'mira', until_ms: null });
    const scopes = async (place: { team: string; env: string; service?: string }) =>
      (await freezes.active(place)).map((f) => f.scope);
    expect(await scopes({ team: 'data', env: 'prod', service: 'nightly' })).toEqual([
      '*',
      'data',
      'data/prod',
      'data/prod/nightly',
    ]);
    expect(await scopes({ team: 'data', env: 'prod' })).toEqual(['*', 'data', 'data/prod']);
    expect(await scopes({ team: 'data', env: 'dev', service: 'nightly' })).toEqual(['*', 'data']);
    expect(await scopes({ team: 'datax', env: 'prod' })).toEqual(['*']);
  });

  it('leaves an entry in the SYSTEM chain for each change, with the person who made it', async () => {
    const { freezes, ledger } = bench.store;
    await freezes.set({ freeze_id: 'F1', scope: 'data', reason: 'release', by: 'mira', until_ms: null });
    expect(await freezes.lift('data/prod', 'jon', 'x')).toBe(0);
    expect(await freezes.lift('data', 'jon', 'released')).toBe(1);
    await freezes.stop(INC, 'person:mira', 'wrong');
    await freezes.stop(INC, 'jon', 'wrong too');
    await freezes.clearStop(INC);
    await freezes.clearStop(INC);
    const entries = await ledger.read('SYSTEM');
    expect(entries.map((e) => [e.actor, e.payload['type']])).toEqual([
      ['person:mira', 'freeze_set'],
      ['person:jon', 'freeze_lifted'],
      ['person:mira', 'incident_stopped'],
      ['aegis:harness', 'incident_stop_cleared'],
    ]);
  });

  it('writes neither row nor entry for a scope that means nothing or an id that exists', async () => {
    const { freezes, ledger } = bench.store;
    const freeze = { freeze_id: 'F1', scope: 'data', reason: 'r', by: 'mira', until_ms: null };
    for (const scope of ['', 'data/', '/prod', 'a/b/c/d', 'data/*', 'Data', '**'])
      await expect(freezes.set({ ...freeze, scope })).rejects.toThrow(/team\/env/);
    await freezes.set(freeze);
    await expect(freezes.set({ ...freeze, scope: '*' })).rejects.toThrow();
    expect(await ledger.read('SYSTEM')).toHaveLength(1);
    expect(await freezes.active({ team: 'shop', env: 'prod' })).toEqual([]);
  });

  it('shows the emergency freeze as a freeze of everything, with its text as the reason', async () => {
    bench.place.emergencyFreeze('  network move \n');
    expect(await bench.store.freezes.active({ team: 'any', env: 'where' })).toMatchObject([
      { scope: '*', reason: 'network move', until_ms: null },
    ]);
    expect(await bench.store.freezes.lift('*', 'mira', 'x')).toBe(0);
    bench.place.emergencyFreeze('');
    expect(await bench.store.freezes.active({ team: 'any', env: 'where' })).toHaveLength(1);
  });
}

function describeLeases(bench: Bench): void {
  it('keeps the intent of a credential that never came and forgets ended ones', async () => {
    const { leases } = bench.store;
    const intent = (lease_id: string) => ({
      lease_id,
      call_id: 'call_1',
      incident_id: INC,
      engine: 'vault-kubernetes',
      expires_at_ms: START_MS + 9,
    });
    for (const id of ['L1', 'L2', 'L3']) await leases.intent(intent(id));
    await leases.live('L2', 'accessor-2');
    await leases.ended('L3', 'revoked');
    await bench.restart();
    expect(await bench.store.leases.outstanding()).toEqual([
      { ...intent('L1'), accessor: null, state: 'intent', created_at_ms: START_MS },
      { ...intent('L2'), accessor: 'accessor-2', state: 'live', created_at_ms: START_MS },
    ]);
    await expect(bench.store.leases.live('L3', 'a')).rejects.toThrow(/no open intent/);
    await bench.store.leases.ended('L2', 'expired');
    await bench.store.leases.ended('L2', 'revoked');
    expect(await bench.store.leases.outstanding()).toHaveLength(1);
  });
}

function describeTokens(bench: Bench): void {
  const grant = (token_id: string): TokenGrant => ({
    token_id,
    principal: 'agent-1',
    incident_id: INC,
    team: 'data',
    env: 'prod',
    action_class: 'read',
    expires_at_ms: START_MS + 100,
  });

  it('finds a token by its text until it is revoked or its time is over', async () => {
    const { tokens } = bench.store;
    await tokens.mint(grant('T1'), 'secret-1');
    await tokens.mint(grant('T2'), 'secret-2');
    expect(await tokens.find('secret-1')).toEqual(grant('T1'));
    expect(await tokens.find('secret-3')).toBeNull();
    expect(await tokens.find(H('secret-1'))).toBeNull();
    expect(await tokens.revoke('T1')).toBe(true);
    expect(await tokens.revoke('T1')).toBe(false);
    expect(await tokens.find('secret-1')).toBeNull();
    expect((await tokens.list(10)).map((t) => t.token_id)).toEqual(['T2']);
    bench.clock.at = START_MS + 100;
    expect(await tokens.find('secret-2')).toBeNull();
    expect(await tokens.list(10)).toEqual([]);
  });
}

function describeEvidence(bench: Bench): void {
  const text = 'ü first\nsecond';
  const record = evidence('EV-aaaaaaaa', text);

  it('gives back record and text, also after a restart, and takes the same capture twice', async () => {
    await bench.store.evidence.put(record, text);
    await bench.store.evidence.put(record, text);
    await bench.restart();
    expect(await bench.store.evidence.open('EV-aaaaaaaa')).toEqual({ record, text });
    expect(await bench.store.evidence.record('EV-aaaaaaaa')).toEqual(record);
    expect(await bench.store.evidence.list(INC)).toEqual([record]);
    expect((await bench.store.ledger.verify()).blobs).toBe(1);
  });

  it('refuses a text that is not the one of the record, and another record under a known id', async () => {
    await expect(bench.store.evidence.put(record, `${text} `)).rejects.toThrow();
    await bench.store.evidence.put(record, text);
    await expect(bench.store.evidence.put({ ...record, why_needed: 'another reason' }, text)).rejects.toThrow(
      /another record/,
    );
    await expect(bench.store.evidence.put(evidence('EV-../../../x', text), text)).rejects.toThrow();
    expect(await bench.store.evidence.open('EV-aaaaaaaa')).toEqual({ record, text });
  });

  it('is missing when it never was, and expired when its time is over, for good', async () => {
    expect(await bench.store.evidence.open('EV-bbbbbbbb')).toEqual({ problem: 'missing' });
    await bench.store.evidence.put(record, text);
    bench.clock.at = Date.parse(record.expires_at);
    expect(await bench.store.evidence.open('EV-aaaaaaaa')).toEqual({ problem: 'expired' });
    const later = evidence('EV-cccccccc', 'x', { expires_at: isoTime(bench.clock.at + 1000) });
    await bench.store.evidence.put(later, 'x');
    bench.clock.at = START_MS;
    expect(await bench.store.evidence.open('EV-aaaaaaaa')).toEqual({ problem: 'missing' });
    expect(await bench.store.evidence.record('EV-aaaaaaaa')).toEqual(record);
  });

  it('derives another key for every tenant, and the same one again after a restart', async () => {
    const raw = Buffer.from('raw');
    const hmac = (team: string, env: string) => bench.store.evidence.rawHmac({ team, env }, raw);
    const one = hmac('data', 'prod');
    expect(one).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set([one, hmac('data', 'dev'), hmac('shop', 'prod')]).size).toBe(3);
    await bench.restart();
    expect(hmac('data', 'prod')).toBe(one);
  });
}
