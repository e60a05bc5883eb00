import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/contract/secret.ts';
import { SealedFile } from '../../src/gateway/credentials/sealed-file.ts';
import { granted, openBench, refused } from './broker-bench.ts';

const KEY = 'a-key-of-more-than-sixteen-characters';
const TOKEN = 'token-of-the-cluster-prod-1';
let dir = '';
let path = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-sealed-'));
  path = join(dir, 'credentials.sealed');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (key = KEY): SealedFile => new SealedFile(path, () => new Secret(key));
const bearer = (token = TOKEN) => ({ kind: 'bearer', token }) as const;

describe('the sealed file refuses', () => {
  it('a wrong key, and says that it is the key', async () => {
    await open().seal('prod-1', bearer());
    const wrong = open('another-key-of-enough-characters');
    await expect(wrong.read('prod-1')).rejects.toThrow(/the key does not open/);
    await expect(wrong.seal('prod-2', bearer())).rejects.toThrow(/the key does not open/);
    await expect(wrong.remove('prod-1')).rejects.toThrow(/the key does not open/);
    expect(await open().list()).toHaveLength(1);
  });

  it('a short key', async () => {
    await expect(open('short').seal('prod-1', bearer())).rejects.toThrow(/shorter than 16/);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  it('a file of which any byte of salt, nonce, tag or content was changed, and never answers with what is in it', async () => {
    await open().seal('prod-1', bearer());
    const good = readFileSync(path, 'utf8');
    const file = JSON.parse(good) as { header: Record<string, string>; [k: string]: unknown };
    const flip = (text: string) => (text.startsWith('A') ? `B${text.slice(1)}` : `A${text.slice(1)}`);
    const broken = [
      ...['nonce', 'tag', 'sealed'].map((key) => ({ ...file, [key]: flip(file[key] as string) })),
      ...['salt', 'key_check'].map((key) => ({
        ...file,
        header: { ...file.header, [key]: flip(file.header[key] as string) },
      })),
      { ...file, header: { ...file.header, v: 2 } },
      { ...file, more: 1 },
    ];
    for (const one of broken) {
      writeFileSync(path, JSON.stringify(one), { mode: 0o600 });
      const error: unknown = await open()
        .read('prod-1')
        .catch((e: unknown) => e);
      expect(error).toBeInstanceOf(Error);
      expect((error as Error).message).toMatch(/was changed|does not open|is not a sealed file/);
    }
    writeFileSync(path, good.slice(0, -20), { mode: 0o600 });
    await expect(open().read('prod-1')).rejects.toThrow(/cut short/);
  });

  it('a file that others can open, with the command that closes it', async () => {
    await open().seal('prod-1', bearer());
    chmodSync(path, 0o640);
    await expect(open().read('prod-1')).rejects.toMatchObject({
      message: expect.stringContaining('mode 0640'),
      remedy: `Close it: chmod 600 ${path}`,
    });
  });

  it('an entry or a file that is not there, with the command that makes it', async () => {
    await expect(open().read('prod-1')).rejects.toMatchObject({
      remedy: expect.stringContaining('credentials seal'),
    });
    await open().seal('prod-1', bearer());
    for (const name of ['prod-2', '__proto__', 'constructor'])
      await expect(open().read(name)).rejects.toThrow(`no entry "${name}"`);
  });

  it('a second change while one is under way', async () => {
    await open().seal('prod-1', bearer());
    writeFileSync(`${path}.new`, '');
    await expect(open().seal('prod-2', bearer())).rejects.toMatchObject({
      remedy: expect.stringContaining('remove that file'),
    });
    expect(existsSync(`${path}.new`)).toBe(true);
  });
});

describe('the sealed file', () => {
  it('gives back what was sealed, shows neither name nor value, and is for its owner only', async () => {
    const file = open();
    expect(await file.seal('prod-1', bearer('first-token-that-is-replaced'))).toBe('added');
    expect(await file.seal('prod-1', bearer())).toBe('replaced');
    await file.seal('orders', { kind: 'password', username: 'orders', password: 'a-long-password' });
    await file.seal('iam', { kind: 'aws', access_key_id: 'AKIA1', secret_access_key: 'a-secret-access-key' });
    const text = readFileSync(path, 'utf8');
    for (const hidden of [TOKEN, 'prod-1', 'orders', 'a-long-password', 'AKIA1'])
      expect(text).not.toContain(hidden);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await open().list()).toEqual([
      { name: 'iam', kind: 'aws' },
      { name: 'orders', kind: 'password' },
      { name: 'prod-1', kind: 'bearer' },
    ]);
    expect(await open().read('orders')).toMatchObject({ kind: 'password', username: 'orders' });
    expect(await file.remove('iam')).toBe(true);
    expect(await file.remove('iam')).toBe(false);
    await expect(file.read('iam')).rejects.toThrow('no entry "iam"');
  });

  it('sees what another process has sealed meanwhile', async () => {
    const reader = open();
    await open().seal('prod-1', bearer('the-first-of-two-tokens'));
    await reader.read('prod-1');
    await open().seal('prod-1', bearer());
    const read = await reader.read('prod-1');
    expect(read.kind === 'bearer' && read.token.reveal()).toBe(TOKEN);
  });

  it('keeps any text as it is', async () => {
    const file = open();
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }), async (token) => {
        await file.seal('any', { kind: 'bearer', token });
        const read = await file.read('any');
        return read.kind === 'bearer' && read.token.reveal() === token;
      }),
      { numRuns: 30 },
    );
  });
});

describe('the engine sealed_file', () => {
  const SOURCE = { engine: 'sealed_file', read: 'prod-1' } as const;

  it('lends a standing credential that is not revocable, and none for writes that was not named', async () => {
    await open().seal('prod-1', bearer());
    const bench = await openBench({
      sealed_file: { file: path, key: { env: 'SEAL_KEY' } },
      secrets: { SEAL_KEY: KEY },
    });
    const lease = granted(await bench.lease(SOURCE, { access: 'read' }));
    expect(lease).toMatchObject({ engine: 'sealed_file', revocable: false, accessor: null });
    expect(await lease.release()).toBe(false);
    expect(refused(await bench.lease(SOURCE)).reason).toContain('no account that may write');
    expect(refused(await bench.lease({ ...SOURCE, write: 'nope' })).reason).toContain('no entry "nope"');
    await bench.close();
  });

  it('without its key: refused with the place of the key, never with a value', async () => {
    await open().seal('prod-1', bearer());
    const bench = await openBench({ sealed_file: { file: path, key: { env: 'SEAL_KEY' } } });
    const refusal = refused(await bench.lease(SOURCE, { access: 'read' }));
    expect(refusal.reason).toContain('environment variable SEAL_KEY');
    await bench.close();
  });
});
