import { readFileSync } from 'node:fs';
import { openStore } from '../../src/store/open-store.ts';
import { systemClock } from '../../src/system-ports.ts';
import { takeKillPlan } from './kill-plan.ts';
import { wrapStore } from './wrap-store.ts';
import { liveWrite, type WriteSpec } from './write-life.ts';

/** One life of a write in a process of its own, over a store that may die. Prints the event that it ended with. */
const spec = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as WriteSpec;
const store = wrapStore(await openStore({ home: spec.home, clock: systemClock }), takeKillPlan());
const event = await liveWrite(store, spec);
await store.close();
process.stdout.write(JSON.stringify(event));
