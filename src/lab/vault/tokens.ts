/** Service tokens: creation, use counting, time, and the tree of parents and children. Revocation is `ledger.ts`'s. */
import { randomBase62 } from './envelope.ts';
import type { AuthBlock } from './envelope.ts';

/** Vault's system maximum and default, 768 hours. */
export const SYSTEM_TTL_S = 768 * 3600;

export interface TokenSpec {
  readonly policies: readonly string[];
  readonly ttl_s: number;
  /** 0 means none besides the system's. */
  readonly explicit_max_ttl_s: number;
  /** The auth method's bound on renewals; the system's when absent. */
  readonly max_ttl_s?: number;
  readonly renewable: boolean;
  /** 0 means unlimited. */
  readonly num_uses: number;
  readonly path: string;
  readonly display_name: string;
  readonly meta: Readonly<Record<string, string>> | null;
  /** Accessor of the parent; null makes an orphan. */
  readonly parent: string | null;
}

export interface Token extends TokenSpec {
  readonly id: string;
  readonly accessor: string;
  readonly created_ms: number;
  /** null: never (the root token). */
  expires_ms: number | null;
  uses_left: number;
  last_renewal_ms: number | null;
}

export class TokenStore {
  readonly #byId = new Map<string, Token>();
  readonly #byAccessor = new Map<string, Token>();

  create(spec: TokenSpec, now_ms: number, id = `hvs.${randomBase62(92)}`): Token {
    const ttl_s = Math.min(spec.ttl_s, spec.explicit_max_ttl_s || SYSTEM_TTL_S, SYSTEM_TTL_S);
    const token: Token = {
      ...spec,
      ttl_s,
      id,
      accessor: randomBase62(24),
      created_ms: now_ms,
      expires_ms: spec.policies.includes('root') ? null : now_ms + ttl_s * 1000,
      uses_left: spec.num_uses,
      last_renewal_ms: null,
    };
    this.#byId.set(token.id, token);
    this.#byAccessor.set(token.accessor, token);
    return token;
  }

  byId(id: string): Token | undefined {
    return this.#byId.get(id);
  }

  byAccessor(accessor: string): Token | undefined {
    return this.#byAccessor.get(accessor);
  }

  all(): Token[] {
    return [...this.#byId.values()];
  }

  remove(token: Token): void {
    this.#byId.delete(token.id);
    this.#byAccessor.delete(token.accessor);
  }

  childrenOf(token: Token): Token[] {
    return this.all().filter((candidate) => candidate.parent === token.accessor);
  }

  /** Counts one request. True when it was the last one allowed: the token dies as that request ends. */
  use(token: Token): boolean {
    if (token.num_uses === 0) return false;
    token.uses_left -= 1;
    return token.uses_left <= 0;
  }

  /** Extends from now, never past the explicit or system maximum counted from creation. Returns the new seconds. */
  renew(token: Token, increment_s: number | undefined, now_ms: number): number {
    const max_s = Math.min(token.explicit_max_ttl_s || SYSTEM_TTL_S, token.max_ttl_s ?? SYSTEM_TTL_S);
    const latest = token.created_ms + max_s * 1000;
    token.expires_ms = Math.min(now_ms + (increment_s ?? token.ttl_s) * 1000, latest);
    token.last_renewal_ms = now_ms;
    return secondsLeft(token, now_ms);
  }
}

export function secondsLeft(token: Token, now_ms: number): number {
  return token.expires_ms === null ? 0 : Math.max(0, Math.floor((token.expires_ms - now_ms) / 1000));
}

export function authBlock(token: Token, lease_s: number): AuthBlock {
  return {
    client_token: token.id,
    accessor: token.accessor,
    policies: token.policies,
    token_policies: token.policies,
    metadata: token.meta,
    lease_duration: lease_s,
    renewable: token.renewable,
    entity_id: '',
    token_type: 'service',
    orphan: token.parent === null,
    mfa_requirement: null,
    num_uses: token.num_uses,
  };
}

/** The body of lookup-self and lookup-accessor; the latter never shows the id. */
export function describeToken(token: Token, now_ms: number, showId: boolean): Record<string, unknown> {
  return {
    accessor: token.accessor,
    creation_time: Math.floor(token.created_ms / 1000),
    creation_ttl: token.expires_ms === null ? 0 : token.ttl_s,
    display_name: token.display_name,
    entity_id: '',
    expire_time: token.expires_ms === null ? null : new Date(token.expires_ms).toISOString(),
    explicit_max_ttl: token.explicit_max_ttl_s,
    id: showId ? token.id : '',
    issue_time: new Date(token.created_ms).toISOString(),
    meta: token.meta,
    num_uses: token.num_uses === 0 ? 0 : Math.max(token.uses_left, 0),
    orphan: token.parent === null,
    path: token.path,
    policies: token.policies,
    renewable: token.renewable,
    ttl: secondsLeft(token, now_ms),
    type: 'service',
    ...(token.last_renewal_ms === null
      ? {}
      : { last_renewal_time: Math.floor(token.last_renewal_ms / 1000) }),
  };
}
