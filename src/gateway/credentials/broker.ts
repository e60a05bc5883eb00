import { isRevocable, type CredentialSource, type SecretRef } from '../../contract/credentials.ts';
import type { Clock, Ids, Log } from '../../contract/ports.ts';
import type { Secret } from '../../contract/secret.ts';
import type { KubernetesCluster, Settings } from '../../contract/settings.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { LeaseStore } from '../../store/authority.ts';
import type { Egress } from '../egress.ts';
import { CredentialError, credentialProblem } from './credential-error.ts';
import type { Credential } from './credential.ts';
import { revokeTokenRequest, tokenRequestEngine } from './engines/kubernetes-token-request.ts';
import { vaultLeaseEngine } from './engines/vault-lease-engine.ts';
import type { LeaseEngine, Revoke } from './lease-engine.ts';
import type { Lease, LeaseRequest } from './lease.ts';
import { ReadLeases } from './read-leases.ts';
import { RevokeQueue, type Revoker } from './revoke-queue.ts';
import { noWriter } from './role-of.ts';
import { SealedFile } from './sealed-file.ts';
import { refuseShort, takeLease } from './take-lease.ts';
import { createVaultClient, type VaultConfig } from './vault-client.ts';
import { revokeAccessor } from './vault-engine.ts';
import { VaultError } from './vault-error.ts';
import { createVaultSession, type LoginJournal, type VaultSession } from './vault-session.ts';

/**
 * Credentials: decided first, minted last. A write always has its own; there is no fallback to a standing credential
 * when Vault is away, the call is refused instead.
 */
export interface BrokerDeps {
  readonly store: LeaseStore;
  readonly vault: VaultConfig | undefined;
  readonly sealed_file?: Settings['sealed_file'];
  readonly clusters: Readonly<Record<string, KubernetesCluster>>;
  readonly egress: Egress;
  readonly secrets: (ref: SecretRef) => Secret;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

/** Engines that lease: what they give has a row in the store and is revoked by its accessor. */
type LeasedSource = Exclude<CredentialSource, { engine: 'none' | 'token' | 'password' | 'sealed_file' }>;
type StandingSource = Extract<CredentialSource, { engine: 'token' | 'password' | 'sealed_file' }>;

/** Name of the rows that stand for a login of Aegis itself. */
export const LOGIN_ENGINE = 'vault_login';
/** Vault's longest lifetime of a token by default; how long this one lives is known only after the login. */
const LOGIN_MS_MAX = 768 * 3_600_000;

export class CredentialBroker {
  readonly #deps: BrokerDeps;
  readonly #queue: RevokeQueue;
  readonly #reads: ReadLeases;
  readonly #sealed: SealedFile | null;
  #session: Promise<VaultSession> | null = null;

  constructor(deps: BrokerDeps) {
    this.#deps = deps;
    this.#queue = new RevokeQueue(deps.store, (engine) => this.#revoker(engine), deps.log);
    this.#reads = new ReadLeases(() => deps.clock.now());
    this.#sealed =
      deps.sealed_file === undefined ? null : new SealedFile(deps.sealed_file.file, () => this.#sealKey());
  }

  async lease(source: CredentialSource, request: LeaseRequest): Promise<Lease | Refusal> {
    if (source.engine === 'none') return standing(null, 'none');
    try {
      if (source.engine === 'token' || source.engine === 'password' || source.engine === 'sealed_file') {
        const credential = await this.#stand(source, request.access);
        refuseShort(credential);
        return standing(credential, source.engine);
      }
      return await this.#leased(source, request);
    } catch (error) {
      const problem = credentialProblem(error);
      if (problem === null) throw error;
      return refuse(
        'credential-unavailable',
        `No credential for ${request.system}: ${problem.message}. Nothing was called.`,
        problem.remedy,
      );
    }
  }

  /** Revokes what a crash left behind and keeps an eye on what outlives its time. The service calls it at start. */
  sweep(): Promise<{ revoked: number; failed: number }> {
    this.#queue.watch(() => this.#deps.clock.now());
    return this.#queue.sweep();
  }

  async close(): Promise<void> {
    await this.#reads.close();
    this.#queue.close();
    const session = await this.#session?.catch(() => null);
    await session?.close();
  }

  async #leased(source: LeasedSource, request: LeaseRequest): Promise<Lease> {
    const { store, clock, ids } = this.#deps;
    const take = async (asked: LeaseRequest): Promise<Lease> =>
      takeLease({ store, queue: this.#queue, clock, ids }, await this.#engine(source, asked), asked);
    if (request.access === 'write' || request.own === true) return take(request);
    const { ttl_s } = await this.#engine(source, request);
    const key = [request.incident_id ?? request.call_id, request.system, request.namespace, request.tenant];
    // A shared mint must not die with the first reader's signal.
    return this.#reads.borrow(key.join(' '), ttl_s * 1000, () => take({ ...request, signal: undefined }));
  }

  async #engine(source: LeasedSource, request: LeaseRequest): Promise<LeaseEngine> {
    if (source.engine === 'kubernetes_token_request') return tokenRequestEngine(this.#deps, source, request);
    return vaultLeaseEngine(await this.#vault(), source);
  }

  #revoker(engine: string): Revoker | null {
    const revocable = engine === LOGIN_ENGINE || isRevocable({ engine } as CredentialSource);
    if (engine === 'kubernetes_token_request') return { revocable, revoke: revokeTokenRequest(this.#deps) };
    if (!engine.startsWith('vault_')) return null;
    const revoke: Revoke = async (accessor) => revokeAccessor(await this.#vault(), accessor);
    return { revocable, revoke };
  }

  async #stand(source: StandingSource, access: 'read' | 'write'): Promise<Credential> {
    if (source.engine === 'token') return { kind: 'bearer', token: this.#secret(source.token) };
    if (source.engine === 'password') {
      const account = access === 'read' ? source.read : (source.write ?? noWriter(source.engine));
      return { kind: 'password', username: account.username, password: this.#secret(account.password) };
    }
    if (this.#sealed === null)
      throw new CredentialError(
        'aegis.yaml has no "sealed_file" section',
        'Add it; see "Without Vault" in README.',
      );
    return this.#sealed.read(access === 'read' ? source.read : (source.write ?? noWriter(source.engine)));
  }

  #sealKey(): Secret {
    return this.#secret((this.#deps.sealed_file as NonNullable<BrokerDeps['sealed_file']>).key);
  }

  /** @throws CredentialError that names the place, never the value. */
  #secret(ref: SecretRef): Secret {
    try {
      return this.#deps.secrets(ref);
    } catch {
      const place = 'env' in ref ? `environment variable ${ref.env}` : `file ${ref.file}`;
      throw new CredentialError(`it cannot be read from ${place}`, 'Provide it and ask again.');
    }
  }

  /** @throws VaultError without a `vault` section. */
  async #vault(): Promise<VaultSession> {
    const { vault: config, egress, secrets, clock } = this.#deps;
    if (config === undefined)
      throw new VaultError('rejected', 'aegis.yaml has no "vault" section', null, false);
    this.#session ??= createVaultClient(config, egress).then((client) =>
      createVaultSession({ client, config, secrets, clock, journal: this.#loginJournal() }),
    );
    return this.#session;
  }

  #loginJournal(): LoginJournal {
    const { store, ids, clock } = this.#deps;
    return {
      begin: async () => {
        const lease_id = this.#queue.name(ids.next('login'));
        const expires_at_ms = clock.now() + LOGIN_MS_MAX;
        const row = { lease_id, call_id: 'login', incident_id: null, engine: LOGIN_ENGINE, expires_at_ms };
        await store.intent(row);
        this.#queue.begin(lease_id);
        return lease_id;
      },
      live: (lease_id, accessor) => store.live(lease_id, accessor),
      ended: (lease_id) => this.#queue.abandon(lease_id),
    };
  }
}

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
