import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CredentialSource } from '../../src/contract/credentials.ts';
import type { Ids } from '../../src/contract/ports.ts';
import { Secret } from '../../src/contract/secret.ts';
import { isRefusal, type Refusal } from '../../src/contract/verdict.ts';
import { CredentialBroker, type BrokerDeps } from '../../src/gateway/credentials/broker.ts';
import type { Lease, LeaseRequest } from '../../src/gateway/credentials/lease.ts';
import { Egress } from '../../src/gateway/egress.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';

/** A broker over a store of its own, without the rest of the gateway. */
export interface Bench {
  readonly broker: CredentialBroker;
  readonly store: Store;
  readonly home: string;
  readonly log_lines: string[];
  /** Moves the broker's time forward without waiting. */
  skip(ms: number): void;
  lease(source: CredentialSource, request?: Partial<LeaseRequest>): Promise<Lease | Refusal>;
  close(): Promise<void>;
}

export type BenchConfig = Partial<Pick<BrokerDeps, 'vault' | 'sealed_file' | 'clusters' | 'store'>> & {
  readonly secrets?: Readonly<Record<string, string>>;
  /** A home that exists, for what an earlier life left in it; kept when the bench closes. */
  readonly home?: string;
};

export async function openBench(config: BenchConfig = {}): Promise<Bench> {
  const home = mkdtempSync(join(tmpdir(), 'aegis-broker-'));
  let offset_ms = 0;
  const clock = { now: () => Date.now() + offset_ms };
  const store = await openStore({ home: config.home ?? join(home, 'state'), clock });
  const egress = new Egress(true);
  const log_lines: string[] = [];
  const line = (level: string) => (fields: object, message: string) =>
    void log_lines.push(JSON.stringify({ level, message, ...fields }));
  const ids = benchIds();
  const broker = new CredentialBroker({
    store: config.store ?? store.leases,
    vault: config.vault,
    sealed_file: config.sealed_file,
    clusters: config.clusters ?? {},
    egress,
    secrets: (ref) => {
      const text = 'env' in ref ? config.secrets?.[ref.env] : undefined;
      if (text === undefined) throw new Error('no such secret');
      return new Secret(text);
    },
    clock,
    ids,
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
  });
  return {
    broker,
    store,
    home,
    log_lines,
    skip: (ms) => void (offset_ms += ms),
    lease: (source, request = {}) =>
      broker.lease(source, {
        call_id: ids.next('call'),
        incident_id: 'INC-2026-1123-001',
        tenant: 'data/prod',
        system: 'k8s/prod-1',
        namespace: 'spark-jobs',
        access: 'write',
        signal: undefined,
        ...request,
      }),
    close: async () => {
      await broker.close();
      await store.close();
      await egress.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** The lease, or the refusal as a failure of the test. */
export function granted(lease: Lease | Refusal): Lease {
  if (isRefusal(lease)) throw new Error(`${lease.code}: ${lease.reason} ${lease.remedy}`);
  return lease;
}

export function refused(lease: Lease | Refusal): Refusal {
  if (!isRefusal(lease)) throw new Error('a lease was granted');
  return lease;
}

function benchIds(): Ids {
  return {
    next: (prefix) => `${prefix}_${randomBytes(16).toString('base64url')}`,
    secret: (bytes) => randomBytes(bytes).toString('base64url'),
  };
}
