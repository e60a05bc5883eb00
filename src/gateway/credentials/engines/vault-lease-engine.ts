import type { LeaseEngine } from '../lease-engine.ts';
import { vaultEngine, type VaultSource } from '../vault-engine.ts';
import type { VaultSession } from '../vault-session.ts';
import { vaultAws } from './vault-aws.ts';
import { vaultDatabase } from './vault-database.ts';
import { vaultKubernetes } from './vault-kubernetes.ts';
import { vaultKv } from './vault-kv.ts';

/** The engines of Vault, each with what it asks for. */
export function vaultLeaseEngine(session: VaultSession, source: VaultSource): LeaseEngine {
  switch (source.engine) {
    case 'vault_kubernetes':
      return vaultEngine(session, vaultKubernetes, source);
    case 'vault_database':
      return vaultEngine(session, vaultDatabase, source);
    case 'vault_aws':
      return vaultEngine(session, vaultAws, source);
    case 'vault_kv':
      return vaultEngine(session, vaultKv, source);
  }
}
