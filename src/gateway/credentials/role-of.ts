import { CredentialError } from './credential-error.ts';

/** The role of a kind of access. @throws CredentialError when the source has none that may write. */
export function roleOf(
  source: { readonly engine: string; readonly read_role: string; readonly write_role?: string | undefined },
  access: 'read' | 'write',
): string {
  return access === 'read' ? source.read_role : (source.write_role ?? noWriter(source.engine));
}

/** The role for changes of nodes. @throws CredentialError when the source names none. */
export function nodeRole(role: string | undefined): string {
  if (role !== undefined) return role;
  throw new CredentialError(
    'the source has no role that may change nodes',
    'Add node_role (Vault: of type ClusterRole) or node_account to its credentials in aegis.yaml.',
  );
}

/** @throws CredentialError always */
export function noWriter(engine: string): never {
  throw new CredentialError(
    `the source (${engine}) has no account that may write`,
    'Add one under credentials in aegis.yaml (write_role or write), or make the change by hand.',
  );
}
