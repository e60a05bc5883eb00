import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { credentials } from '../../src/cli/credentials.ts';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { openStore } from '../../src/store/open-store.ts';
import { systemClock } from '../../src/system-ports.ts';
import { aegis, inProcess, json, type Ran } from './run-aegis.ts';

// `aegis credentials`: the value comes on standard input and goes nowhere but into the sealed file.

const KEY = 'a-key-of-more-than-sixteen-characters';
const VALUE = 'the-token-of-cluster-prod-1';
let dir = '';
let config = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-credentials-cli-'));
  config = join(dir, 'aegis.yaml');
  writeFileSync(join(dir, 'seal.key'), KEY, { mode: 0o600 });
  writeFileSync(
    config,
    `${EXAMPLE_CONFIG.replace(/credentials:\n(?: {6}.*\n)+/, 'credentials: { engine: sealed_file, read: prod-1 }\n')}
sealed_file: { key: { file: ./seal.key } }\n`,
  );
});
afterAll(() => rmSync(dir, { recursive: true }));

const seal = (args: readonly string[], input: string): Promise<Ran> =>
  aegis(['--config', config, 'credentials', 'seal', ...args], { input });

const run = (action: string, name?: string) =>
  inProcess(() => credentials({ config, json: true }, action, name, {}));

describe('aegis credentials', () => {
  it('has nothing to list before anything is sealed, and says what to do', async () => {
    const ran = await run('list');
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('aegis credentials seal')]);
  });

  it('seals what standard input gives; value and key stand in no output, no file, no ledger entry', async () => {
    const ran = await seal(['prod-1'], `${VALUE}\n`);
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining('"prod-1" is added') });
    const texts = [ran.out, ran.err, readFileSync(join(dir, 'credentials.sealed'), 'utf8')];
    const store = await openStore({ home: join(dir, '.aegis'), clock: systemClock });
    const entries = await store.ledger.read('SYSTEM', { kinds: ['event'] });
    await store.close();
    const sealed = entries.map((e) => e.payload).filter((p) => p['type'] === 'credential_sealed');
    expect(sealed).toMatchObject([{ name: 'prod-1', kind: 'bearer' }]);
    for (const text of [...texts, JSON.stringify(entries)]) {
      expect(text).not.toContain(VALUE);
      expect(text).not.toContain(KEY);
    }
    const list = json(await run('list'));
    expect(list['credentials']).toEqual([{ name: 'prod-1', kind: 'bearer', used_by: ['clusters.prod-1'] }]);
  });

  it('refuses an empty and a short value, two kinds at once, a bad name: nothing is sealed', async () => {
    const [empty, short, both] = await Promise.all([
      seal(['prod-2'], ''),
      seal(['prod-2'], 'short'),
      seal(['prod-2', '--username', 'u', '--access-key-id', 'a'], VALUE),
    ]);
    expect([empty.code, short.code, both.code]).toEqual([2, 1, 2]);
    expect(short.err).not.toContain('"short"');
    const bad = await run('seal', 'Not A Name');
    expect([bad.code, bad.err]).toEqual([2, expect.stringContaining('is not a name')]);
    expect((await run('seal')).code).toBe(2);
    expect((await run('show', 'prod-1')).code).toBe(2);
    expect(json(await run('list'))['credentials']).toHaveLength(1);
  });

  it('says that the key is wrong before it takes a value', async () => {
    writeFileSync(join(dir, 'seal.key'), 'another-key-of-enough-characters');
    try {
      const ran = await seal(['prod-2'], VALUE);
      expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('the key does not open')]);
    } finally {
      writeFileSync(join(dir, 'seal.key'), KEY);
    }
  });

  it('removes, names who is cut off and what is still to do', async () => {
    const ran = await inProcess(() => credentials({ config }, 'remove', 'prod-1', {}));
    expect([ran.code, ran.out]).toEqual([
      0,
      expect.stringMatching(/clusters\.prod-1 cannot be reached.*revoke it there/s),
    ]);
    const again = await run('remove', 'prod-1');
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('there is no sealed credential')]);
  });

  it('needs its section', async () => {
    const other = join(dir, 'other.yaml');
    writeFileSync(other, EXAMPLE_CONFIG);
    const ran = await inProcess(() => credentials({ config: other }, 'list', undefined, {}));
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining('"sealed_file" section')]);
  });
});
