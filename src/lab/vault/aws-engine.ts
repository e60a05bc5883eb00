/** aws/sts/:role: an STS session behind a lease that cannot end it (source: builtin/logical/aws/path_user.go, secret_access_keys.go). */
import { badRequest, multi, randomBase62, VaultError, type VaultAnswer } from './envelope.ts';
import { durationField, textField } from './fields.ts';
import type { Route, RouteContext } from './route.ts';
import type { AwsSession } from './setup.ts';

export const AWS_ROUTES: readonly Route[] = [
  { path: /^aws\/sts\/([^/]+)$/, operations: { read: assumeRole, update: assumeRole } },
];

/** STS refuses shorter sessions, and by default longer ones. */
const SESSION_S_MIN = 900;
const SESSION_S_MAX = 3600;
const SESSION_NAME_CHARS_MAX = 64;

async function assumeRole(context: RouteContext): Promise<VaultAnswer> {
  const { params, fields, setup, ledger, token: owner } = context;
  const name = params[0] ?? '';
  const role = setup.awsRoles.get(name);
  if (role === undefined) throw badRequest(`Role '${name}' not found`);
  const arn = roleArn(role.role_arns, textField(fields, 'role_arn') ?? '');
  const ttl_s = durationField(fields, 'ttl') ?? role.default_sts_ttl_s ?? SESSION_S_MAX;
  if (role.max_sts_ttl_s !== undefined && ttl_s > role.max_sts_ttl_s) {
    throw badRequest(
      `role duration cannot exceed ${role.max_sts_ttl_s} seconds (the max_sts_ttl of the role)`,
    );
  }
  const given = textField(fields, 'role_session_name') ?? '';
  const session: AwsSession = {
    access_key: `ASIA${randomBase62(16).toUpperCase()}`,
    secret_key: randomBase62(40),
    security_token: `FwoGZXIvYXdzE${randomBase62(300)}`,
    arn,
    session_name: sessionName(given, owner.display_name, name, ledger.now_ms()),
    ttl_s,
  };
  await assume(setup, session);
  for (const secret of [session.secret_key, session.security_token]) setup.minted(secret);
  const lease = ledger.addLease({
    path: `aws/sts/${name}`,
    owner: owner.accessor,
    ttl_s,
    // Vault forgets the session; AWS lets it live to its end.
    kill: () => undefined,
  });
  return {
    lease: { lease_id: lease.lease_id, renewable: false, lease_duration: ttl_s },
    data: {
      access_key: session.access_key,
      secret_key: session.secret_key,
      security_token: session.security_token,
      session_token: session.security_token,
      arn: `${arn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/${session.session_name}`,
    },
  };
}

function roleArn(arns: readonly string[], asked: string): string {
  if (asked === '' && arns.length > 1)
    throw badRequest('did not supply a role_arn parameter and unable to determine one');
  const arn = asked === '' ? arns[0] : asked;
  if (arn === undefined || !arns.includes(arn))
    throw badRequest(`role_arn "${asked}" not in allowed role arns for Vault role`);
  return arn;
}

function sessionName(given: string, displayName: string, role: string, now_ms: number): string {
  if (given === '')
    return `vault-${displayName}-${role}-${Math.floor(now_ms / 1000)}-${randomBase62(20)}`.slice(0, 32);
  const normal = given.replaceAll(/[^a-zA-Z0-9_=,.@-]/g, '_');
  return normal.slice(0, SESSION_NAME_CHARS_MAX);
}

async function assume(setup: RouteContext['setup'], session: AwsSession): Promise<void> {
  try {
    if (session.ttl_s < SESSION_S_MIN || session.ttl_s > 43_200) {
      const bound =
        session.ttl_s < SESSION_S_MIN ? 'greater than or equal to 900' : 'less than or equal to 43200';
      throw new Error(
        `operation error STS: AssumeRole, https response error StatusCode: 400, api error ValidationError: 1 validation error detected: Value '${session.ttl_s}' at 'durationSeconds' failed to satisfy constraint: Member must have value ${bound}`,
      );
    }
    await setup.aws?.assumeRole(session);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new VaultError(400, [`Error assuming role: ${text}`]);
  }
  if (setup.aws === undefined) throw new VaultError(500, [multi('no AWS account is configured in the lab')]);
}
