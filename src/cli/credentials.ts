import { configPath, loadConfig, type LoadedConfig } from '../config.ts';
import type { CredentialSource } from '../contract/credentials.ts';
import { SealedEntryName } from '../contract/credentials.ts';
import type { Settings } from '../contract/settings.ts';
import { CredentialError } from '../gateway/credentials/credential-error.ts';
import { SealedFile, type SealedEntry } from '../gateway/credentials/sealed-file.ts';
import { CREDENTIAL_CHARS_MIN } from '../gateway/sanitize/exact-scrub.ts';
import { withContext, type CliContext } from './context.ts';
import { localUser } from './freeze.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print, table } from './output.ts';
import { readSecretInput } from './secret-input.ts';

/**
 * `aegis credentials seal|list|remove`: standing credentials for an installation without Vault. A value goes in and
 * never comes out again; which names were sealed or removed, and by whom, stands in the SYSTEM chain.
 */
export interface CredentialsOptions {
  readonly username?: string;
  readonly accessKeyId?: string;
}

export async function credentials(
  options: GlobalOptions,
  action: string,
  name: string | undefined,
  o: CredentialsOptions,
): Promise<void> {
  if (action === 'list') return list(options);
  if (action === 'seal') return seal(options, nameOf(name), o);
  if (action === 'remove') return remove(options, nameOf(name));
  throw new CliError(`"${action}" is not a credentials action; use seal, list or remove`, EXIT.usage);
}

async function seal(options: GlobalOptions, name: string, o: CredentialsOptions): Promise<void> {
  const { username, accessKeyId } = o;
  if (username !== undefined && accessKeyId !== undefined)
    throw new CliError(
      'give --username for a password, or --access-key-id for an AWS key, not both',
      EXIT.usage,
    );
  await withSealedFile(options, async (file, { store }) => {
    // A wrong key is said before anybody types a secret.
    await file.check();
    const value = await readSecretInput(`Value of "${name}" (it is not shown): `);
    if (value.length < CREDENTIAL_CHARS_MIN)
      throw new CliError(
        `a credential of fewer than ${CREDENTIAL_CHARS_MIN} characters could not be kept out of results; use a longer one`,
      );
    const entry = entryOf(value, o);
    const done = await file.seal(name, entry);
    const facts = { type: 'credential_sealed', name, kind: entry.kind, by: localUser() };
    await store.ledger.append('SYSTEM', [{ kind: 'event', actor: localUser(), payload: facts }]);
    print(
      options,
      { [done]: name, kind: entry.kind },
      `"${name}" is ${done}. Use it: credentials: { engine: sealed_file, read: ${name} }\nNobody can revoke it from here; cards say so.`,
    );
  });
}

async function list(options: GlobalOptions): Promise<void> {
  const config = loadConfig(configPath(options.config));
  await inWords(async () => {
    const users = usersOf(config.settings);
    const entries = (await sealedFileOf(config).list()).map((entry) => ({
      ...entry,
      used_by: users.get(entry.name) ?? [],
    }));
    const rows = entries.map(({ name, kind, used_by }) => [name, kind, used_by.join(', ') || 'nothing']);
    print(
      options,
      { credentials: entries },
      rows.length === 0 ? 'No credential is sealed.' : table([['NAME', 'KIND', 'USED BY'], ...rows]),
    );
  });
}

async function remove(options: GlobalOptions, name: string): Promise<void> {
  await withSealedFile(options, async (file, { store, config }) => {
    if (!(await file.remove(name)))
      throw new CliError(`there is no sealed credential "${name}"; "aegis credentials list" shows them`);
    const facts = { type: 'credential_removed', name, by: localUser() };
    await store.ledger.append('SYSTEM', [{ kind: 'event', actor: localUser(), payload: facts }]);
    const used_by = usersOf(config.settings).get(name) ?? [];
    const note =
      used_by.length === 0 ? '' : ` ${used_by.join(', ')} cannot be reached until it is sealed again.`;
    print(
      options,
      { removed: name, used_by },
      `"${name}" is removed.${note}\nIt still works at its system: revoke it there.`,
    );
  });
}

/** Opens store and file for a change, which the ledger will tell of. */
async function withSealedFile(
  options: GlobalOptions,
  work: (file: SealedFile, context: CliContext) => Promise<void>,
): Promise<void> {
  await withContext(options, 'write', (context) =>
    inWords(() => work(sealedFileOf(context.config), context)),
  );
}

function sealedFileOf({ settings, secrets }: LoadedConfig): SealedFile {
  const { sealed_file } = settings;
  if (sealed_file !== undefined) return new SealedFile(sealed_file.file, () => secrets(sealed_file.key));
  throw new CliError(
    'aegis.yaml has no "sealed_file" section; add: sealed_file: { file: ./credentials.sealed, key: { env: AEGIS_SEAL_KEY } }',
  );
}

/** What is wrong with the file or its key, as the sentence that the person reads. */
async function inWords(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof CredentialError) throw new CliError(`${error.message}. ${error.remedy}`);
    throw error;
  }
}

function nameOf(name: string | undefined): string {
  if (name === undefined) throw new CliError('name the credential, for example prod-1-read', EXIT.usage);
  if (!SealedEntryName.safeParse(name).success)
    throw new CliError(
      `"${name.slice(0, 100)}" is not a name; use lower-case letters, digits and . _ - (100 at most)`,
      EXIT.usage,
    );
  return name;
}

function entryOf(value: string, { username, accessKeyId }: CredentialsOptions): SealedEntry {
  if (username !== undefined) return { kind: 'password', username, password: value };
  if (accessKeyId !== undefined) return { kind: 'aws', access_key_id: accessKeyId, secret_access_key: value };
  return { kind: 'bearer', token: value };
}

/** Which systems name an entry. */
function usersOf(settings: Settings): ReadonlyMap<string, string[]> {
  const users = new Map<string, string[]>();
  const note = (system: string, source: CredentialSource): void => {
    if (source.engine !== 'sealed_file') return;
    for (const name of new Set([source.read, source.write ?? source.read]))
      users.set(name, [...(users.get(name) ?? []), system]);
  };
  for (const section of ['clusters', 'databases', 'repositories', 'terraform', 'aws', 'upstreams'] as const)
    for (const [name, { credentials: source }] of Object.entries(settings[section]))
      note(`${section}.${name}`, source);
  for (const kind of ['loki', 'prometheus'] as const)
    for (const [name, { credentials: source }] of Object.entries(settings.sources[kind]))
      note(`sources.${kind}.${name}`, source);
  return users;
}
