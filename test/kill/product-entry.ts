import { parseArgs } from 'node:util';
import { loadConfig } from '../../src/config.ts';
import { compose } from '../../src/main.ts';
import { openStore } from '../../src/store/open-store.ts';
import { createLog, systemClock, systemIds } from '../../src/system-ports.ts';
import { takeKillPlan } from './kill-plan.ts';
import { wrapStore } from './wrap-store.ts';

/**
 * `aegis --config FILE start` over a store that dies at a chosen operation: the same composition as src/cli/start.ts,
 * owned by the tests, so that no product code knows how to be killed.
 */
const { values } = parseArgs({ options: { config: { type: 'string' } }, allowPositionals: true });
const config = loadConfig(values.config ?? '');
let redact: ((text: string) => string) | null = null;
const log = createLog(config.settings.log_level, () => redact);
const opened = await openStore({ home: config.settings.home, clock: systemClock, log });
const store = wrapStore(opened, takeKillPlan());
const aegis = await compose(config, { store, clock: systemClock, ids: systemIds, log });
redact = (text) => aegis.gateway.redactText(text);
await aegis.start();
await new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
await aegis.stop();
await store.close();
