/** auth/approle/login: a role id and a secret id for an orphan service token. */
import { randomUUID } from 'node:crypto';
import { badRequest, type VaultAnswer } from './envelope.ts';
import { textField, type Fields } from './fields.ts';
import type { LifeLedger } from './ledger.ts';
import { authBlock, SYSTEM_TTL_S } from './tokens.ts';

export interface AppRoleSpec {
  readonly name: string;
  readonly token_policies: readonly string[];
  readonly token_ttl_s?: number;
  readonly token_max_ttl_s?: number;
  /** 0 or absent means unlimited. */
  readonly token_num_uses?: number;
  readonly token_no_default_policy?: boolean;
  readonly role_id?: string;
  readonly secret_id?: string;
  /** Logins the secret id is good for; absent means unlimited. */
  readonly secret_id_num_uses?: number;
}

export interface AppRoleIds {
  readonly role_id: string;
  readonly secret_id: string;
}

export class AppRoles {
  readonly #byRoleId = new Map<
    string,
    { readonly spec: AppRoleSpec; readonly secrets: Map<string, number> }
  >();

  add(spec: AppRoleSpec): AppRoleIds {
    const ids = { role_id: spec.role_id ?? randomUUID(), secret_id: spec.secret_id ?? randomUUID() };
    const secrets = new Map([[ids.secret_id, spec.secret_id_num_uses ?? Number.POSITIVE_INFINITY]]);
    this.#byRoleId.set(ids.role_id, { spec, secrets });
    return ids;
  }

  /** An unknown role and a wrong secret give the same answer, so that neither can be probed. */
  login(fields: Fields, ledger: LifeLedger): VaultAnswer {
    const role_id = textField(fields, 'role_id') ?? '';
    if (role_id === '') throw badRequest('missing role_id');
    const secret_id = textField(fields, 'secret_id') ?? '';
    if (secret_id === '') throw badRequest('missing secret_id');
    const role = this.#byRoleId.get(role_id);
    const left = role?.secrets.get(secret_id) ?? 0;
    if (role === undefined || left <= 0) throw badRequest('invalid role or secret ID');
    role.secrets.set(secret_id, left - 1);
    const { spec } = role;
    const policies =
      spec.token_no_default_policy === true ? spec.token_policies : [...spec.token_policies, 'default'];
    const token = ledger.tokens.create(
      {
        policies: [...new Set(policies)].sort(),
        ttl_s: Math.min(spec.token_ttl_s ?? SYSTEM_TTL_S, spec.token_max_ttl_s ?? SYSTEM_TTL_S),
        explicit_max_ttl_s: 0,
        max_ttl_s: spec.token_max_ttl_s ?? SYSTEM_TTL_S,
        renewable: true,
        num_uses: spec.token_num_uses ?? 0,
        path: 'auth/approle/login',
        display_name: 'approle',
        meta: { role_name: spec.name },
        parent: null,
      },
      ledger.now_ms(),
    );
    return { auth: authBlock(token, token.ttl_s) };
  }
}
