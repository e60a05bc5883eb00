import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { freeze } from '../../src/cli/freeze.ts';
import { ledger } from '../../src/cli/ledger.ts';
import { aegis, inProcess, json } from './run-aegis.ts';

let dir = '';
let config = '';
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-export-cli-'));
  config = join(dir, 'aegis.yaml');
  writeFileSync(config, EXAMPLE_CONFIG);
  await inProcess(() => freeze({ config }, '*', 'first', {}));
  await inProcess(() => freeze({ config }, 'data', 'second', {}));
});
afterAll(() => rmSync(dir, { recursive: true }));

const run = (action: string, chain?: string, o: Parameters<typeof ledger>[3] = {}, as_json = false) =>
  inProcess(() => ledger({ config, json: as_json }, action, chain, o));
const at = (name: string) => join(dir, name);

describe('ledger export', () => {
  it('writes to standard output what another process checks without a home, a configuration or our keys', async () => {
    const { code, out } = await aegis(['-c', config, 'ledger', 'export']);
    expect([code, out.trimEnd().split('\n').length]).toEqual([0, 5]);
    writeFileSync(at('copy.jsonl'), out);
    const alone = mkdtempSync(join(tmpdir(), 'aegis-alone-'));
    const verified = await aegis(['ledger', 'verify', '--file', at('copy.jsonl')], { cwd: alone });
    rmSync(alone, { recursive: true });
    expect([verified.code, verified.out]).toEqual([
      0,
      expect.stringMatching(/^export verified: 2 entries in 1 chains, .*compare it with "aegis ledger key"/),
    ]);
  });

  it('writes a file for its owner alone, and never over another', async () => {
    expect((await run('export', 'SYSTEM', { out: at('system.jsonl') })).code).toBe(0);
    expect(statSync(at('system.jsonl')).mode & 0o777).toBe(0o600);
    const before = readFileSync(at('system.jsonl'));
    expect((await run('export', 'SYSTEM', { out: at('system.jsonl') })).code).toBe(2);
    expect(readFileSync(at('system.jsonl'))).toEqual(before);
  });

  it('checks with the key that was kept elsewhere, names the first bad entry and ends with 1', async () => {
    await run('export', undefined, { out: at('all.jsonl') });
    writeFileSync(at('key.pem'), (await run('key')).out);
    const good = await run('verify', undefined, { file: at('all.jsonl'), key: at('key.pem') }, true);
    expect([good.code, json(good)]).toMatchObject([0, { ok: true, entries: 2, problem: null }]);
    const changed = readFileSync(at('all.jsonl'), 'utf8').replace('second', 'Second');
    writeFileSync(at('changed.jsonl'), changed);
    const bad = await run('verify', undefined, { file: at('changed.jsonl'), key: at('key.pem') });
    expect([bad.code, bad.out]).toEqual([
      1,
      expect.stringMatching(/^export BROKEN: .*changed\.jsonl line 4: SYSTEM entry 2: content was changed/),
    ]);
  });

  it('says what is missing: a chain, a file, a key', async () => {
    expect(await run('export', 'INC-2026-0101-001')).toMatchObject({ code: 1, out: '' });
    expect((await run('verify', undefined, { file: at('nowhere.jsonl') })).code).toBe(1);
    writeFileSync(at('no.pem'), 'nothing');
    await run('export', undefined, { out: at('for-key.jsonl') });
    const none = await run('verify', undefined, { file: at('for-key.jsonl'), key: at('no.pem') });
    expect([none.code, none.err]).toEqual([2, expect.stringContaining('holds no public key')]);
  });
});
