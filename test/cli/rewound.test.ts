import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { doctor } from '../../src/cli/doctor.ts';
import type { Check } from '../../src/cli/doctor.ts';
import { ledger } from '../../src/cli/ledger.ts';
import { loadConfig } from '../../src/config.ts';
import type { LoadedConfig } from '../../src/config.ts';
import { labSecrets, writeLabFiles } from '../../src/lab/lab-config.ts';
import { sparkDriverOom } from '../../src/lab/scenarios/spark-driver-oom.ts';
import { startTwins } from '../../src/lab/twins.ts';
import type { Twins } from '../../src/lab/twins.ts';
import { World } from '../../src/lab/world/world.ts';
import { compose } from '../../src/main.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createLog, systemClock, systemIds } from '../../src/system-ports.ts';
import { entry } from '../store/samples.ts';
import { personToken, withPersonToken } from './person.ts';
import { inProcess, json } from './run-aegis.ts';

const log = createLog('silent', () => null);
let dir = '';
let twins: Twins;
let file = '';
let config: LoadedConfig;

const open = (): Promise<Store> => openStore({ home: config.settings.home, clock: systemClock, log });

/** One checkpoint more. */
async function grow(): Promise<void> {
  const store = await open();
  await store.ledger.append('SYSTEM', [entry()]);
  await store.ledger.checkpoint('grown');
  await store.close();
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-rewound-'));
  const secrets = labSecrets();
  twins = await startTwins(
    new World({ clock: Date.now, seed: 'rewound', ...sparkDriverOom.world() }),
    secrets,
  );
  file = writeLabFiles(dir, twins, secrets, 0).config;
  config = loadConfig(file);
  await grow();
  const database = join(config.settings.home, 'aegis.db');
  cpSync(database, join(dir, 'backup.db'));
  await grow();
  cpSync(join(dir, 'backup.db'), database);
});
afterAll(async () => {
  await twins?.close();
  rmSync(dir, { recursive: true, force: true });
});

async function witnessCheck(): Promise<Check | undefined> {
  const checks = json(await inProcess(() => doctor({ config: file, json: true })))['checks'] as Check[];
  return checks.find((c) => c.check === 'witness');
}

describe('an older database under the running product', () => {
  it('is said by doctor and /readyz, and writes come back when two people accept it', async () => {
    expect(await witnessCheck()).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(/older copy.* No write happens/),
      next: expect.stringContaining('aegis ledger accept-rewind'),
    });
    const store = await open();
    const aegis = await compose(config, { store, clock: systemClock, ids: systemIds, log });
    try {
      const { port } = await aegis.start();
      const ready = async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
        return [answer.status, ((await answer.json()) as { writes: string }).writes];
      };
      expect(await ready()).toEqual([200, expect.stringMatching(/^stopped: .*older copy/)]);
      const dan = await personToken(file, 'dan');
      const ines = await personToken(file, 'ines');
      const accept = (token: string, reason?: string) =>
        withPersonToken(token, () => ledger({ config: file }, 'accept-rewind', reason, {}));
      expect((await accept(dan, ' ')).code).toBe(2);
      const nobody = await inProcess(() => ledger({ config: file }, 'accept-rewind', 'no token', {}));
      expect([nobody.code, nobody.err]).toEqual([2, expect.stringContaining('AEGIS_PERSON_TOKEN')]);
      const first = await accept(dan, 'restored after the disk died');
      expect([first.code, first.out]).toEqual([0, expect.stringContaining('One more person')]);
      expect(await ready()).toEqual([200, expect.stringMatching(/^stopped: .*two people/)]);
      const twice = await accept(await personToken(file, 'dan'), 'again');
      expect([twice.code, twice.err]).toEqual([1, expect.stringContaining('dan has accepted this already')]);
      const accepted = await accept(ines, 'I looked too');
      expect([accepted.code, accepted.out]).toEqual([0, expect.stringContaining('look at the systems')]);
      expect(accepted.out).toContain('Accepted by dan and ines');
      expect(await ready()).toEqual([200, 'ok']);
      const again = await accept(ines, 'once more');
      expect([again.code, again.err]).toEqual([1, expect.stringContaining('nothing to accept')]);
    } finally {
      await aegis.stop();
      await store.close();
    }
    expect(await witnessCheck()).toMatchObject({ status: 'ok' });
    expect(
      (await inProcess(() => ledger({ config: file }, 'verify', undefined, { witness: true }))).code,
    ).toBe(0);
  }, 60_000);
});
