/** sys/health and sys/seal-status: the two answers that need no token and work while sealed. */
import type { VaultAnswer } from './envelope.ts';
import type { LifeLedger } from './ledger.ts';

const VERSION = '1.18.3';
const CLUSTER = {
  cluster_name: 'vault-cluster-aegis-lab',
  cluster_id: '00000000-0000-4000-8000-000000000001',
} as const;

/** 200 active, 503 sealed; `sealedcode` and `activecode` override as in Vault. */
export function health(ledger: LifeLedger, query: URLSearchParams): VaultAnswer {
  const { sealed } = ledger;
  const code = Number(query.get(sealed ? 'sealedcode' : 'activecode') ?? (sealed ? '503' : '200'));
  return {
    status: Number.isInteger(code) && code >= 200 && code < 600 ? code : 400,
    bare: {
      initialized: true,
      sealed,
      standby: sealed,
      performance_standby: false,
      replication_performance_mode: sealed ? 'unknown' : 'disabled',
      replication_dr_mode: sealed ? 'unknown' : 'disabled',
      server_time_utc: Math.floor(ledger.now_ms() / 1000),
      version: VERSION,
      enterprise: false,
      ...(sealed ? {} : CLUSTER),
    },
  };
}

export function sealStatus(ledger: LifeLedger): VaultAnswer {
  const { sealed } = ledger;
  return {
    bare: {
      type: 'shamir',
      initialized: true,
      sealed,
      t: 1,
      n: 1,
      progress: 0,
      nonce: '',
      version: VERSION,
      migration: false,
      recovery_seal: false,
      storage_type: 'inmem',
      ...(sealed ? {} : CLUSTER),
    },
  };
}
