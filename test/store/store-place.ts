import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { Clock } from '../../src/contract/ports.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { handClock } from './samples.ts';

/** One place where a store keeps its state. The shared suite knows an adapter only through this. */
export interface StorePlace {
  /** Opens the same state again each time, as another process would. */
  open(clock: Clock): Promise<Store>;
  /** Puts the emergency freeze that needs no store and no Slack (SQLite: the FREEZE file); null removes it. */
  emergencyFreeze(reason: string | null): void;
  dispose(): void;
}

export type MakePlace = () => StorePlace;

/** What a test of the suite works with; fresh for every test. */
export interface Bench {
  store: Store;
  clock: ReturnType<typeof handClock>;
  place: StorePlace;
  /** A second store on the same state. */
  another(): Promise<Store>;
  /** Closes the first store and opens it again: a restart. */
  restart(): Promise<void>;
}

export function sqlitePlace(): StorePlace {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-store-'));
  const home = join(dir, 'home');
  return {
    open: (clock) => openStore({ home, clock }),
    emergencyFreeze(reason) {
      if (reason === null) rmSync(join(home, 'FREEZE'));
      else writeFileSync(join(home, 'FREEZE'), reason);
    },
    dispose: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Gives every test of the surrounding `describe` its own place and closes all stores after it. */
export function useBench(make: MakePlace): Bench {
  const opened: Store[] = [];
  const bench = {
    async another() {
      const store = await bench.place.open(bench.clock);
      opened.push(store);
      return store;
    },
    async restart() {
      await bench.store.close();
      bench.store = await bench.another();
    },
  } as Bench;
  beforeEach(async () => {
    bench.place = make();
    bench.clock = handClock();
    bench.store = await bench.another();
  });
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    bench.place.dispose();
  });
  return bench;
}
