/** Checks AWS Signature Version 4 as the server does: from the request alone, with the secret of the key that it names. */
import { createHash, createHmac } from 'node:crypto';
import type { TwinCall } from '../twin-http.ts';
import { IamError } from './iam-error.ts';

export interface AccessKey {
  readonly access_key_id: string;
  readonly secret_access_key: string;
  /** Keys of a session; null for a standing key. */
  readonly session_token: string | null;
  /** Milliseconds since the epoch; null: never. */
  readonly expires_ms: number | null;
  /** Actions that its principal may call, for example `iam:GetRole`. */
  readonly allow: readonly string[];
}

const SKEW_MS_MAX = 15 * 60_000;
const EMPTY_SHA256 = createHash('sha256').update('').digest('hex');

/** The key that signed the request. @throws IamError with the words of AWS */
export function verifySignature(
  call: TwinCall,
  keys: ReadonlyMap<string, AccessKey>,
  now_ms: number,
): AccessKey {
  const header = call.headers.authorization ?? '';
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/([^/,]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      header,
    );
  if (match === null)
    throw new IamError(403, 'MissingAuthenticationToken', 'Request is missing Authentication Token');
  const [, id = '', date = '', region = '', service = '', signed = '', signature] = match;
  const key = keys.get(id);
  const token = call.headers['x-amz-security-token'] ?? null;
  if (key === undefined || key.session_token !== token)
    throw new IamError(403, 'InvalidClientTokenId', 'The security token included in the request is invalid.');
  if (region !== 'us-east-1' || service !== 'iam')
    throw mismatch(`Credential should be scoped to a valid region, not '${region}'.`);
  const stamp = String(call.headers['x-amz-date'] ?? '');
  checkTime(stamp, date, now_ms);
  const names = signed.split(';');
  if (!names.includes('host') || (token !== null && !names.includes('x-amz-security-token')))
    throw mismatch('The host and the security token must be signed.');
  const canonical = [
    call.method,
    call.path,
    canonicalQuery(call.query),
    ...names.map((name) => `${name}:${String(call.headers[name] ?? '').trim()}`),
    '',
    signed,
    call.body === '' ? EMPTY_SHA256 : sha256(call.body),
  ].join('\n');
  const scope = `${date}/${region}/${service}/aws4_request`;
  const secret = ['aws4_request', service, region, date].reduceRight<Buffer | string>(
    (signing, part) => hmac(signing, part),
    `AWS4${key.secret_access_key}`,
  );
  const wanted = hmac(secret, ['AWS4-HMAC-SHA256', stamp, scope, sha256(canonical)].join('\n')).toString(
    'hex',
  );
  if (wanted !== signature)
    throw mismatch(
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    );
  if (key.expires_ms !== null && key.expires_ms <= now_ms)
    throw new IamError(403, 'ExpiredToken', 'The security token included in the request is expired');
  return key;
}

function checkTime(stamp: string, date: string, now_ms: number): void {
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp) ?? [];
  const at_ms = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  if (Number.isNaN(at_ms) || !stamp.startsWith(date))
    throw mismatch('Date in Credential scope does not match');
  if (at_ms < now_ms - SKEW_MS_MAX) throw mismatch(`Signature expired: ${stamp} is now earlier than allowed`);
  if (at_ms > now_ms + SKEW_MS_MAX) throw mismatch(`Signature not yet current: ${stamp} is still later`);
}

function canonicalQuery(query: URLSearchParams): string {
  return [...query]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const mismatch = (message: string): IamError => new IamError(403, 'SignatureDoesNotMatch', message);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();
