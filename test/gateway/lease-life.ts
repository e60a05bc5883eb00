import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { CredentialSource } from '../../src/contract/credentials.ts';
import { Secret } from '../../src/contract/secret.ts';
import { KubernetesCluster, Settings } from '../../src/contract/settings.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { CredentialBroker } from '../../src/gateway/credentials/broker.ts';
import { Egress } from '../../src/gateway/egress.ts';
import { openStore } from '../../src/store/open-store.ts';
import { createLog, systemClock, systemIds } from '../../src/system-ports.ts';
import { takeKillPlan } from '../kill/kill-plan.ts';
import { wrapStore } from '../kill/wrap-store.ts';

/** One life of a broker in a process of its own: takes a lease of one engine, uses it, gives it back, leaves. */
const Life = z.strictObject({
  home: z.string(),
  vault: Settings.shape.vault,
  clusters: z.record(z.string(), KubernetesCluster),
  secrets: z.record(z.string(), z.string()),
  source: CredentialSource,
});
export type Life = z.infer<typeof Life>;

const life = Life.parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')));
const log = createLog('silent', () => null);
const store = wrapStore(await openStore({ home: life.home, clock: systemClock, log }), takeKillPlan());
const egress = new Egress(true);
const broker = new CredentialBroker({
  store: store.leases,
  vault: life.vault,
  clusters: life.clusters,
  egress,
  secrets: (ref) => new Secret(life.secrets['env' in ref ? ref.env : ''] ?? ''),
  clock: systemClock,
  ids: systemIds,
  log,
});
const lease = await broker.lease(life.source, {
  call_id: systemIds.next('call'),
  incident_id: null,
  tenant: 'data/prod',
  system: 'k8s/prod-1',
  namespace: 'spark-jobs',
  access: 'write',
  signal: undefined,
});
if (isRefusal(lease)) throw new Error(lease.reason);
// The call itself, as an operation that the harness can kill at.
await store.tokens.list(1);
await lease.release();
await broker.close();
await store.close();
await egress.close();
