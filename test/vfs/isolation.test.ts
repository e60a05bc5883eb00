import { describe, expect, it } from 'vitest';
import type { WorldRequest } from '../../src/contract/world.ts';
import { DRIVER, fixture, INCIDENT, openIncident } from './fixture.ts';

/** Another tenant's files must look exactly like files that never were, on every door and in every listing. */
const FOREIGN = [
  '/teams/fraud/prod/logs/driver.log',
  '/teams/fraud/prod/k8s/namespaces/scoring/quota.yaml',
  '/teams/fraud/prod/jobs/nightly-settlement/spec.yaml',
  '/teams/data/staging/logs/driver.log',
  '/teams/data/prod/k8s/namespaces/scoring/pods/other-tenant/status.yaml',
  '/teams/data/prod/k8s/namespaces/settlement-staging/quota.yaml',
  '/teams/data/prod/k8s/clusters/prod-b/namespaces/settlement/quota.yaml',
  '/teams/data/prod/metrics/namespaces/scoring/quota.prom',
  '/teams/data/prod/k8s/namespaces/settlement/secrets/token/spec.yaml',
  '/teams/data/prod/k8s/namespaces/settlement/pods/a/exec',
  '/ledger/INC-2026-1123-002',
  '/ledger/SYSTEM',
  '/ledger/CHECKPOINT',
  '/context/history/INC-2026-1123-002.md',
];
const NEVER = '/teams/nobody/nowhere/logs/x.log';

async function neighbours() {
  const world = await fixture();
  await openIncident(world.store, INCIDENT, 'data', 'prod');
  await openIncident(world.store, 'INC-2026-1123-002', 'fraud', 'prod');
  return world;
}

describe('isolation', () => {
  it.each(FOREIGN)('gives no sign that %s exists', async (path) => {
    const { vfs, session, gateway } = await neighbours();
    const ask = async (request: WorldRequest, of: string) => {
      const response = await vfs.world(session).call(request);
      return JSON.stringify(response).replaceAll(of, 'PATH');
    };
    for (const make of [
      (of: string): WorldRequest => ({ op: 'run', command: `read ${of}`, why_needed: 'x' }),
      (of: string): WorldRequest => ({ op: 'run', command: `grep "a" ${of} | tail`, why_needed: 'x' }),
      (of: string): WorldRequest => ({ op: 'run', command: `diff ${of} ${of}`, why_needed: 'x' }),
    ])
      expect(await ask(make(path), path)).toBe(await ask(make(NEVER), NEVER));
    expect(gateway.calls.filter(({ target }) => !target.includes('/settlement/'))).toEqual([]);
  });

  it.each(
    FOREIGN.filter(
      (path) => path.startsWith('/teams/fraud') || path.includes('staging') || path.includes('scoring'),
    ),
  )('does not explain or list %s', async (path) => {
    const { vfs, session, gateway } = await neighbours();
    const explained = await vfs.world(session).call({ op: 'explain', command: `read ${path}` });
    expect(explained).toMatchObject({ ok: false, refusal: { code: 'no-such-path' } });
    for (
      let above = path;
      above !== '/teams' && above !== '/teams/data' && above !== '/teams/data/prod';
      above = above.slice(0, above.lastIndexOf('/'))
    ) {
      const listed = await vfs.world(session).call({ op: 'ls', path: above, why_needed: 'x' });
      if (listed.ok && listed.op === 'ls')
        expect(JSON.stringify(listed.entries)).not.toMatch(/scoring|staging|fraud|other-tenant/);
    }
    expect(gateway.calls).toEqual([]);
  });

  it('lists only what is the reader’s own, from the root down', async () => {
    const { vfs, session } = await neighbours();
    const names = async (path: string) => {
      const response = await vfs.world(session).call({ op: 'ls', path, why_needed: 'x' });
      return response.ok && response.op === 'ls' ? response.entries.map(({ name }) => name) : response;
    };
    expect(await names('/')).toEqual(['context', 'evidence', 'ledger', 'teams']);
    expect(await names('/teams')).toEqual(['data']);
    expect(await names('/teams/data')).toEqual(['prod']);
    expect(await names('/teams/data/prod/')).toEqual(['jobs', 'k8s', 'logs', 'metrics']);
    expect(await names('/teams/data/prod/k8s/clusters')).toEqual(['prod-a']);
    expect(await names('/teams/data/prod/k8s/namespaces')).toEqual(['settlement']);
    expect(await names('/teams/data/prod/k8s/namespaces/settlement/pods')).toEqual([DRIVER]);
    expect(await names('/ledger')).toEqual([INCIDENT]);
    expect(await names('/teams/fraud')).toMatchObject({ ok: false, refusal: { code: 'no-such-path' } });
    expect(
      await vfs
        .world({ ...session, env: 'none' })
        .call({ op: 'ls', path: '/teams/data/none', why_needed: 'x' }),
    ).toEqual({ ok: true, op: 'ls', entries: [] });
  });

  it('finds nothing of a neighbour', async () => {
    const { lines } = await neighbours();
    expect((await lines('find /')).join('\n')).not.toMatch(/scoring|staging|fraud|other-tenant|1123-002/);
  });

  it('does not read a neighbour’s logs through any file of its own', async () => {
    const { lines } = await neighbours();
    expect((await lines('grep "another tenant" /teams/data/prod/logs/all.log')).join('')).toBe('');
    expect((await lines(`grep "another tenant" /teams/data/prod/logs/pods/${DRIVER}.log`)).join('')).toBe('');
  });

  it('keeps evidence inside its tenant: by id, by path and by pointer', async () => {
    const world = await neighbours();
    const { pointer } = await world.capture('tail /teams/data/prod/logs/driver.log');
    const fraud = { ...world.session, team: 'fraud', incident_id: 'INC-2026-1123-002' };
    const missing = await world.vfs.readCaptured('EV-nonexistent00', fraud);
    const foreign = await world.vfs.readCaptured(pointer, fraud);
    expect(JSON.stringify(foreign).replaceAll(pointer.evidence_id, 'ID')).toBe(
      JSON.stringify(missing).replaceAll('EV-nonexistent00', 'ID'),
    );
    expect(await world.refusal(`read /evidence/${pointer.evidence_id}`, fraud)).toMatchObject({
      code: 'no-such-path',
    });
    expect((await world.vfs.holds(pointer, fraud)).status).toBe('unknown_pointer');
    expect(await world.lines(`read /evidence/${pointer.evidence_id}`)).toHaveLength(10);
  });

  it.each([
    'read /teams/data/prod/../../fraud/prod/logs/driver.log',
    'read /teams/data/prod/./logs/driver.log',
    'read //teams/data/prod/logs/driver.log',
    'read /teams/data/prod/logs/..%2f..%2fx.log',
    'read "/teams/data/prod/logs/driver.log\u0000.yaml"',
    'read /teams/data/prod/logs/pods/../driver.log',
    'read /teams/data/prod/logs/pods/a"}.log',
    'read \'/teams/data/prod/logs/pods/x"} or {a="b.log\'',
    'read /context/skills/../../etc/passwd',
    'read /teams/data/prod/logs/pods/A.log',
    'read /teams/data/prod/k8s/namespaces/-/pods/x/status.yaml',
    'read /teams/data/prod/metrics/pods/x}/memory.prom',
    'read /teams/data/prod/k8s/namespaces/settlement/pods/-/status.yaml',
    'read /teams/data/prod/k8s/namespaces/settlement/pods/a:b/status.yaml',
    'read /teams/data/prod/jobs/-/spec.yaml',
    'read /TEAMS/data/prod/logs/driver.log',
    'read /teams/data/prod/logs/__proto__',
    'read /teams/data/prod/logs/constructor.log',
    'read /teams/constructor/prod/logs/x',
  ])('refuses %s before anybody is asked', async (command) => {
    const { run, gateway } = await neighbours();
    expect((await run(command)).ok).toBe(false);
    expect(gateway.calls).toEqual([]);
  });

  it('carries the reader’s token and reason on every call', async () => {
    const { lines, gateway } = await neighbours();
    await lines('tail /teams/data/prod/logs/driver.log');
    expect(
      gateway.calls.every(({ token, why }) => token === 'token-of-the-reader' && why === 'a test asks'),
    ).toBe(true);
  });
});
