/**
 * Everything that Vault can do to us, as one class that holds no cause, no body and no header: an axios-style error
 * would carry the token into logs.
 */
export type VaultProblem =
  | 'sealed'
  | 'denied'
  | 'rejected'
  | 'missing'
  | 'standby'
  | 'throttled'
  | 'failed'
  | 'unreachable'
  | 'timeout'
  | 'aborted'
  | 'malformed';

export class VaultError extends Error {
  readonly problem: VaultProblem;
  /** Null when no answer came. */
  readonly status: number | null;
  /** False: Vault certainly did not act on the request. */
  readonly may_have_acted: boolean;

  constructor(problem: VaultProblem, operation: string, status: number | null, may_have_acted: boolean) {
    super(`Vault: ${operation}: ${SENTENCES[problem]}${status === null ? '' : ` (${status})`}`);
    this.name = 'VaultError';
    this.problem = problem;
    this.status = status;
    this.may_have_acted = may_have_acted;
  }
}

const SENTENCES: Readonly<Record<VaultProblem, string>> = {
  sealed: 'Vault is sealed',
  denied: 'permission denied',
  rejected: 'the request was refused',
  missing: 'there is nothing at this path, or it was deleted',
  standby: 'this node is a standby and does not forward',
  throttled: 'too many requests',
  failed: 'Vault has an internal error',
  unreachable: 'Vault cannot be reached',
  timeout: 'Vault did not answer in time',
  aborted: 'the call was aborted',
  malformed: 'the answer is not what Vault documents',
};

/** What a person does about it. */
export function vaultRemedy(problem: VaultProblem): string {
  if (problem === 'sealed') return 'Unseal Vault; Aegis goes on by itself.';
  if (problem === 'denied') return 'Check the policies of Aegis’ AppRole and token role in Vault.';
  if (problem === 'missing')
    return 'Write the secret, or correct the mount, the path or the role under "credentials" in aegis.yaml.';
  if (problem === 'standby') return 'Let vault.address point at the active node or at a load balancer.';
  if (problem === 'rejected' || problem === 'malformed')
    return 'Check the roles named under "credentials" in aegis.yaml; `aegis doctor` tries them.';
  if (problem === 'aborted') return 'Ask again.';
  return 'Check that Vault is up and that vault.address in aegis.yaml is right; Aegis tries again by itself.';
}
