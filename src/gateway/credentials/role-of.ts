import { CredentialError } from './credential-error.ts';

/** The role of a kind of access. @throws CredentialError when the source has none that may write. */
export function roleOf(
  source: { readonly engine: string; readonly read_role: string; readonly write_role?: string | undefined },
  access: 'read' | 'write',
): string {
  return access === 'read' ? source.read_role : (source.write_role ?? noWriter(source.engine));
}

/** @throws CredentialError always */
export function noWriter(engine: string): never {
  throw new CredentialError(
    `the source (${engine}) has no account that may write`,
    'Add one under credentials in aegis.yaml (write_role or write), or make the change by hand.',
  );
}
