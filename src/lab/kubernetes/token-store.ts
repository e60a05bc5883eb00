/** Bearer tokens: opaque, kept only as hashes, bound to a service account, and dead once revoked, expired or orphaned. */
import { createHash, randomBytes } from 'node:crypto';
import type { ObjectStore } from '../world/object-store.ts';

/** Rights in RBAC terms. `namespaces` limits them: absent means the service account's own, `*` everywhere. */
export interface AccessRule {
  verbs: readonly string[];
  apiGroups: readonly string[];
  resources: readonly string[];
  resourceNames?: readonly string[];
  namespaces?: readonly string[];
}

export interface Identity {
  username: string;
  uid: string;
  groups: readonly string[];
  /** Rights of the token itself; bindings in the cluster add to them. */
  rules: readonly AccessRule[];
  service_account: { namespace: string; name: string } | undefined;
}

export interface BoundObject {
  kind: string;
  namespace: string;
  name: string;
  uid: string;
}

interface TokenRecord {
  identity: Identity;
  account_uid: string;
  bound: BoundObject | undefined;
  expires_at_ms: number;
  is_revoked: boolean;
}

export const ANONYMOUS: Identity = {
  username: 'system:anonymous',
  uid: '',
  groups: ['system:unauthenticated'],
  rules: [],
  service_account: undefined,
};

export class TokenStore {
  readonly #records = new Map<string, TokenRecord>();
  readonly #store: ObjectStore;
  readonly #now: () => number;

  constructor(store: ObjectStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  issue(options: {
    namespace: string;
    name: string;
    /** A person's name instead of the account's. */
    user?: string | undefined;
    account_uid: string;
    rules: readonly AccessRule[];
    ttl_ms: number;
    bound?: BoundObject;
  }): { token: string; expires_at_ms: number } {
    const { namespace, name } = options;
    const token = `aegis-lab-${randomBytes(32).toString('base64url')}`;
    const expires_at_ms = this.#now() + options.ttl_ms;
    this.#records.set(hash(token), {
      identity: {
        ...(options.user === undefined
          ? {
              username: `system:serviceaccount:${namespace}:${name}`,
              uid: options.account_uid,
              groups: [
                'system:serviceaccounts',
                `system:serviceaccounts:${namespace}`,
                'system:authenticated',
              ],
            }
          : { username: options.user, uid: '', groups: ['system:authenticated'] }),
        rules: options.rules,
        service_account: { namespace, name },
      },
      account_uid: options.account_uid,
      bound: options.bound,
      expires_at_ms,
      is_revoked: false,
    });
    return { token, expires_at_ms };
  }

  /** The identity behind a token, or undefined when it is unknown, revoked, expired, or its account is gone. */
  identify(token: string): Identity | undefined {
    const record = this.#records.get(hash(token));
    if (record === undefined || record.is_revoked || record.expires_at_ms <= this.#now()) return undefined;
    const { service_account: account } = record.identity;
    if (!this.#lives('ServiceAccount', account?.namespace, account?.name ?? '', record.account_uid))
      return undefined;
    const { bound } = record;
    if (bound !== undefined && !this.#lives(bound.kind, bound.namespace, bound.name, bound.uid))
      return undefined;
    return record.identity;
  }

  /** True when the token existed and was not revoked before. */
  revoke(token: string): boolean {
    const record = this.#records.get(hash(token));
    if (record === undefined || record.is_revoked) return false;
    record.is_revoked = true;
    return true;
  }

  /** How many tokens would be accepted now. */
  liveCount(): number {
    return [...this.#records.values()].filter(
      (record) => !record.is_revoked && record.expires_at_ms > this.#now(),
    ).length;
  }

  #lives(kind: string, namespace: string | undefined, name: string, uid: string): boolean {
    return this.#store.get(kind, namespace, name)?.metadata.uid === uid;
  }
}

function hash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
