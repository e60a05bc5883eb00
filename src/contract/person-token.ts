import { createPrivateKey, createPublicKey, hkdfSync, sign, verify } from 'node:crypto';
import { z } from 'zod';
import { ApprovalId } from './approval.ts';
import { canonicalJson, hashOf } from './canonical.ts';
import { IncidentId, IsoTime, PrincipalId, Sha256 } from './incident.ts';

/**
 * A person's own token is a secret of 32 random bytes, and the seed of a signing key. Aegis keeps the hash of the secret
 * and the public half of the key: it can tell that a decision was made with the token, and neither Aegis nor whoever
 * reads its database can make one. A decision names exactly what it is about, so it cannot be moved to something else.
 */
const PERSON_TOKEN = /^apt_[\w-]{43}$/;
/** Marks the token in what is refused elsewhere: it opens no door of the gateway. */
export const PERSON_TOKEN_PREFIX = 'apt_';

export const PersonGrant = z.strictObject({
  token_id: z.string().min(1).max(100),
  principal: PrincipalId,
  /** DER of the Ed25519 public key, base64url. */
  public_key: z.string().max(200),
  minted_at_ms: z.int(),
  expires_at_ms: z.int(),
});
export type PersonGrant = z.infer<typeof PersonGrant>;

export const DENY_REASON = { chars_min: 10, chars_max: 500 } as const;
export const DenyBecause = z.enum(['wrong_cause', 'too_risky', 'wrong_time', 'other']);
export type DenyBecause = z.infer<typeof DenyBecause>;

export const DecisionStatement = z
  .strictObject({
    v: z.literal(1),
    token_id: z.string().min(1).max(100),
    via: z.enum(['cli', 'link']),
    decision: z.enum(['approve', 'deny', 'withdraw']),
    incident_id: IncidentId,
    approval_id: ApprovalId,
    revision: z.int(),
    plan_hash: Sha256,
    effect_hash: Sha256,
    reason: z.string().max(DENY_REASON.chars_max),
    because: DenyBecause.nullable(),
    at: IsoTime,
    /** Two decisions of one millisecond stay two. */
    nonce: z.string().min(16).max(64),
  })
  .refine((s) => s.decision !== 'deny' || (s.because !== null && s.reason.length >= DENY_REASON.chars_min), {
    message: `a denial says why, in ${DENY_REASON.chars_min} characters or more`,
  });
export type DecisionStatement = z.infer<typeof DecisionStatement>;

export const SignedDecision = z.strictObject({
  statement: DecisionStatement,
  /** Ed25519 over the canonical text of the statement, base64url. */
  signature: z.string().max(200),
});
export type SignedDecision = z.infer<typeof SignedDecision>;

export function isPersonToken(text: string): boolean {
  return PERSON_TOKEN.test(text);
}

/** What Aegis keeps of the key. */
export function publicKeyOf(token: string): string {
  return createPublicKey(privateKeyOf(token)).export({ type: 'spki', format: 'der' }).toString('base64url');
}

export function signDecision(token: string, statement: DecisionStatement): SignedDecision {
  const bytes = sign(null, Buffer.from(textOf(statement), 'utf8'), privateKeyOf(token));
  return { statement, signature: bytes.toString('base64url') };
}

/** False also for a signature that is none, or is spelled in another way. */
export function provesDecision({ statement, signature }: SignedDecision, public_key: string): boolean {
  const bytes = Buffer.from(signature, 'base64url');
  if (bytes.toString('base64url') !== signature) return false;
  const key = createPublicKey({ key: Buffer.from(public_key, 'base64url'), type: 'spki', format: 'der' });
  return verify(null, Buffer.from(textOf(statement), 'utf8'), key, bytes);
}

/** The name of a decision: what was received twice has it twice. */
export function statementHash(statement: DecisionStatement): string {
  return hashOf(statement);
}

function textOf(statement: DecisionStatement): string {
  return `aegis decision v1\n${canonicalJson(statement)}`;
}

/** PKCS #8 around a 32-byte Ed25519 seed (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const SEED_BYTES = 32;

function privateKeyOf(token: string): ReturnType<typeof createPrivateKey> {
  const seed = hkdfSync('sha256', token, Buffer.alloc(0), 'aegis/v1/person-token', SEED_BYTES);
  const key = Buffer.concat([PKCS8_HEAD, Buffer.from(seed)]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}
