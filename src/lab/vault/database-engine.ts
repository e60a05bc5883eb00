/** database/creds/:role: a database user behind a lease (source: builtin/logical/database/path_creds_create.go). */
import { badRequest, multi, randomBase62, VaultError, type VaultAnswer } from './envelope.ts';
import type { Route, RouteContext } from './route.ts';
import type { DatabaseUser } from './setup.ts';
import { SYSTEM_TTL_S } from './tokens.ts';

export const DATABASE_ROUTES: readonly Route[] = [
  { path: /^database\/creds\/([^/]+)$/, operations: { read: createUser } },
];

/** PostgreSQL cuts longer names, so the plugin's template does. */
const USERNAME_CHARS_MAX = 63;

async function createUser({ params, setup, ledger, token: owner }: RouteContext): Promise<VaultAnswer> {
  const name = params[0] ?? '';
  const role = setup.databaseRoles.get(name);
  if (role === undefined) throw badRequest(`unknown role: ${name}`);
  const warnings: string[] = [];
  const ttl_s = Math.min(role.default_ttl_s ?? SYSTEM_TTL_S, role.max_ttl_s ?? SYSTEM_TTL_S);
  const user: DatabaseUser = {
    username: generatedName(owner.display_name, name, ledger.now_ms()),
    // Ends in what satisfies common password rules, as Vault's default policy does.
    password: `${randomBase62(17)}-${randomBase62(2)}`,
    role: name,
    ttl_s,
  };
  const created = await create(setup, user);
  setup.minted(user.password);
  const lease = ledger.addLease({
    path: `database/creds/${name}`,
    owner: owner.accessor,
    ttl_s,
    renewable: true,
    kill: () => created.revoke(),
  });
  return {
    lease: { lease_id: lease.lease_id, renewable: true, lease_duration: ttl_s },
    data: { password: user.password, username: user.username },
    warnings,
  };
}

async function create(
  setup: RouteContext['setup'],
  user: DatabaseUser,
): Promise<{ revoke(): Promise<void> | void }> {
  if (setup.database === undefined)
    throw new VaultError(500, [multi('error verifying connection: no database is configured in the lab')]);
  try {
    return await setup.database.createUser(user);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new VaultError(500, [multi(`failed to execute query: ${text}`)]);
  }
}

/** The PostgreSQL plugin's default template. */
function generatedName(displayName: string, role: string, now_ms: number): string {
  const parts = ['v', displayName.slice(0, 8), role.slice(0, 8), randomBase62(20), Math.floor(now_ms / 1000)];
  return parts.join('-').slice(0, USERNAME_CHARS_MAX);
}
