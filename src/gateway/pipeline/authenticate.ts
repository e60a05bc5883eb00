import type { Clock } from '../../contract/ports.ts';
import { PERSON_TOKEN_PREFIX } from '../../contract/person-token.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { TokenGrant, TokenStore } from '../../store/authority.ts';

/** Step 1: who is calling. The store knows only the hash of a token. */
export async function authenticate(
  tokens: TokenStore,
  clock: Clock,
  token: string,
): Promise<TokenGrant | Refusal> {
  if (token.startsWith(PERSON_TOKEN_PREFIX))
    return refuse(
      'person-token',
      'This is a person’s own token: it decides on approvals, and opens nothing at the gateway.',
      'Mint a token that reads: aegis token mint --principal <name> --scope <team/env>.',
    );
  const grant = token === '' ? null : await tokens.find(token);
  if (grant === null)
    return refuse(
      'token-unknown',
      'The gateway token is not known, or it was revoked.',
      'Use a token minted for this incident.',
    );
  if (grant.expires_at_ms <= clock.now())
    return refuse(
      'token-expired',
      'The gateway token has expired.',
      'Mint a new one; tokens live for minutes.',
    );
  return grant;
}
