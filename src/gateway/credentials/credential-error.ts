import { UpstreamError } from '../upstream-error.ts';
import { VaultError, vaultRemedy } from './vault-error.ts';

/**
 * Why there is no credential, from every side but Vault: the Kubernetes minter, the sealed file, a value that is too
 * short to be kept out of results. Like VaultError it holds no cause, no body and no header.
 */
export class CredentialError extends Error {
  readonly remedy: string;
  /** True: it is certain that nothing was made outside, so there is nothing to revoke. */
  readonly nothing_made: boolean;

  constructor(message: string, remedy: string, nothing_made = false) {
    super(message);
    this.name = 'CredentialError';
    this.remedy = remedy;
    this.nothing_made = nothing_made;
  }
}

/** What a person reads about a failed mint or revoke; null for a fault, which nobody expected. */
export function credentialProblem(error: unknown): { message: string; remedy: string } | null {
  if (error instanceof VaultError) return { message: error.message, remedy: vaultRemedy(error.problem) };
  if (error instanceof CredentialError) return { message: error.message, remedy: error.remedy };
  if (error instanceof UpstreamError)
    return { message: error.message, remedy: 'Check the address of the system and try again.' };
  return null;
}
