/**
 * The Vault twin: Vault's HTTP API over a loopback port, with policies, tokens and leases that really refuse and
 * really die. It stands in for a Vault server in the lab; it may not be kinder than the real one, because the broker's
 * safety is proven against it. What it lacks answers 501 with the construct's name. See FIDELITY.md.
 */
import { AppRoles, type AppRoleIds, type AppRoleSpec } from './approle.ts';
import {
  errorReply,
  invalidToken,
  multi,
  notInTwin,
  permissionDenied,
  unsupportedOperation,
  VaultError,
  vaultReply,
  type VaultAnswer,
} from './envelope.ts';
import { parseFields } from './fields.ts';
import { KvStore } from './kv-store.ts';
import { LifeLedger } from './ledger.ts';
import { allows, DEFAULT_POLICY, type PolicyDocument } from './policy.ts';
import type { Operation } from './route.ts';
import { findRoute, MOUNTS } from './routes.ts';
import type {
  AwsIssuer,
  AwsRole,
  DatabaseIssuer,
  DatabaseRole,
  KubernetesIssuer,
  KubernetesRole,
  TokenRole,
  VaultSetup,
} from './setup.ts';
import { health, sealStatus } from './sys-status.ts';
import { SYSTEM_TTL_S, type Token } from './tokens.ts';
import { startTwinServer, type FaultControls, type TwinCall, type TwinReply } from '../twin-http.ts';
import { Wrappings } from './wrapping.ts';

export interface VaultTwinOptions {
  /** Milliseconds since the epoch; the wall clock unless told. */
  readonly clock?: () => number;
  readonly kubernetes: KubernetesIssuer;
  readonly database?: DatabaseIssuer;
  readonly aws?: AwsIssuer;
  /** Serves HTTPS with this PEM pair. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** One request as the twin saw it: no token, no body. `status` 0 means the connection was cut by a fault. */
interface VaultRequest {
  readonly at_ms: number;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Accessor of the token it came with, when that token was valid. */
  readonly accessor: string | null;
}

interface OutstandingLease {
  readonly lease_id: string;
  readonly accessor: string;
  readonly expires_ms: number;
  /** Why the last attempt to revoke failed, if one did. */
  readonly failure: string | null;
}

interface OutstandingToken {
  readonly accessor: string;
  readonly display_name: string;
  readonly path: string;
  readonly policies: readonly string[];
  readonly expires_ms: number | null;
}

export interface VaultTwin {
  readonly url: string;
  readonly faults: FaultControls;
  close(): Promise<void>;
  seal(): void;
  unseal(): Promise<void>;
  requests(): readonly VaultRequest[];
  /** Everything that still grants something, the root token left out. */
  outstanding(): {
    readonly leases: readonly OutstandingLease[];
    readonly tokens: readonly OutstandingToken[];
  };
  /** Applies the clock now (it is also applied before each request and every 250 ms). */
  expire(): Promise<void>;
  addPolicy(name: string, policy: PolicyDocument): void;
  addAppRole(spec: AppRoleSpec): AppRoleIds;
  addTokenRole(name: string, role: Partial<TokenRole>): void;
  addKubernetesRole(name: string, role: KubernetesRole): void;
  addDatabaseRole(name: string, role: DatabaseRole): void;
  addAwsRole(name: string, role: AwsRole): void;
  putSecret(path: string, data: Readonly<Record<string, unknown>>): void;
  deleteSecret(path: string): void;
  destroySecret(path: string): void;
  rootToken(): string;
  /** Every secret that left the twin: client, wrapping and Kubernetes tokens. */
  secretsMinted(): readonly string[];
}

interface Core {
  readonly ledger: LifeLedger;
  readonly setup: VaultSetup;
  readonly appRoles: AppRoles;
  readonly wrappings: Wrappings;
  readonly callers: WeakMap<TwinCall, string>;
  readonly secrets: Set<string>;
}

const SWEEP_MS = 250;

/** Starts an initialised, unsealed Vault on a free loopback port. */
export async function startVaultTwin(options: VaultTwinOptions): Promise<VaultTwin> {
  const core = createCore(options);
  const root = createRootToken(core);
  const log: VaultRequest[] = [];
  const server = await startTwinServer({
    handle: (call) => handle(core, call),
    ended: (call, status) => {
      const accessor = core.callers.get(call) ?? null;
      log.push({
        at_ms: core.ledger.now_ms(),
        method: call.method,
        path: scrub(core, call.path),
        status,
        accessor,
      });
    },
    fault_body: (status) =>
      JSON.stringify({ errors: [status === 503 ? 'Vault is sealed' : 'internal error'] }),
    ...(options.tls === undefined ? {} : { tls: options.tls }),
  });
  const sweep = setInterval(() => void core.ledger.expire(), SWEEP_MS).unref();
  return {
    url: server.url,
    faults: server.faults,
    close: async () => {
      clearInterval(sweep);
      await server.close();
    },
    seal: () => {
      core.ledger.sealed = true;
    },
    unseal: async () => {
      core.ledger.sealed = false;
      await core.ledger.expire();
    },
    requests: () => [...log],
    outstanding: () => outstanding(core.ledger),
    expire: () => core.ledger.expire(),
    rootToken: () => root.id,
    secretsMinted: () => [...core.secrets],
    ...administration(core),
  };
}

function createCore(options: VaultTwinOptions): Core {
  const clock = options.clock ?? Date.now;
  const secrets = new Set<string>();
  return {
    ledger: new LifeLedger(clock),
    setup: {
      policies: new Map([['default', DEFAULT_POLICY]]),
      tokenRoles: new Map(),
      kubernetesRoles: new Map(),
      databaseRoles: new Map(),
      awsRoles: new Map(),
      kv: new KvStore(),
      kubernetes: options.kubernetes,
      database: options.database,
      aws: options.aws,
      minted: (value) => secrets.add(value),
    },
    appRoles: new AppRoles(),
    wrappings: new Wrappings(clock),
    callers: new WeakMap(),
    secrets,
  };
}

function createRootToken(core: Core): Token {
  const token = core.ledger.tokens.create(
    {
      policies: ['root'],
      ttl_s: SYSTEM_TTL_S,
      explicit_max_ttl_s: 0,
      renewable: false,
      num_uses: 0,
      path: 'auth/token/root',
      display_name: 'root',
      meta: null,
      parent: null,
    },
    core.ledger.now_ms(),
  );
  core.secrets.add(token.id);
  return token;
}

type Administration = Pick<
  VaultTwin,
  | 'addPolicy'
  | 'addAppRole'
  | 'addTokenRole'
  | 'addKubernetesRole'
  | 'addDatabaseRole'
  | 'addAwsRole'
  | 'putSecret'
  | 'deleteSecret'
  | 'destroySecret'
>;

function administration({ setup, appRoles, ledger }: Core): Administration {
  return {
    addPolicy: (name, policy) => void setup.policies.set(name, policy),
    addAppRole: (spec) => appRoles.add(spec),
    addTokenRole: (name, role) =>
      void setup.tokenRoles.set(name, {
        allowed_policies: [],
        disallowed_policies: [],
        orphan: false,
        renewable: true,
        token_explicit_max_ttl: 0,
        token_no_default_policy: false,
        token_num_uses: 0,
        ...role,
      }),
    addKubernetesRole: (name, role) => void setup.kubernetesRoles.set(name.toLowerCase(), role),
    addDatabaseRole: (name, role) => void setup.databaseRoles.set(name, role),
    addAwsRole: (name, role) => void setup.awsRoles.set(name, role),
    destroySecret: (path) => setup.kv.destroy(path),
    putSecret: (path, data) => setup.kv.put(path, data, ledger.now_ms()),
    deleteSecret: (path) => setup.kv.delete(path, ledger.now_ms()),
  };
}

function outstanding(ledger: LifeLedger): ReturnType<VaultTwin['outstanding']> {
  return {
    leases: ledger.leases().map(({ lease_id, owner, expires_ms, failure }) => ({
      lease_id,
      accessor: owner,
      expires_ms,
      failure,
    })),
    tokens: ledger.tokens
      .all()
      .filter((token) => !token.policies.includes('root'))
      .map(({ accessor, display_name, path, policies, expires_ms }) => ({
        accessor,
        display_name,
        path,
        policies,
        expires_ms,
      })),
  };
}

async function handle(core: Core, call: TwinCall): Promise<TwinReply> {
  try {
    const answer = await answerCall(core, call);
    if (answer?.auth !== undefined) core.secrets.add(answer.auth.client_token);
    return vaultReply(wrapIfAsked(core, call, answer));
  } catch (error) {
    if (error instanceof VaultError) return errorReply(error);
    throw error;
  }
}

async function answerCall(core: Core, call: TwinCall): Promise<VaultAnswer | null> {
  const { ledger } = core;
  if (!call.path.startsWith('/v1/')) throw new VaultError(404, ['404 page not found']);
  const path = call.path.slice('/v1/'.length);
  if (path === 'sys/health') return health(ledger, call.query);
  if (path === 'sys/seal-status') return sealStatus(ledger);
  if (ledger.sealed) throw new VaultError(503, ['Vault is sealed']);
  await ledger.expire();
  const operation = operationOf(call);
  const open = openEndpoint(core, call, path, operation);
  if (open !== undefined) return open;
  const token = authenticate(core, call);
  const lastUse = ledger.tokens.use(token);
  try {
    const answer = await authorized(core, call, path, operation, token);
    if (lastUse && answer?.lease !== undefined) {
      throw new VaultError(400, [
        'Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.',
      ]);
    }
    return answer;
  } finally {
    if (lastUse) await ledger.revokeToken(token);
  }
}

/** Endpoints that need no client token. */
function openEndpoint(
  core: Core,
  call: TwinCall,
  path: string,
  operation: Operation,
): VaultAnswer | undefined {
  if (path === 'auth/approle/login') {
    if (operation !== 'update') throw unsupportedOperation();
    return core.appRoles.login(parseFields(call.body), core.ledger);
  }
  if (path !== 'sys/wrapping/unwrap' && path !== 'sys/wrapping/lookup') return undefined;
  if (operation !== 'update') throw unsupportedOperation();
  const fields = parseFields(call.body);
  const header = clientToken(call);
  return path.endsWith('lookup')
    ? core.wrappings.lookup(fields, header)
    : core.wrappings.unwrap(fields, header);
}

function authenticate(core: Core, call: TwinCall): Token {
  const id = clientToken(call);
  if (id === '') throw new VaultError(403, ['permission denied']);
  const token = core.ledger.tokens.byId(id);
  if (token === undefined) throw invalidToken();
  core.callers.set(call, token.accessor);
  return token;
}

async function authorized(
  core: Core,
  call: TwinCall,
  path: string,
  operation: Operation,
  token: Token,
): Promise<VaultAnswer | null> {
  if (!allows(core.setup.policies, token.policies, path, operation)) throw permissionDenied();
  const found = findRoute(path);
  if (found === undefined) {
    if (MOUNTS.some((mount) => path.startsWith(mount)))
      throw notInTwin(`${call.method} ${scrub(core, path)}`);
    throw new VaultError(404, [`no handler for route "${path}". route entry not found.`]);
  }
  const handler = found.route.operations[operation];
  if (handler === undefined) throw unsupportedOperation();
  const { ledger, setup } = core;
  return handler({
    path,
    params: found.params,
    query: call.query,
    fields: parseFields(call.body),
    token,
    ledger,
    setup,
  });
}

function wrapIfAsked(core: Core, call: TwinCall, answer: VaultAnswer | null): VaultAnswer | null {
  const ttl = call.headers['x-vault-wrap-ttl'];
  if (typeof ttl !== 'string' || answer === null || (answer.data === undefined && answer.auth === undefined))
    return answer;
  const wrapped = core.wrappings.wrap(answer, call.path.slice('/v1/'.length), ttl);
  core.secrets.add(wrapped.token);
  return wrapped.answer;
}

function clientToken(call: TwinCall): string {
  const header = call.headers['x-vault-token'];
  if (typeof header === 'string' && header !== '') return header;
  const bearer = /^Bearer (.+)$/.exec(call.headers.authorization ?? '');
  return bearer?.[1] ?? '';
}

function operationOf(call: TwinCall): Operation {
  switch (call.method) {
    case 'GET':
    case 'HEAD':
      return call.query.get('list') === 'true' ? 'list' : 'read';
    case 'LIST':
      return 'list';
    case 'POST':
    case 'PUT':
      return 'update';
    case 'DELETE':
      return 'delete';
    default:
      throw new VaultError(405, [multi('unsupported operation')]);
  }
}

function scrub(core: Core, text: string): string {
  let clean = text;
  for (const secret of core.secrets) clean = clean.replaceAll(secret, '[SECRET]');
  return clean;
}
