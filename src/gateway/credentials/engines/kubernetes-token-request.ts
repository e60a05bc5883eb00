import { z } from 'zod';
import { sha256Hex } from '../../../contract/canonical.ts';
import type { CredentialSource, SecretRef } from '../../../contract/credentials.ts';
import { isRevocable } from '../../../contract/credentials.ts';
import { Secret } from '../../../contract/secret.ts';
import type { KubernetesCluster } from '../../../contract/settings.ts';
import type { Egress } from '../../egress.ts';
import { CredentialError } from '../credential-error.ts';
import { createMinter, type Minter } from '../kubernetes-minter.ts';
import type { Anchor, LeaseEngine, Revoke } from '../lease-engine.ts';
import type { LeaseRequest } from '../lease.ts';
import { nodeRole } from '../role-of.ts';

/**
 * A Kubernetes token without Vault: bound to a Secret that exists for nothing else. Deleting the Secret kills the
 * token. The Secret's name is ours, so the row knows it before it exists, and a crash at any point is swept.
 */
type Source = Extract<CredentialSource, { engine: 'kubernetes_token_request' }>;

export interface TokenRequestDeps {
  readonly clusters: Readonly<Record<string, KubernetesCluster>>;
  readonly egress: Egress;
  readonly secrets: (ref: SecretRef) => Secret;
}

const SecretAnswer = z.object({ metadata: z.object({ name: z.string(), uid: z.string().min(1) }) });
const TokenAnswer = z.object({ status: z.object({ token: z.string().min(1) }) });

/** @throws CredentialError when the system of the request is no cluster. */
export function tokenRequestEngine(
  deps: TokenRequestDeps,
  source: Source,
  { system }: Pick<LeaseRequest, 'system'>,
): LeaseEngine {
  const cluster = /^k8s\/([^/]+)$/.exec(system)?.[1];
  if (cluster === undefined)
    throw new CredentialError(
      `${system} is no Kubernetes cluster, and only a cluster has the engine kubernetes_token_request`,
      'Choose another engine under its credentials in aegis.yaml.',
    );
  return {
    engine: source.engine,
    revocable: isRevocable(source),
    ttl_s: source.ttl_s,
    async anchor(request, lease_id): Promise<Anchor> {
      const namespace = source.namespace ?? request.namespace;
      const secret = `aegis-lease-${sha256Hex(lease_id).slice(0, 32)}`;
      return {
        accessor: `${cluster}/${namespace}/${secret}`,
        mint: async () => {
          const minter = minterOf(deps, cluster, source);
          return { kind: 'bearer', token: await mint(minter, source, request, { namespace, secret }) };
        },
      };
    },
  };
}

async function mint(
  minter: Minter,
  source: Source,
  request: LeaseRequest,
  { namespace, secret }: { namespace: string; secret: string },
): Promise<Secret> {
  const made = SecretAnswer.safeParse(
    await minter.createFirst(
      `/api/v1/namespaces/${namespace}/secrets`,
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: {
          name: secret,
          labels: { 'app.kubernetes.io/managed-by': 'aegis' },
          annotations: { 'aegis/call': request.call_id },
        },
        type: 'Opaque',
        immutable: true,
      },
      request.signal,
    ),
  );
  if (!made.success) throw malformed('creation of a Secret');
  const named = request.access === 'write' ? source.write_account : source.read_account;
  const account = request.cluster_wide === true ? nodeRole(source.node_account) : named;
  const { name, uid } = made.data.metadata;
  const answer = TokenAnswer.safeParse(
    await minter.create(
      `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          expirationSeconds: source.ttl_s,
          boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name, uid },
        },
      },
      request.signal,
    ),
  );
  if (!answer.success) throw malformed('request for a token');
  return new Secret(answer.data.status.token);
}

/** Deletes the Secret that an accessor names, with the cluster and the minter of today's configuration. */
export function revokeTokenRequest(deps: TokenRequestDeps): Revoke {
  return async (accessor) => {
    const [cluster = '', namespace = '', secret = ''] = accessor.split('/');
    const source = Object.hasOwn(deps.clusters, cluster) ? deps.clusters[cluster]?.credentials : undefined;
    if (source?.engine !== 'kubernetes_token_request')
      throw new CredentialError(
        `cluster ${cluster} no longer has the engine kubernetes_token_request, so its Secret ${namespace}/${secret} cannot be deleted`,
        `Delete it by hand: kubectl -n ${namespace} delete secret ${secret}`,
      );
    await minterOf(deps, cluster, source).remove(`/api/v1/namespaces/${namespace}/secrets/${secret}`);
  };
}

function minterOf({ clusters, egress, secrets }: TokenRequestDeps, cluster: string, source: Source): Minter {
  const config = clusters[cluster];
  if (config === undefined) throw new CredentialError(`there is no cluster ${cluster}`, 'Check aegis.yaml.');
  return createMinter(egress, config, () => {
    try {
      return secrets(source.minter);
    } catch {
      throw new CredentialError(
        `the minter's token of cluster ${cluster} cannot be read`,
        'Provide it where credentials.minter in aegis.yaml points.',
      );
    }
  });
}

function malformed(what: string): CredentialError {
  return new CredentialError(
    `Kubernetes: the answer to the ${what} is not what Kubernetes documents`,
    'Check that clusters.<name>.server is a Kubernetes API.',
  );
}
