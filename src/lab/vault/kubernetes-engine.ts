/** kubernetes/creds/:role: a service account token behind a lease (source: vault-plugin-secrets-kubernetes path_creds.go). */
import { badRequest, multi, randomBase62, VaultError, type VaultAnswer } from './envelope.ts';
import { boolField, durationField, goDuration, textField } from './fields.ts';
import type { Route, RouteContext } from './route.ts';
import type { IssuedToken, IssueRequest, KubernetesIssuer, KubernetesRole } from './setup.ts';
import { SYSTEM_TTL_S } from './tokens.ts';

/** The Kubernetes API refuses shorter TokenRequests. */
const TOKEN_REQUEST_S_MIN = 600;

export const KUBERNETES_ROUTES: readonly Route[] = [
  { path: /^kubernetes\/creds\/([^/]+)$/, operations: { update: createCredentials } },
];

async function createCredentials(context: RouteContext): Promise<VaultAnswer> {
  const { fields, setup, ledger, token: owner } = context;
  const name = (context.params[0] ?? '').toLowerCase();
  const role = setup.kubernetesRoles.get(name);
  if (role === undefined) throw badRequest(`role '${name}' does not exist`);
  const namespace = textField(fields, 'kubernetes_namespace');
  if (namespace === undefined) throw badRequest("'kubernetes_namespace' is required");
  refuseScope(role, namespace, boolField(fields, 'cluster_role_binding') ?? false);
  const warnings: string[] = [];
  const ttl_s = chosenTtl(role, durationField(fields, 'ttl') ?? 0, warnings);
  const account = role.service_account_name ?? generatedName(owner.display_name, name, ledger.now_ms());
  const issued = await issue(setup.kubernetes, {
    service_account: account,
    namespace,
    role: role.kubernetes_role_name ?? name,
    ttl_s,
  });
  setup.minted(issued.token);
  const revocable = role.service_account_name === undefined;
  const lease = ledger.addLease({
    path: `kubernetes/creds/${name}`,
    owner: owner.accessor,
    ttl_s,
    kill: revocable ? () => issued.revoke() : () => undefined,
  });
  return {
    lease: { lease_id: lease.lease_id, renewable: false, lease_duration: ttl_s },
    data: {
      service_account_name: account,
      service_account_namespace: namespace,
      service_account_token: issued.token,
    },
    warnings,
  };
}

function refuseScope(role: KubernetesRole, namespace: string, clusterWide: boolean): void {
  const allowed = role.allowed_kubernetes_namespaces;
  if (!allowed.includes('*') && !allowed.includes(namespace)) {
    throw badRequest(
      `kubernetes_namespace '${namespace}' is not present in role's allowed_kubernetes_namespaces or does not match role's label selector allowed_kubernetes_namespace_selector`,
    );
  }
  if (clusterWide && (role.kubernetes_role_type ?? 'Role') === 'Role') {
    throw badRequest('a ClusterRoleBinding cannot ref a Role');
  }
}

function chosenTtl(role: KubernetesRole, asked_s: number, warnings: string[]): number {
  const wanted = asked_s || role.token_default_ttl_s || SYSTEM_TTL_S;
  const byRole = role.token_max_ttl_s ?? 0;
  if (byRole > 0 && wanted > byRole) {
    warnings.push(
      `ttl of ${goDuration(wanted)} is greater than the role's token_max_ttl of ${goDuration(byRole)}; capping accordingly`,
    );
    return byRole;
  }
  if (wanted > SYSTEM_TTL_S) {
    warnings.push(
      `ttl of ${goDuration(wanted)} is greater than Vault's max lease ttl ${goDuration(SYSTEM_TTL_S)}; capping accordingly`,
    );
  }
  return Math.min(wanted, SYSTEM_TTL_S);
}

async function issue(kubernetes: KubernetesIssuer, request: IssueRequest): Promise<IssuedToken> {
  const where = `${request.namespace}/${request.service_account}`;
  try {
    if (request.ttl_s < TOKEN_REQUEST_S_MIN) {
      throw new Error(
        `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: ${request.ttl_s}: may not specify a duration less than 10 minutes`,
      );
    }
    return await kubernetes.issueToken(request);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new VaultError(500, [multi(`failed to create a service account token for ${where}: ${text}`)]);
  }
}

/** The plugin's default name template. */
function generatedName(displayName: string, role: string, now_ms: number): string {
  const parts = ['v', displayName.slice(0, 8), role.slice(0, 8), Math.floor(now_ms / 1000), randomBase62(24)];
  return parts.join('-').slice(0, 62).toLowerCase();
}
