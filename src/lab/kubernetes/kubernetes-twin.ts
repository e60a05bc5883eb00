/**
 * A strict twin of the Kubernetes API over the simulated world: HTTPS on loopback with its own CA, so that kubectl and
 * client libraries work against it unchanged. It refuses what the real server refuses, in its words; what it does not
 * implement is a loud 501 that names the construct. Sources and limits are listed in FIDELITY.md.
 */
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:https';
import { stringify } from 'yaml';
import type { KubeObject } from '../world/kube-object.ts';
import type { World } from '../world/world.ts';
import type { LoggedRequest } from './api-server.ts';
import { ApiServer } from './api-server.ts';
import type { WriteLine } from './audit-log.ts';
import { auditor } from './audit-log.ts';
import type { Certificates } from './certificate.ts';
import { createCertificates } from './certificate.ts';
import { Faults } from './faults.ts';
import { mergePatch } from './patch.ts';
import type { AccessRule } from './token-store.ts';
import { TokenStore } from './token-store.ts';

interface IssueTokenOptions {
  serviceAccount: string;
  namespace: string;
  /** Authenticates as this user instead, as an identity provider's token does; the account only holds its rights. */
  user?: string;
  /** Rights of this token. Bindings of the service account in the cluster add to them. */
  rules?: readonly AccessRule[];
  /** Name of a Role in the namespace whose rules the token gets. */
  role?: string;
  /** Default one hour. There is no floor here: Vault's own floor is Vault's business. */
  ttl_ms?: number;
}

export interface TwinIdentity {
  certificates: Certificates;
  tokens: TokenStore;
}

export interface KubernetesTwin {
  /** `https://127.0.0.1:<port>` */
  url: string;
  port: number;
  ca_pem: string;
  faults: Faults;
  /** Certificates and tokens: give them to a new twin, and old kubeconfigs keep working over a restart. */
  identity: TwinIdentity;
  /** A kubeconfig as YAML, with the CA inside. */
  kubeconfig(token: string, options?: { namespace?: string; user?: string }): string;
  /** Mints a bearer token; the service account is created when it does not exist. */
  issueToken(options: IssueTokenOptions): { token: string; expires_at: string };
  /** True when the token lived until now. */
  revokeToken(token: string): boolean;
  /** Removes the account and its role bindings: every token of it dies, as with Vault's generated accounts. */
  deleteServiceAccount(namespace: string, name: string): boolean;
  /** Tokens that would be accepted now. */
  liveTokens(): number;
  /** Every request, oldest first. */
  requests(): readonly LoggedRequest[];
  /** The requests that really changed something: no dry runs, no refused ones, no reviews. */
  mutations(): readonly LoggedRequest[];
  /** Another person changes an object: a merge patch past the API, booked under `manager` (default kubectl-edit). */
  patchFromOutside(
    kind: string,
    namespace: string,
    name: string,
    patch: unknown,
    manager?: string,
  ): KubeObject;
  /** Creates or replaces an object from outside. */
  setResource(object: KubeObject, manager?: string): KubeObject;
  /** Ends all connections and stops listening. The world stays; a new twin can serve it. */
  close(): Promise<void>;
}

export interface KubernetesTwinOptions {
  world: World;
  /** Default 0: any free port. A fixed one lets a restarted twin keep its address. */
  port?: number;
  /** Takes each line of the audit log; without it the server keeps none, as a real one that is not told to. */
  audit?: WriteLine;
  /** Restarts an earlier twin of the same world: its `identity`, together with its port. */
  identity?: TwinIdentity;
}

export async function startKubernetesTwin(options: KubernetesTwinOptions): Promise<KubernetesTwin> {
  const { world } = options;
  const certificates = options.identity?.certificates ?? (await createCertificates());
  const tokens = options.identity?.tokens ?? new TokenStore(world.store, () => world.now());
  const faults = new Faults();
  const streams = new Set<() => void>();
  const sockets = new Set<Socket>();
  const api = new ApiServer({
    world,
    tokens,
    faults,
    address: () => `127.0.0.1:${port}`,
    onStream: (close) => streams.add(close),
    audit: options.audit === undefined ? undefined : auditor(world, options.audit),
  });
  const server = createServer(
    { key: certificates.key_pem, cert: certificates.cert_pem },
    (request, response) => {
      void api.handle(request, response);
    },
  );
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}`;
  return {
    url,
    port,
    ca_pem: certificates.ca_pem,
    faults,
    identity: { certificates, tokens },
    kubeconfig: (token, more = {}) =>
      kubeconfigText(world.cluster.name, url, certificates.ca_pem, token, more),
    issueToken: (wanted) => issueToken(world, tokens, wanted),
    revokeToken: (token) => tokens.revoke(token),
    deleteServiceAccount: (namespace, name) => deleteServiceAccount(world, namespace, name),
    liveTokens: () => tokens.liveCount(),
    requests: () => api.log,
    mutations: () => api.log.filter((request) => request.changed && !request.dry_run),
    patchFromOutside: (kind, namespace, name, patch, manager = 'kubectl-edit') =>
      world.change(kind, namespace, name, (object) => Object.assign(object, mergePatch(object, patch)), {
        manager,
      }),
    setResource: (object, manager = 'kubectl-edit') => setResource(world, object, manager),
    close: async () => {
      for (const end of streams) end();
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function issueToken(
  world: World,
  tokens: TokenStore,
  options: IssueTokenOptions,
): { token: string; expires_at: string } {
  world.tick();
  const { namespace, serviceAccount: name, ttl_ms = 3_600_000 } = options;
  if (world.store.get('Namespace', undefined, namespace) === undefined) {
    throw new Error(`cannot issue a token: the world has no namespace ${namespace}`);
  }
  const account =
    world.store.get('ServiceAccount', namespace, name) ??
    world.store.create(
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
      { manager: 'vault' },
    );
  const rules = [
    ...(options.rules ?? []),
    ...(options.role === undefined ? [] : roleRules(world, namespace, options.role)),
  ];
  const { user } = options;
  const issued = tokens.issue({
    namespace,
    name,
    user,
    account_uid: account.metadata.uid ?? '',
    rules,
    ttl_ms,
  });
  return { token: issued.token, expires_at: new Date(issued.expires_at_ms).toISOString() };
}

function roleRules(world: World, namespace: string, name: string): AccessRule[] {
  const role = world.store.get('Role', namespace, name);
  if (role === undefined) throw new Error(`cannot issue a token: there is no Role ${namespace}/${name}`);
  return (role['rules'] as AccessRule[] | undefined) ?? [];
}

function deleteServiceAccount(world: World, namespace: string, name: string): boolean {
  for (const binding of world.store.list('RoleBinding', namespace)) {
    const subjects = binding['subjects'] as { kind: string; name: string }[] | undefined;
    const isOnly =
      subjects?.length === 1 && subjects[0]?.kind === 'ServiceAccount' && subjects[0].name === name;
    if (isOnly) world.store.remove('RoleBinding', namespace, binding.metadata.name);
  }
  return world.store.remove('ServiceAccount', namespace, name) !== undefined;
}

function setResource(world: World, object: KubeObject, manager: string): KubeObject {
  world.tick();
  const { namespace, name } = object.metadata;
  const exists = world.store.get(object.kind, namespace, name) !== undefined;
  return exists ? world.store.update(object, { manager }) : world.store.create(object, { manager });
}

function kubeconfigText(
  cluster: string,
  url: string,
  ca_pem: string,
  token: string,
  options: { namespace?: string; user?: string },
): string {
  const { namespace = 'default', user = 'aegis-lab' } = options;
  const ca = Buffer.from(ca_pem).toString('base64');
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': cluster,
    clusters: [{ name: cluster, cluster: { server: url, 'certificate-authority-data': ca } }],
    contexts: [{ name: cluster, context: { cluster, user, namespace } }],
    users: [{ name: user, user: { token } }],
  });
}
