import { z } from 'zod';
import { Secret } from '../../../contract/secret.ts';
import type { CredentialSource, KvEntry } from '../../../contract/credentials.ts';
import { CredentialError } from '../credential-error.ts';
import { noWriter } from '../role-of.ts';
import type { VaultMint } from '../vault-engine.ts';

type Source = Extract<CredentialSource, { engine: 'vault_kv' }>;

const Answer = z.object({ data: z.object({ data: z.record(z.string(), z.unknown()) }) });

/** The child token needs to live for one read only. */
const CHILD_TTL_S = 60;

/** A secret that somebody has put into KV version 2. There is no lease behind it: only the token that read it ends. */
export const vaultKv: VaultMint<Source> = {
  ttl_s: () => CHILD_TTL_S,
  request: (source, { access }) => ({
    method: 'read',
    path: [source.mount, 'data', ...entryOf(source, access).path.split('/')],
  }),
  parse(answer, source, { access }) {
    const parsed = Answer.safeParse(answer);
    if (!parsed.success) return null;
    const entry = entryOf(source, access);
    const text = (field: string): string => fieldOf(parsed.data.data.data, field, source.mount, entry.path);
    return 'token' in entry
      ? { kind: 'bearer', token: new Secret(text(entry.token)) }
      : { kind: 'password', username: text(entry.username), password: new Secret(text(entry.password)) };
  },
};

function entryOf(source: Source, access: 'read' | 'write'): KvEntry {
  return access === 'read' ? source.read : (source.write ?? noWriter(source.engine));
}

/** @throws CredentialError that names the place, never what is there. */
function fieldOf(
  data: Readonly<Record<string, unknown>>,
  field: string,
  mount: string,
  path: string,
): string {
  const value = Object.hasOwn(data, field) ? data[field] : undefined;
  if (typeof value === 'string' && value !== '') return value;
  throw new CredentialError(
    `Vault: ${mount}/${path} has no text in its field "${field}"`,
    'Write the field, or correct the name under credentials in aegis.yaml.',
  );
}
