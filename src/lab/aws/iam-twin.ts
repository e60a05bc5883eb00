/**
 * A strict twin of AWS IAM's Query API for reading roles: it checks every signature, refuses what a key may not call,
 * and answers in IAM's XML. What it lacks is a loud 501 that names the construct. See FIDELITY.md.
 */
import { randomUUID } from 'node:crypto';
import { startTwinServer, type FaultControls, type TwinCall, type TwinReply } from '../twin-http.ts';
import { IamError } from './iam-error.ts';
import { verifySignature, type AccessKey } from './sigv4.ts';
import { simulate, type PolicyStatements } from './simulate.ts';

export interface IamRole {
  readonly name: string;
  /** Begins and ends with a slash. */
  readonly path?: string;
  readonly description?: string;
  readonly trust_policy: object;
  readonly inline: Readonly<Record<string, PolicyStatements>>;
  readonly attached: readonly string[];
}

export interface IamTwin {
  readonly url: string;
  readonly faults: FaultControls;
  addRole(role: IamRole): void;
  addKey(key: AccessKey): void;
  removeKey(access_key_id: string): void;
  /** Actions that were answered or refused, oldest first. */
  requests(): readonly { readonly action: string; readonly status: number; readonly key: string | null }[];
  close(): Promise<void>;
}

const ACCOUNT = '123456789012';
const VERSION = '2010-05-08';
const NAMESPACE = `https://iam.amazonaws.com/doc/${VERSION}/`;
/** Items of a page unless the request says MaxItems. */
const PAGE_ITEMS = 100;

export async function startIamTwin(options: { readonly clock?: () => number } = {}): Promise<IamTwin> {
  const clock = options.clock ?? Date.now;
  const roles = new Map<string, IamRole>();
  const keys = new Map<string, AccessKey>();
  const log: { action: string; status: number; key: string | null }[] = [];
  const handle = (call: TwinCall): TwinReply => {
    const action = call.query.get('Action') ?? '';
    const entry = { action, status: 200, key: null as string | null };
    log.push(entry);
    try {
      if (call.method !== 'GET')
        throw new IamError(501, 'NotInTwin', `iam twin: ${call.method} is not served`);
      const key = verifySignature(call, keys, clock());
      entry.key = key.access_key_id;
      const result = answer(call.query, action, key, roles);
      return xml(
        200,
        `<${action}Response xmlns="${NAMESPACE}"><${action}Result>${result}</${action}Result>${meta()}</${action}Response>`,
      );
    } catch (error) {
      if (!(error instanceof IamError)) throw error;
      entry.status = error.status;
      return xml(
        error.status,
        errorXml(error.status >= 500 ? 'Receiver' : 'Sender', error.code, error.message),
      );
    }
  };
  const server = await startTwinServer({
    handle,
    fault_body: (status) =>
      status === 503
        ? errorXml('Receiver', 'ServiceUnavailable', 'Service is unavailable')
        : errorXml('Sender', status === 400 ? 'Throttling' : 'ServiceFailure', 'Rate exceeded'),
  });
  return {
    url: server.url,
    faults: server.faults,
    addRole: (role) => void roles.set(role.name, role),
    addKey: (key) => void keys.set(key.access_key_id, key),
    removeKey: (id) => void keys.delete(id),
    requests: () => [...log],
    close: () => server.close(),
  };
}

function answer(
  query: URLSearchParams,
  action: string,
  key: AccessKey,
  roles: ReadonlyMap<string, IamRole>,
): string {
  if (query.get('Version') !== VERSION)
    throw new IamError(
      400,
      'InvalidAction',
      `Could not find operation ${action} for version ${query.get('Version') ?? ''}`,
    );
  if (
    !['GetRole', 'ListRolePolicies', 'ListAttachedRolePolicies', 'SimulatePrincipalPolicy'].includes(action)
  )
    throw new IamError(501, 'NotInTwin', `iam twin: ${action} is outside of the implemented subset`);
  const name =
    action === 'SimulatePrincipalPolicy'
      ? ((query.get('PolicySourceArn') ?? '').split('/').at(-1) ?? '')
      : (query.get('RoleName') ?? '');
  if (!key.allow.includes(`iam:${action}`))
    throw new IamError(
      403,
      'AccessDenied',
      `User: arn:aws:sts::${ACCOUNT}:assumed-role/aegis/${key.access_key_id} is not authorized to perform: iam:${action} on resource: role ${name} because no identity-based policy allows the iam:${action} action`,
    );
  const role = roles.get(name);
  if (role === undefined)
    throw new IamError(404, 'NoSuchEntity', `The role with name ${name} cannot be found.`);
  if (action === 'GetRole') return describe(role);
  if (action === 'ListRolePolicies')
    return page(query, Object.keys(role.inline).sort(), 'PolicyNames', (policy) => escape(policy));
  if (action === 'ListAttachedRolePolicies')
    return page(
      query,
      role.attached,
      'AttachedPolicies',
      (arn) =>
        `<PolicyName>${escape(arn.split('/').at(-1) ?? '')}</PolicyName><PolicyArn>${escape(arn)}</PolicyArn>`,
    );
  if (query.get('PolicySourceArn') !== arnOf(role))
    throw new IamError(404, 'NoSuchEntity', `The role with name ${name} cannot be found.`);
  return simulated(query, role);
}

function describe(role: IamRole): string {
  const trust = encodeURIComponent(JSON.stringify(role.trust_policy));
  return `<Role><Path>${role.path ?? '/'}</Path><AssumeRolePolicyDocument>${trust}</AssumeRolePolicyDocument><RoleId>AROA1234567890EXAMPLE</RoleId><RoleName>${escape(role.name)}</RoleName><Arn>${escape(arnOf(role))}</Arn><CreateDate>2026-01-12T09:00:00Z</CreateDate>${role.description === undefined ? '' : `<Description>${escape(role.description)}</Description>`}<MaxSessionDuration>3600</MaxSessionDuration><RoleLastUsed/></Role>`;
}

function page<T>(query: URLSearchParams, all: readonly T[], name: string, draw: (item: T) => string): string {
  const from = Number(query.get('Marker') ?? 0);
  const items = all.slice(from, from + Number(query.get('MaxItems') ?? PAGE_ITEMS));
  const next = from + items.length;
  const more = next < all.length;
  const list =
    items.length === 0
      ? `<${name}/>`
      : `<${name}>${items.map((item) => `<member>${draw(item)}</member>`).join('')}</${name}>`;
  return `${list}<IsTruncated>${more}</IsTruncated>${more ? `<Marker>${next}</Marker>` : ''}`;
}

function simulated(query: URLSearchParams, role: IamRole): string {
  if (role.attached.length > 0)
    throw new IamError(501, 'NotInTwin', 'iam twin: simulation of attached policies is not implemented');
  const listed = (name: string): string[] =>
    [...query].filter(([key]) => key.startsWith(`${name}.member.`)).map(([, value]) => value);
  const resources = listed('ResourceArns');
  const results = listed('ActionNames').flatMap((action) =>
    (resources.length === 0 ? ['*'] : resources).map((resource) => {
      const { decision, by } = simulate(role.inline, action, resource);
      const matched =
        by.length === 0
          ? '<MatchedStatements/>'
          : `<MatchedStatements>${by.map((policy) => `<member><SourcePolicyId>${escape(policy)}</SourcePolicyId><SourcePolicyType>IAM Policy</SourcePolicyType></member>`).join('')}</MatchedStatements>`;
      return `<member><EvalActionName>${escape(action)}</EvalActionName><EvalResourceName>${escape(resource)}</EvalResourceName><EvalDecision>${decision}</EvalDecision>${matched}<MissingContextValues/></member>`;
    }),
  );
  return `<IsTruncated>false</IsTruncated><EvaluationResults>${results.join('')}</EvaluationResults>`;
}

const arnOf = (role: IamRole): string => `arn:aws:iam::${ACCOUNT}:role${role.path ?? '/'}${role.name}`;
const meta = (): string => `<ResponseMetadata><RequestId>${randomUUID()}</RequestId></ResponseMetadata>`;

function errorXml(type: string, code: string, message: string): string {
  return `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>${type}</Type><Code>${code}</Code><Message>${escape(message)}</Message></Error><RequestId>${randomUUID()}</RequestId></ErrorResponse>`;
}

function xml(status: number, body: string): TwinReply {
  return { status, headers: { 'Content-Type': 'text/xml' }, body };
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
