/** auth/token: creation (plain and by role), lookups, renewal, revocation, and the role documents. */
import { badRequest, multi, notInTwin, VaultError, type VaultAnswer } from './envelope.ts';
import {
  boolField,
  countField,
  durationField,
  goDuration,
  listField,
  textField,
  textMapField,
  type Fields,
} from './fields.ts';
import { capabilitiesOn } from './policy.ts';
import type { Route, RouteContext } from './route.ts';
import type { TokenRole } from './setup.ts';
import { authBlock, describeToken, SYSTEM_TTL_S, type Token } from './tokens.ts';

const ROLE_FIELDS_REFUSED = [
  'allowed_policies_glob',
  'disallowed_policies_glob',
  'period',
  'token_period',
  'path_suffix',
  'token_bound_cidrs',
  'bound_cidrs',
  'allowed_entity_aliases',
];
const CREATE_FIELDS_REFUSED = ['period', 'entity_alias', 'lease'];

export const TOKEN_ROUTES: readonly Route[] = [
  { path: /^auth\/token\/create$/, operations: { update: (context) => createToken(context, undefined) } },
  { path: /^auth\/token\/create-orphan$/, operations: { update: refuseOrphanPath } },
  { path: /^auth\/token\/create\/([^/]+)$/, operations: { update: createByRole } },
  { path: /^auth\/token\/lookup-self$/, operations: { read: lookupSelf } },
  { path: /^auth\/token\/renew-self$/, operations: { update: renewSelf } },
  { path: /^auth\/token\/revoke-self$/, operations: { update: revokeSelf } },
  { path: /^auth\/token\/revoke-accessor$/, operations: { update: revokeAccessor } },
  { path: /^auth\/token\/lookup-accessor$/, operations: { update: lookupAccessor } },
  {
    path: /^auth\/token\/roles\/([^/]+)$/,
    operations: { read: readRole, update: writeRole, create: writeRole, delete: deleteRole },
  },
];

function refuseOrphanPath(): never {
  throw notInTwin('auth/token/create-orphan');
}

function createByRole(context: RouteContext): VaultAnswer {
  const name = context.params[0] ?? '';
  const role = context.setup.tokenRoles.get(name);
  if (role === undefined) throw badRequest(`unknown role ${name}`);
  return createToken(context, role);
}

function createToken(context: RouteContext, role: TokenRole | undefined): VaultAnswer {
  const { fields, ledger, token: parent } = context;
  if (parent.num_uses > 0) throw badRequest('restricted use token cannot generate child tokens');
  refuseUnsupported(fields);
  const sudo = capabilitiesOn(context.setup.policies, parent.policies, context.path).has('sudo');
  if (textField(fields, 'id') !== undefined) throw notInTwin('auth/token/create with a chosen id');
  const noParent = boolField(fields, 'no_parent') ?? false;
  if (noParent && !sudo) throw badRequest('root or sudo privileges required to create orphan token');
  const displayName = textField(fields, 'display_name');
  const warnings: string[] = [];
  const explicit_max_ttl_s = explicitMax(fields, role, warnings);
  const token = ledger.tokens.create(
    {
      policies:
        role === undefined ? policiesUnder(fields, parent, sudo) : policiesByRole(fields, role, parent),
      ttl_s: cappedTtl(fields, explicit_max_ttl_s, warnings),
      explicit_max_ttl_s,
      renewable:
        role === undefined
          ? (boolField(fields, 'renewable') ?? true)
          : role.renewable && (boolField(fields, 'renewable') ?? true),
      num_uses: usesUnder(countField(fields, 'num_uses') ?? 0, role?.token_num_uses ?? 0),
      path: context.path,
      display_name:
        displayName === undefined ? 'token' : `token-${displayName.replace(/[^a-zA-Z0-9-]/g, '-')}`,
      meta: textMapField(fields, 'meta'),
      parent: role?.orphan === true || noParent ? null : parent.accessor,
    },
    ledger.now_ms(),
  );
  return { auth: authBlock(token, token.ttl_s), warnings };
}

function refuseUnsupported(fields: Fields): void {
  const refused = CREATE_FIELDS_REFUSED.find((name) => fields[name] !== undefined);
  if (refused !== undefined) throw notInTwin(`auth/token/create with ${refused}`);
  const type = textField(fields, 'type');
  if (type !== undefined && type !== '' && type !== 'service')
    throw notInTwin(`auth/token/create with type ${type}`);
}

/** Without a role a child gets a subset of its parent's policies; only sudo may go beyond. */
function policiesUnder(fields: Fields, parent: Token, sudo: boolean): string[] {
  const asked = listField(fields, 'policies') ?? [];
  if (!sudo && asked.some((name) => name !== 'default' && !parent.policies.includes(name))) {
    throw badRequest('child policies must be subset of parent');
  }
  if (asked.includes('root') && !parent.policies.includes('root')) {
    throw badRequest('root tokens may not be created without parent token being root');
  }
  const granted = asked.length === 0 ? parent.policies : asked;
  const addDefault =
    (sudo || parent.policies.includes('default')) && !(boolField(fields, 'no_default_policy') ?? false);
  return sanitize(granted, addDefault && !granted.includes('root'));
}

/** With a role that names policies the parent's do not matter: the role's list trumps all. */
function policiesByRole(fields: Fields, role: TokenRole, parent: Token): string[] {
  const off = (boolField(fields, 'no_default_policy') ?? false) || role.token_no_default_policy;
  const addDefault = !off && !role.disallowed_policies.includes('default');
  const asked = listField(fields, 'policies') ?? [];
  const allowed = sanitize(role.allowed_policies, addDefault);
  let granted = asked.length > 0 ? sanitize(asked, addDefault) : [];
  if (role.allowed_policies.length > 0) {
    if (granted.length === 0) granted = allowed;
    else if (granted.some((name) => !allowed.includes(name))) {
      throw badRequest(
        `token policies (${goList(granted)}) must be subset of the role's allowed policies (${goList(allowed)}) or glob policies ([])`,
      );
    }
  } else if (granted.length === 0) granted = sanitize(parent.policies, addDefault);
  const barred = granted.find((name) => role.disallowed_policies.includes(name));
  if (barred !== undefined) throw badRequest(`token policy "${barred}" is disallowed by this role`);
  return granted;
}

function sanitize(names: readonly string[], addDefault: boolean): string[] {
  const clean = names.map((name) => name.trim().toLowerCase()).filter((name) => name !== '');
  return [...new Set(addDefault ? [...clean, 'default'] : clean)].sort();
}

function goList(names: readonly string[]): string {
  return `[${names.map((name) => JSON.stringify(name)).join(' ')}]`;
}

function explicitMax(fields: Fields, role: TokenRole | undefined, warnings: string[]): number {
  const asked = durationField(fields, 'explicit_max_ttl') ?? 0;
  const byRole = role?.token_explicit_max_ttl ?? 0;
  if (byRole === 0) return asked;
  if (asked > byRole) {
    warnings.push(
      `Explicit max TTL specified both during creation call and in role; using the lesser value of ${byRole} seconds`,
    );
  }
  return asked === 0 ? byRole : Math.min(asked, byRole);
}

function cappedTtl(fields: Fields, explicit_max_ttl_s: number, warnings: string[]): number {
  const asked = durationField(fields, 'ttl') ?? 0;
  const max = Math.min(explicit_max_ttl_s || SYSTEM_TTL_S, SYSTEM_TTL_S);
  if (asked > max) {
    warnings.push(
      `TTL of "${goDuration(asked)}" exceeded the effective max_ttl of "${goDuration(max)}"; TTL value is capped accordingly`,
    );
  }
  return Math.min(asked === 0 ? SYSTEM_TTL_S : asked, max);
}

function usesUnder(asked: number, byRole: number): number {
  if (byRole === 0 || asked === 0) return asked === 0 ? byRole : asked;
  return Math.min(asked, byRole);
}

function lookupSelf({ token, ledger }: RouteContext): VaultAnswer {
  return { data: describeToken(token, ledger.now_ms(), true) };
}

function renewSelf({ token, ledger, fields }: RouteContext): VaultAnswer {
  if (!token.renewable) throw badRequest('lease is not renewable');
  const lease_s = ledger.tokens.renew(token, durationField(fields, 'increment'), ledger.now_ms());
  return { auth: authBlock(token, lease_s) };
}

async function revokeSelf({ token, ledger }: RouteContext): Promise<null> {
  await ledger.revokeToken(token);
  return null;
}

async function revokeAccessor(context: RouteContext): Promise<null> {
  await context.ledger.revokeToken(tokenByAccessor(context));
  return null;
}

function lookupAccessor(context: RouteContext): VaultAnswer {
  return { data: describeToken(tokenByAccessor(context), context.ledger.now_ms(), false) };
}

function tokenByAccessor({ fields, ledger }: RouteContext): Token {
  const accessor = textField(fields, 'accessor');
  if (accessor === undefined || accessor === '') throw new VaultError(400, [multi('missing accessor')]);
  const token = ledger.tokens.byAccessor(accessor);
  if (token === undefined) throw new VaultError(400, [multi('invalid accessor')]);
  return token;
}

function readRole({ params, setup }: RouteContext): VaultAnswer {
  const role = setup.tokenRoles.get(params[0] ?? '');
  if (role === undefined) throw new VaultError(404, []);
  return { data: { name: params[0], ...role, token_type: 'default-service' } };
}

function writeRole({ params, setup, fields }: RouteContext): null {
  const refused = ROLE_FIELDS_REFUSED.find((name) => fields[name] !== undefined);
  if (refused !== undefined) throw notInTwin(`auth/token/roles with ${refused}`);
  const before = setup.tokenRoles.get(params[0] ?? '');
  setup.tokenRoles.set(params[0] ?? '', {
    allowed_policies: listField(fields, 'allowed_policies') ?? before?.allowed_policies ?? [],
    disallowed_policies: listField(fields, 'disallowed_policies') ?? before?.disallowed_policies ?? [],
    orphan: boolField(fields, 'orphan') ?? before?.orphan ?? false,
    renewable: boolField(fields, 'renewable') ?? before?.renewable ?? true,
    token_explicit_max_ttl:
      durationField(fields, 'token_explicit_max_ttl') ??
      durationField(fields, 'explicit_max_ttl') ??
      before?.token_explicit_max_ttl ??
      0,
    token_no_default_policy:
      boolField(fields, 'token_no_default_policy') ?? before?.token_no_default_policy ?? false,
    token_num_uses: countField(fields, 'token_num_uses') ?? before?.token_num_uses ?? 0,
  });
  return null;
}

function deleteRole({ params, setup }: RouteContext): null {
  setup.tokenRoles.delete(params[0] ?? '');
  return null;
}
