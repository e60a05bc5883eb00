import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync, linkSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { sha256Hex } from '../contract/canonical.ts';
import { tenantKey } from '../contract/scope.ts';
import { refuseOpenModes, syncFolder, writeDurably } from './home.ts';
import type { Home } from './home.ts';

/** Keys of one installation. Secret bytes never leave this object except as derived keys for sealing. */
export interface Keys {
  /** 32 bytes for AES-256-GCM of the tenant's blobs. */
  blobKey(tenant: { team: string; env: string }): Buffer;
  /** Lowercase hex HMAC-SHA256 under the tenant's own key. */
  hmac(tenant: { team: string; env: string }, raw: Uint8Array): string;
  /** Lowercase hex HMAC-SHA256 of a row of the database, under a key that is not in it: only a store writes such rows. */
  rowMac(table: 'inbox' | 'person_token', text: string): string;
  /** Ed25519 over UTF-8, base64url. */
  sign(text: string): string;
  readonly public_key: PublicKey;
}

/** What others need to check our signatures; nothing of it is secret. */
export interface PublicKey {
  /** First 16 hex digits of SHA-256 over the DER: tells which key signed. */
  readonly key_id: string;
  /** DER of SubjectPublicKeyInfo. */
  readonly der_base64: string;
  readonly pem: string;
  /** Ed25519 over UTF-8; false also for a signature that is no signature at all, or is spelled in another way. */
  verify(text: string, signature: string): boolean;
}

const MASTER_BYTES = 32;

/**
 * Loads the keys of AEGIS_HOME; at the first start makes them, and never later: new
 * keys beside old data would call every sealed file a forgery. Tenant keys are derived (HKDF-SHA256) from the master
 * key by purpose and tenant, so that no tenant's key opens another tenant's evidence.
 *
 * @throws Error when a key file is missing beside existing data, has open modes or the wrong length.
 */
export function loadKeys(home: Home): Keys {
  const master = keyFile(join(home.keys, 'master.key'), home.first_start, () => randomBytes(MASTER_BYTES));
  if (master.length !== MASTER_BYTES)
    throw new Error(
      `${join(home.keys, 'master.key')} must hold ${MASTER_BYTES} bytes and holds ${master.length}; restore it from the backup`,
    );
  const pem = keyFile(join(home.keys, 'checkpoint.pem'), home.first_start, () =>
    Buffer.from(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
  );
  const private_key = createPrivateKey(pem);
  const public_key = publicKeyOf(createPublicKey(private_key));
  const derived = new Map<string, Buffer>();
  const derive = (purpose: string, tenant: { team: string; env: string }): Buffer =>
    deriveFor(`${purpose}/${tenantKey(tenant)}`);
  function deriveFor(what: string): Buffer {
    const info = `aegis/v1/${what}`;
    const known = derived.get(info);
    if (known !== undefined) return known;
    const key = Buffer.from(hkdfSync('sha256', master, Buffer.alloc(0), info, 32));
    derived.set(info, key);
    return key;
  }
  return {
    blobKey: (tenant) => derive('blob', tenant),
    hmac: (tenant, raw) => createHmac('sha256', derive('raw-hmac', tenant)).update(raw).digest('hex'),
    rowMac: (table, text) =>
      createHmac('sha256', deriveFor(`row-mac/${table}`))
        .update(text)
        .digest('hex'),
    sign: (text) => sign(null, Buffer.from(text, 'utf8'), private_key).toString('base64url'),
    public_key,
  };
}

/**
 * Reads a public key: a PEM text, or the base64 of its DER.
 *
 * @throws Error when it is none, or not one for Ed25519.
 */
export function readPublicKey(text: string): PublicKey {
  const key = text.includes('-----')
    ? createPublicKey(text)
    : createPublicKey({ key: Buffer.from(text, 'base64'), type: 'spki', format: 'der' });
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`a key for ${key.asymmetricKeyType ?? 'nothing'}`);
  return publicKeyOf(key);
}

function publicKeyOf(key: KeyObject): PublicKey {
  const der = key.export({ type: 'spki', format: 'der' });
  return {
    key_id: sha256Hex(der).slice(0, 16),
    der_base64: der.toString('base64'),
    pem: key.export({ type: 'spki', format: 'pem' }).toString(),
    verify(text, signature) {
      const bytes = Buffer.from(signature, 'base64url');
      return bytes.toString('base64url') === signature && verify(null, Buffer.from(text, 'utf8'), key, bytes);
    },
  };
}

/** Reads a key file or makes it. `link` decides a race of two first starts: one of them wins, both read the winner's. */
function keyFile(path: string, may_make: boolean, make: () => Buffer): Buffer {
  if (!existsSync(path)) {
    if (!may_make)
      throw new Error(`${path} is missing and the data in AEGIS_HOME needs it; restore it from the backup`);
    const draft = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
    writeDurably(draft, make());
    try {
      linkSync(draft, path);
    } catch (error) {
      if (!existsSync(path)) throw error;
    } finally {
      rmSync(draft);
    }
    syncFolder(join(path, '..'));
  }
  refuseOpenModes(path);
  return readFileSync(path);
}
