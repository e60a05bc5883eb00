import type { AwsAccount } from '../contract/system-aws.ts';
import type { Target } from '../contract/tool.ts';
import type { Credential } from './credentials/credential.ts';
import { UpstreamError, type UpstreamProblem } from './upstream-error.ts';

/**
 * IAM's Query API below the driver: which actions exist, that they speak of the target's role and of nothing else, and
 * the signature (SigV4). A driver sees neither key nor signature.
 */
const ROLE_ACTIONS: ReadonlySet<string> = new Set([
  'GetRole',
  'ListRolePolicies',
  'ListAttachedRolePolicies',
]);
const API_VERSION = '2010-05-08';

/** Null: the request may be sent. */
export function awsRequestProblem(
  path: string,
  query: Readonly<Record<string, string>>,
  target: Target,
): string | null {
  if (path !== '/') return 'IAM has one path';
  if (query['Version'] !== API_VERSION) return `the API version is ${API_VERSION}`;
  const action = query['Action'] ?? '';
  if (ROLE_ACTIONS.has(action))
    return query['RoleName'] === target.name ? null : 'the request leaves the role of the target';
  if (action !== 'SimulatePrincipalPolicy') return `the action "${action.slice(0, 100)}" is never used`;
  const [, role] =
    /^arn:aws[a-z-]*:iam::\d{12}:role\/(?:[^/]+\/)*([^/]+)$/.exec(query['PolicySourceArn'] ?? '') ?? [];
  return role === target.name ? null : 'the request leaves the role of the target';
}

/** @throws UpstreamError `blocked` for a credential that is no AWS key. */
export async function signedHeaders(
  account: AwsAccount,
  credential: Credential | null,
  query: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  if (credential?.kind !== 'aws')
    throw new UpstreamError({
      problem: 'blocked',
      sent: 'no',
      status: null,
      message: 'AWS is asked with an AWS key only; use vault_aws, or a sealed AWS key',
    });
  const { AwsV4Signer } = await import('aws4fetch');
  const url = new URL(account.endpoint);
  url.pathname = '/';
  url.search = new URLSearchParams(query).toString();
  const signer = new AwsV4Signer({
    method: 'GET',
    url: url.toString(),
    accessKeyId: credential.access_key_id,
    secretAccessKey: credential.secret_access_key.reveal(),
    ...(credential.session_token === null ? {} : { sessionToken: credential.session_token.reveal() }),
    service: 'iam',
    region: account.region,
  });
  const { headers } = await signer.sign();
  return { ...Object.fromEntries(headers), 'user-agent': 'aegis' };
}

const PROBLEM_OF_CODE: Readonly<Record<string, UpstreamProblem>> = {
  InvalidClientTokenId: 'unauthorized',
  ExpiredToken: 'unauthorized',
  SignatureDoesNotMatch: 'unauthorized',
  MissingAuthenticationToken: 'unauthorized',
  AccessDenied: 'forbidden',
  NoSuchEntity: 'not-found',
  Throttling: 'throttled',
  ServiceFailure: 'failed',
};
const MESSAGE_CHARS_MAX = 500;

/** An error of IAM: its code says more than its status. Null: not in IAM's form. */
export function awsError(status: number, text: string): UpstreamError | null {
  const code = /<Code>([A-Za-z.]{1,100})<\/Code>/.exec(text)?.[1];
  if (code === undefined) return null;
  const message = /<Message>([^<]{0,2000})<\/Message>/.exec(text)?.[1] ?? '';
  return new UpstreamError({
    problem: PROBLEM_OF_CODE[code] ?? (status >= 500 ? 'failed' : 'invalid'),
    sent: 'answered',
    status,
    message: `answered ${status}: ${code}: ${message.slice(0, MESSAGE_CHARS_MAX)}`,
  });
}
