import type { Clock, Ids, Log } from '../../contract/ports.ts';
import type { Secret } from '../../contract/secret.ts';
import type { CredentialSource, SecretRef } from '../../contract/credentials.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { LeaseStore } from '../../store/authority.ts';
import type { Egress } from '../egress.ts';
import { CREDENTIAL_CHARS_MIN } from '../sanitize/exact-scrub.ts';
import type { Credential } from './credential.ts';
import { leaseKubernetes, type KubernetesSource } from './kubernetes-leases.ts';
import type { Lease, LeaseRequest } from './lease.ts';
import { ReadLeases } from './read-leases.ts';
import { RevokeQueue } from './revoke-queue.ts';
import { createVaultClient, type VaultConfig } from './vault-client.ts';
import { VaultError, vaultRemedy } from './vault-error.ts';
import { createVaultSession, type VaultSession } from './vault-session.ts';

/**
 * Credentials: decided first, minted last. A write always has its own; there is no fallback to a standing credential
 * when Vault is away, the call is refused instead.
 */
export interface BrokerDeps {
  readonly store: LeaseStore;
  readonly vault: VaultConfig | undefined;
  readonly egress: Egress;
  readonly secrets: (ref: SecretRef) => Secret;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

export class CredentialBroker {
  readonly #deps: BrokerDeps;
  readonly #queue: RevokeQueue;
  readonly #reads: ReadLeases;
  #session: Promise<VaultSession> | null = null;

  constructor(deps: BrokerDeps) {
    this.#deps = deps;
    this.#queue = new RevokeQueue(deps.store, () => this.#vault(), deps.log);
    this.#reads = new ReadLeases(() => deps.clock.now());
  }

  async lease(source: CredentialSource, request: LeaseRequest): Promise<Lease | Refusal> {
    if (source.engine === 'none') return standing(null, 'none');
    if (source.engine === 'token') return this.#standing(source.engine, source.token, bearer);
    if (source.engine === 'password') {
      const account = request.access === 'write' ? source.write : source.read;
      if (account === undefined)
        return refuse(
          'credential-unavailable',
          `${request.system} has no account that may write.`,
          'Add credentials.write in aegis.yaml, or make the change by hand.',
        );
      return this.#standing(source.engine, account.password, (password) => ({
        kind: 'password',
        username: account.username,
        password,
      }));
    }
    if (request.cluster_wide === true && source.node_role === undefined)
      return refuse(
        'credential-unavailable',
        `${request.system} has no role that may change nodes.`,
        'Add node_role (a ClusterRole of Vault’s Kubernetes engine) to its credentials in aegis.yaml.',
      );
    try {
      if (request.access === 'write') return await this.#mint(source, request);
      const key = [
        request.incident_id ?? request.call_id,
        request.system,
        request.namespace,
        request.tenant,
      ].join(' ');
      // A shared mint must not die with the first reader's signal.
      const shared = { ...request, signal: undefined };
      return await this.#reads.borrow(key, source.ttl_s * 1000, () => this.#mint(source, shared));
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      return refuse(
        'credential-unavailable',
        `No credential for ${request.system}: ${error.message}. Nothing was called.`,
        vaultRemedy(error.problem),
      );
    }
  }

  sweep(): Promise<{ revoked: number; failed: number }> {
    return this.#queue.sweep();
  }

  async close(): Promise<void> {
    await this.#reads.close();
    this.#queue.close();
    const session = await this.#session?.catch(() => null);
    await session?.close();
  }

  async #mint(source: KubernetesSource, request: LeaseRequest): Promise<Lease> {
    const session = await this.#vault();
    if (session === null) throw new VaultError('rejected', 'aegis.yaml has no "vault" section', null, false);
    const { store, clock, ids, log } = this.#deps;
    return leaseKubernetes({ store, session, queue: this.#queue, clock, ids, log }, source, request);
  }

  #standing(engine: string, ref: SecretRef, make: (secret: Secret) => Credential): Lease | Refusal {
    const { secrets } = this.#deps;
    let secret: Secret;
    try {
      secret = secrets(ref);
    } catch {
      const name = 'env' in ref ? `environment variable ${ref.env}` : `file ${ref.file}`;
      return refuse(
        'credential-unavailable',
        `The credential cannot be read from ${name}.`,
        'Provide it and ask again.',
      );
    }
    if (secret.reveal().length >= CREDENTIAL_CHARS_MIN) return standing(make(secret), engine);
    return refuse(
      'credential-unavailable',
      `The credential is shorter than ${CREDENTIAL_CHARS_MIN} characters and could not be kept out of results.`,
      'Use a longer one.',
    );
  }

  async #vault(): Promise<VaultSession | null> {
    const { vault, egress, secrets, clock } = this.#deps;
    if (vault === undefined) return null;
    this.#session ??= createVaultClient(vault, egress).then((client) =>
      createVaultSession(client, vault, secrets, clock),
    );
    return this.#session;
  }
}

const bearer = (token: Secret): Credential => ({ kind: 'bearer', token });

/** A credential that nobody can revoke: shown on the card. */
function standing(credential: Credential | null, engine: string): Lease {
  return {
    credential,
    engine,
    accessor: null,
    revocable: false,
    release: () => Promise.resolve(false),
    discard: () => undefined,
  };
}
