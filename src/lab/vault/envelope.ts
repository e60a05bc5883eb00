/** The wire forms of Vault: the answer envelope, the error list, and the refusal that carries one. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { TwinReply } from '../twin-http.ts';

/** A request that Vault answers with an error status. `errors` goes out as it is. */
export class VaultError extends Error {
  readonly status: number;
  readonly errors: readonly string[];

  constructor(status: number, errors: readonly string[]) {
    super(errors.join('; '));
    this.name = 'VaultError';
    this.status = status;
    this.errors = errors;
  }
}

export function badRequest(message: string): VaultError {
  return new VaultError(400, [message]);
}

/** Go's multierror text for one error, which Vault puts around most core refusals. */
export function multi(...messages: string[]): string {
  const head = messages.length === 1 ? '1 error occurred:' : `${messages.length} errors occurred:`;
  return `${head}\n${messages.map((message) => `\t* ${message}\n`).join('')}\n`;
}

/** Policy refused the request. */
export function permissionDenied(): VaultError {
  return new VaultError(403, [multi('permission denied')]);
}

/** The token is unknown, expired, revoked or used up. */
export function invalidToken(): VaultError {
  return new VaultError(403, [multi('permission denied', 'invalid token')]);
}

export function unsupportedOperation(): VaultError {
  return new VaultError(405, [multi('unsupported operation')]);
}

/** A construct that real Vault has and this twin lacks: loud, by name, never an empty answer. */
export function notInTwin(construct: string): VaultError {
  return new VaultError(501, [`vault twin: ${construct} is outside of the implemented subset`]);
}

/** The `auth` block of a login or token creation. */
export interface AuthBlock {
  readonly client_token: string;
  readonly accessor: string;
  readonly policies: readonly string[];
  readonly token_policies: readonly string[];
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly lease_duration: number;
  readonly renewable: boolean;
  readonly entity_id: string;
  readonly token_type: string;
  readonly orphan: boolean;
  readonly mfa_requirement: null;
  readonly num_uses: number;
}

/** What a handler returns; `undefined` parts become the envelope's empty values. `null` instead of it means 204. */
export interface VaultAnswer {
  readonly data?: unknown;
  readonly auth?: AuthBlock;
  readonly lease?: {
    readonly lease_id: string;
    readonly renewable: boolean;
    readonly lease_duration: number;
  };
  readonly warnings?: readonly string[];
  readonly wrap_info?: unknown;
  /** Other than 200: a deleted secret answers 404 with its body. */
  readonly status?: number;
  /** The body is this value without the envelope (sys/health, sys/seal-status). */
  readonly bare?: unknown;
}

export function envelope(answer: VaultAnswer): Record<string, unknown> {
  const warnings = answer.warnings ?? [];
  return {
    request_id: randomUUID(),
    lease_id: answer.lease?.lease_id ?? '',
    renewable: answer.lease?.renewable ?? false,
    lease_duration: answer.lease?.lease_duration ?? 0,
    data: answer.data ?? null,
    wrap_info: answer.wrap_info ?? null,
    warnings: warnings.length === 0 ? null : warnings,
    auth: answer.auth ?? null,
  };
}

const HEADERS = { 'Cache-Control': 'no-store', 'Content-Type': 'application/json' } as const;

export function vaultReply(answer: VaultAnswer | null): TwinReply {
  if (answer === null) return { status: 204, headers: HEADERS, body: '' };
  const body = answer.bare ?? envelope(answer);
  return { status: answer.status ?? 200, headers: HEADERS, body: `${JSON.stringify(body)}\n` };
}

export function errorReply(error: VaultError): TwinReply {
  return { status: error.status, headers: HEADERS, body: `${JSON.stringify({ errors: error.errors })}\n` };
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Random base-62 text, the alphabet of Vault's tokens, accessors and lease ids. */
export function randomBase62(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += BASE62[byte % 62];
    }
  }
  return text;
}
