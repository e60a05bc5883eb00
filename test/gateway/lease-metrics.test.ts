import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { labSecrets, writeLabFiles } from '../../src/lab/lab-config.ts';
import { sparkDriverOom } from '../../src/lab/scenarios/spark-driver-oom.ts';
import { startTwins, type Twins } from '../../src/lab/twins.ts';
import { World } from '../../src/lab/world/world.ts';
import { compose, type Aegis } from '../../src/main.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createLog, systemClock, systemIds } from '../../src/system-ports.ts';

/** The running product: what is leased at this moment stands on /metrics, and is gone after it was given back. */
let dir = '';
let twins: Twins;
let store: Store;
let aegis: Aegis;
let port = 0;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-metrics-'));
  const secrets = labSecrets();
  twins = await startTwins(
    new World({ clock: Date.now, seed: 'metrics', ...sparkDriverOom.world() }),
    secrets,
  );
  const config = loadConfig(writeLabFiles(dir, twins, secrets, 0).config);
  const log = createLog('silent', () => null);
  store = await openStore({ home: config.settings.home, clock: systemClock, log });
  aegis = await compose(config, { store, clock: systemClock, ids: systemIds, log });
  ({ port } = await aegis.start());
});
afterAll(async () => {
  await aegis?.stop();
  await store?.close();
  await twins?.close();
  rmSync(dir, { recursive: true, force: true });
});

async function gauge(name = 'aegis_leases_outstanding'): Promise<string[]> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return text.split('\n').filter((line) => line.startsWith(name));
}

describe('/metrics', () => {
  it('counts outstanding leases by engine, and forgets them when they are revoked', async () => {
    expect(await gauge()).toEqual([]);
    const token = systemIds.secret(32);
    await store.tokens.mint(
      {
        token_id: systemIds.next('tok'),
        principal: 'maya',
        incident_id: null,
        team: 'data',
        env: 'prod',
        action_class: 'read',
        expires_at_ms: Date.now() + 600_000,
      },
      token,
    );
    const answer = await aegis.gateway.read({
      token,
      tool: 'k8s.list',
      target: 'mcp://k8s/prod-1/spark-jobs/pod/-',
      args: { limit: 1 },
      why: 'test',
    });
    expect(isRefusal(answer)).toBe(false);
    expect(await gauge()).toContain('aegis_leases_outstanding{engine="vault_kubernetes"} 1');
    // A read gives its lease back a few idle seconds later.
    await expect
      .poll(() => gauge(), { timeout: 30_000 })
      .toEqual(['aegis_leases_outstanding{engine="vault_login"} 1']);
  }, 60_000);

  it('shows what was spent today of the shared budgets, and nothing of single incidents or other days', async () => {
    const day = new Date().toISOString().slice(0, 10);
    const accounts = [
      { key: 'team:data', day },
      { key: 'team:data', day: '2026-01-01' },
      { key: 'investigate:INC-2026-1123-001', day: null },
    ];
    await store.ledger.append('SYSTEM', [
      {
        kind: 'cost',
        actor: 'aegis:test',
        payload: {},
        spend: { payer: { effect_id: 'E', attempt: 'a', accounts }, calls: 3, cost_usd: 0.25 },
      },
    ]);
    expect(await gauge('aegis_budget_spent_today')).toEqual([
      'aegis_budget_spent_today{account="team:data",unit="investigations"} 0',
      'aegis_budget_spent_today{account="team:data",unit="calls"} 3',
      'aegis_budget_spent_today{account="team:data",unit="tokens"} 0',
      'aegis_budget_spent_today{account="team:data",unit="cost_usd"} 0.25',
    ]);
  });
});
