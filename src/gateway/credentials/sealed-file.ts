import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  randomBytes,
  scrypt,
  timingSafeEqual,
} from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { SealedEntryName } from '../../contract/credentials.ts';
import { parseJsonText } from '../../contract/parse.ts';
import { Secret } from '../../contract/secret.ts';
import { isMissing, syncFolder, writeDurably } from '../../store/home.ts';
import { CredentialError } from './credential-error.ts';
import type { Credential } from './credential.ts';

/**
 * Standing credentials of an installation without Vault: one file of named entries, sealed as a whole with AES-256-GCM,
 * so that neither a name nor a value can be read, changed, swapped or brought back one by one. The key comes from
 * elsewhere; a copy of the file alone is worth nothing.
 */
const KEY_CHARS_MIN = 16;
const FILE_BYTES_MAX = 1024 * 1024;
const ENTRIES_MAX = 500;
/** Cost of one guess at the key: about a tenth of a second and 32 MiB. */
const SCRYPT = { N: 32_768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const LIMITS = { bytes_max: FILE_BYTES_MAX, depth_max: 6, keys_max: 10_000 };

const Base64 = z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/);
const Header = z.strictObject({
  v: z.literal(1),
  cipher: z.literal('aes-256-gcm'),
  kdf: z.literal('scrypt-32768-8-1'),
  salt: Base64,
  /** Tells a wrong key from a file that was changed. */
  key_check: Base64,
});
const Sealed = z.strictObject({ header: Header, nonce: Base64, tag: Base64, sealed: Base64 });

const Text = z.string().min(1).max(65_536);
const Entry = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('bearer'), token: Text }),
  z.strictObject({ kind: z.literal('password'), username: Text, password: Text }),
  z.strictObject({ kind: z.literal('aws'), access_key_id: Text, secret_access_key: Text }),
]);
export type SealedEntry = z.infer<typeof Entry>;
const Entries = z.record(SealedEntryName, Entry);
type Entries = z.infer<typeof Entries>;

interface Keys {
  readonly salt: Buffer;
  readonly seal: Buffer;
  readonly check: Buffer;
}

/** Keeps the derived key between reads; the entries are opened anew each time, so a change of the file is seen. */
export class SealedFile {
  readonly #path: string;
  readonly #key: () => Secret;
  #keys: Promise<Keys> | null = null;

  constructor(path: string, key: () => Secret) {
    this.#path = path;
    this.#key = key;
  }

  /** @throws CredentialError for a wrong key, a changed file, a missing entry, a file that others can read. */
  async read(name: string): Promise<Credential> {
    const entries = await this.#entries();
    const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
    if (entry === undefined)
      throw new CredentialError(
        `${this.#path} has no entry "${name}"`,
        `Seal it: aegis credentials seal ${name}`,
      );
    return credentialOf(entry);
  }

  /** Names with their kinds, sorted. @throws CredentialError */
  async list(): Promise<{ name: string; kind: SealedEntry['kind'] }[]> {
    const entries = await this.#entries();
    return Object.entries(entries)
      .map(([name, { kind }]) => ({ name, kind }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Adds or replaces an entry; makes the file when there is none. @throws CredentialError */
  async seal(name: string, entry: SealedEntry): Promise<'added' | 'replaced'> {
    return this.#change((entries) => {
      const known = Object.hasOwn(entries, name);
      if (!known && Object.keys(entries).length >= ENTRIES_MAX)
        throw new CredentialError(`the file holds ${ENTRIES_MAX} entries already`, 'Remove one first.');
      entries[name] = entry;
      return known ? 'replaced' : 'added';
    });
  }

  /** False when there was no such entry. @throws CredentialError */
  async remove(name: string): Promise<boolean> {
    return this.#change((entries) => {
      const known = Object.hasOwn(entries, name);
      delete entries[name];
      return known;
    });
  }

  /** Whether the key opens the file; a file that is not there yet is fine. @throws CredentialError */
  async check(): Promise<void> {
    const file = readSealed(this.#path);
    if (file === null) await this.#keysFor(randomBytes(SALT_BYTES));
    else await this.#open(file);
  }

  async #entries(): Promise<Entries> {
    const file = readSealed(this.#path);
    if (file === null)
      throw new CredentialError(
        `there is no file ${this.#path}`,
        'Seal the first entry: aegis credentials seal <name>',
      );
    return this.#open(file);
  }

  /** One change at a time: the new file is also the lock, and replaces the old one whole or not at all. */
  async #change<T>(change: (entries: Entries) => T): Promise<T> {
    const draft = `${this.#path}.new`;
    reserve(draft);
    try {
      const file = readSealed(this.#path);
      const entries = file === null ? {} : await this.#open(file);
      const result = change(entries);
      const salt = file === null ? randomBytes(SALT_BYTES) : Buffer.from(file.header.salt, 'base64');
      const sealed = sealWith(await this.#keysFor(salt), entries);
      writeDurably(draft, Buffer.from(`${JSON.stringify(sealed, null, 2)}\n`));
      renameSync(draft, this.#path);
      syncFolder(dirname(this.#path));
      return result;
    } catch (error) {
      rmSync(draft, { force: true });
      throw error;
    }
  }

  async #open(file: z.infer<typeof Sealed>): Promise<Entries> {
    const keys = await this.#keysFor(Buffer.from(file.header.salt, 'base64'));
    const check = Buffer.from(file.header.key_check, 'base64');
    if (check.length !== keys.check.length || !timingSafeEqual(check, keys.check))
      throw new CredentialError(
        `the key does not open ${this.#path}`,
        'Give the key that it was sealed with, where sealed_file.key in aegis.yaml points.',
      );
    const plain = unsealWith(keys, file);
    const parsed = plain === null ? null : parseJsonText(plain, LIMITS);
    const entries = parsed?.ok === true ? Entries.safeParse(parsed.value) : null;
    if (entries?.success !== true)
      throw new CredentialError(
        `${this.#path} was changed after it was sealed`,
        'Restore it from a backup, or remove it and seal the entries again; find out who changed it.',
      );
    return entries.data;
  }

  async #keysFor(salt: Buffer): Promise<Keys> {
    const known = await this.#keys?.catch(() => null);
    if (known !== undefined && known !== null && known.salt.equals(salt)) return known;
    this.#keys = deriveKeys(this.#key(), salt);
    return this.#keys;
  }
}

/** @throws CredentialError when the draft is there already or its folder is not. */
function reserve(draft: string): void {
  try {
    closeSync(openSync(draft, 'wx', 0o600));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CredentialError(
      `${draft} cannot be made (${code})`,
      code === 'EEXIST'
        ? 'If no other "aegis credentials" is running, remove that file and try again.'
        : 'Check that its folder exists and belongs to the account of Aegis.',
    );
  }
}

function deriveKeys(key: Secret, salt: Buffer): Promise<Keys> {
  const text = key.reveal();
  if (text.length < KEY_CHARS_MIN)
    throw new CredentialError(
      `the key of the sealed file is shorter than ${KEY_CHARS_MIN} characters`,
      'Make one: openssl rand -base64 32',
    );
  return new Promise((resolve, reject) => {
    scrypt(text, salt, 64, SCRYPT, (error, bytes) => {
      if (error !== null) return reject(error);
      const check = createHmac('sha256', bytes.subarray(32)).update('aegis sealed file').digest();
      resolve({ salt, seal: bytes.subarray(0, 32), check });
    });
  });
}

function sealWith(keys: Keys, entries: Entries): z.infer<typeof Sealed> {
  const header = {
    v: 1,
    cipher: 'aes-256-gcm',
    kdf: 'scrypt-32768-8-1',
    salt: keys.salt.toString('base64'),
    key_check: keys.check.toString('base64'),
  } as const;
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keys.seal, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(JSON.stringify(header)));
  const sealed = Buffer.concat([cipher.update(JSON.stringify(entries), 'utf8'), cipher.final()]);
  return {
    header,
    nonce: nonce.toString('base64'),
    tag: cipher.getAuthTag().toString('base64'),
    sealed: sealed.toString('base64'),
  };
}

/** Null: not what was sealed. */
function unsealWith(keys: Keys, { header, nonce, tag, sealed }: z.infer<typeof Sealed>): string | null {
  try {
    const options = { authTagLength: TAG_BYTES };
    const decipher = createDecipheriv('aes-256-gcm', keys.seal, Buffer.from(nonce, 'base64'), options);
    decipher.setAAD(Buffer.from(JSON.stringify(header)));
    decipher.setAuthTag(Buffer.from(tag, 'base64'));
    return Buffer.concat([decipher.update(Buffer.from(sealed, 'base64')), decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}

/** Null: there is no such file. @throws CredentialError */
function readSealed(path: string): z.infer<typeof Sealed> | null {
  let text: string;
  try {
    text = readPrivate(path);
  } catch (error) {
    if (error instanceof CredentialError) throw error;
    if (isMissing(error)) return null;
    throw new CredentialError(
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`,
      'Make it readable for the account of Aegis alone.',
    );
  }
  const parsed = parseJsonText(text, LIMITS);
  const file = parsed.ok ? Sealed.safeParse(parsed.value) : null;
  if (file?.success === true) return file.data;
  throw new CredentialError(
    `${path} is not a sealed file of Aegis, or it was cut short`,
    'Restore it from a backup, or remove it and seal the entries again.',
  );
}

/** Mode and content of one and the same open file. */
function readPrivate(path: string): string {
  const file = openSync(path, 'r');
  try {
    const { mode, size } = fstatSync(file);
    if ((mode & 0o077) !== 0)
      throw new CredentialError(
        `others on this machine may open ${path} (mode ${(mode & 0o777).toString(8).padStart(4, '0')})`,
        `Close it: chmod 600 ${path}`,
      );
    if (size > FILE_BYTES_MAX)
      throw new CredentialError(
        `${path} is larger than ${FILE_BYTES_MAX} bytes`,
        'Restore it from a backup.',
      );
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

function credentialOf(entry: SealedEntry): Credential {
  switch (entry.kind) {
    case 'bearer':
      return { kind: 'bearer', token: new Secret(entry.token) };
    case 'password':
      return { kind: 'password', username: entry.username, password: new Secret(entry.password) };
    case 'aws': {
      const { access_key_id, secret_access_key } = entry;
      return {
        kind: 'aws',
        access_key_id,
        secret_access_key: new Secret(secret_access_key),
        session_token: null,
      };
    }
  }
}
