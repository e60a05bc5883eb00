import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Plans and states hold passwords in clear text: they are kept only sealed (AES-256-GCM), each under its own name,
 * which is part of what the seal proves, and only so many of them.
 */
export interface SealedFiles {
  write(name: string, content: Uint8Array): Promise<void>;
  /** Null when it is missing or not what was sealed under this name. */
  read(name: string): Promise<Buffer | null>;
  remove(name: string): Promise<void>;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function sealedFiles(folder: string, key: Uint8Array, files_max: number): SealedFiles {
  const at = (name: string): string => join(folder, `${name}.sealed`);
  return {
    write: async (name, content) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      cipher.setAAD(Buffer.from(name, 'utf8'));
      const sealed = Buffer.concat([cipher.update(content), cipher.final()]);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const draft = `${at(name)}.${randomBytes(6).toString('hex')}.tmp`;
      await writeFile(draft, Buffer.concat([nonce, cipher.getAuthTag(), sealed]), {
        mode: 0o600,
        flush: true,
      });
      await rename(draft, at(name));
      await keepNewest(folder, files_max);
    },
    read: async (name) => {
      const file = await readFile(at(name)).catch(() => null);
      if (file === null || file.length < NONCE_BYTES + TAG_BYTES) return null;
      const decipher = createDecipheriv('aes-256-gcm', key, file.subarray(0, NONCE_BYTES));
      decipher.setAAD(Buffer.from(name, 'utf8'));
      decipher.setAuthTag(file.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      try {
        return Buffer.concat([decipher.update(file.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
      } catch {
        return null;
      }
    },
    remove: (name) => rm(at(name), { force: true }),
  };
}

async function keepNewest(folder: string, files_max: number): Promise<void> {
  const files: { path: string; at_ms: number }[] = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    files.push({ path, at_ms: (await stat(path).catch(() => null))?.mtimeMs ?? 0 });
  }
  files.sort((a, b) => b.at_ms - a.at_ms);
  for (const { path } of files.slice(files_max)) await rm(path, { force: true });
}
