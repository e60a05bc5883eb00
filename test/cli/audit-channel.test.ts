import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledger } from '../../src/cli/ledger.ts';
import { loadConfig } from '../../src/config.ts';
import type { LoadedConfig } from '../../src/config.ts';
import { labSecrets, writeLabFiles } from '../../src/lab/lab-config.ts';
import { AUDIT_CHANNEL } from '../../src/lab/people.ts';
import { sparkDriverOom } from '../../src/lab/scenarios/spark-driver-oom.ts';
import { startTwins } from '../../src/lab/twins.ts';
import type { Twins } from '../../src/lab/twins.ts';
import { until } from '../../src/lab/watching.ts';
import { World } from '../../src/lab/world/world.ts';
import { compose } from '../../src/main.ts';
import { AuditPost } from '../../src/store/audit-post.ts';
import { openStore } from '../../src/store/open-store.ts';
import { createLog, systemClock, systemIds } from '../../src/system-ports.ts';
import { entry, handClock } from '../store/samples.ts';
import { inProcess } from './run-aegis.ts';

const log = createLog('silent', () => null);
let dir = '';
let twins: Twins;
let file = '';
let config: LoadedConfig;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-audit-'));
  const secrets = labSecrets();
  twins = await startTwins(new World({ clock: Date.now, seed: 'audit', ...sparkDriverOom.world() }), secrets);
  file = writeLabFiles(dir, twins, secrets, 0).config;
  config = loadConfig(file);
});
afterAll(async () => {
  await twins?.close();
  rmSync(dir, { recursive: true, force: true });
});

const open = () => openStore({ home: config.settings.home, clock: systemClock, log });
const verify = (checkpoint: string) =>
  inProcess(() => ledger({ config: file, json: false }, 'verify', undefined, { witness: true, checkpoint }));
const posted = () => twins.slack.store.messages(AUDIT_CHANNEL);

/** The product runs until the audit channel has `messages` of its checkpoints. */
async function runUntil(messages: number): Promise<void> {
  const store = await open();
  const aegis = await compose(config, { store, clock: systemClock, ids: systemIds, log });
  await aegis.start();
  await until(
    'the checkpoint in the audit channel',
    () => (posted().length >= messages ? true : undefined),
    20_000,
  );
  await aegis.stop();
  await store.close();
}

describe('a checkpoint in the audit channel', () => {
  it('is posted at the start, and what stands there is checked with one command', async () => {
    await runUntil(1);
    const [message] = posted();
    expect(message?.text).toMatch(/^Ledger checkpoint 1: /);
    const found = /--checkpoint (\d+:[0-9a-f]{64})/.exec(JSON.stringify(message?.blocks));
    const good = found?.[1] ?? '';
    expect(await verify(good)).toMatchObject({ code: 0, out: expect.stringMatching(/^ledger verified/) });
    const [seq = '', hash = ''] = good.split(':');
    const other = `${seq}:${hash.replace(/^./, hash.startsWith('0') ? '1' : '0')}`;
    expect(await verify(other)).toMatchObject({
      code: 1,
      out: expect.stringMatching(/CHECKPOINT entry 1: is not the checkpoint that was posted/),
    });
    expect(await verify(`99:${hash}`)).toMatchObject({ code: 1 });
    expect(await verify('42')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/copy it from the audit/),
    });
  });

  it('shows a database and a witness file that were put back together, which the file cannot', async () => {
    const home = config.settings.home;
    for (const name of ['aegis.db', 'witness.jsonl']) cpSync(join(home, name), join(dir, name));
    const before = posted().length;
    await grow();
    await runUntil(before + 1);
    const newest = /--checkpoint (\d+:[0-9a-f]{64})/.exec(JSON.stringify(posted().at(-1)?.blocks))?.[1] ?? '';
    expect(await verify(newest)).toMatchObject({ code: 0 });
    for (const name of ['aegis.db-wal', 'aegis.db-shm']) rmSync(join(home, name), { force: true });
    for (const name of ['aegis.db', 'witness.jsonl']) cpSync(join(dir, name), join(home, name));
    expect(await verify('1:' + '0'.repeat(64))).toMatchObject({ code: 1 });
    expect(await verify(newest)).toMatchObject({
      code: 1,
      out: expect.stringMatching(
        /is not the checkpoint that was posted: the database was rewritten or rewound/,
      ),
    });
  });
});

async function grow(): Promise<void> {
  const store = await open();
  await store.ledger.append('SYSTEM', [entry()]);
  await store.close();
}

it('one of ten minutes is enough while incidents run: each commits to all before it', async () => {
  const clock = handClock();
  const store = await openStore({ home: join(dir, 'other'), clock });
  const audit = new AuditPost('C0AUDIT', clock);
  const next = async (reason: string, minutes: number): Promise<string | undefined> => {
    clock.at += minutes * 60_000;
    await store.ledger.append('SYSTEM', [entry()]);
    const checkpoint = await store.ledger.checkpoint(reason);
    return checkpoint === null ? undefined : audit.cardFor(checkpoint, reason)?.card_key;
  };
  expect(await next('start', 0)).toBe('checkpoint:1');
  expect(await next('interval', 1)).toBeUndefined();
  expect(await next('interval', 8.9)).toBeUndefined();
  expect(await next('interval', 0.1)).toBe('checkpoint:4');
  expect(await next('stop', 1)).toBe('checkpoint:5');
  await store.close();
});
