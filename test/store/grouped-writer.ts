import { writeSync } from 'node:fs';
import { openStore } from '../../src/store/open-store.ts';
import { entry, handClock } from './samples.ts';

/**
 * Appends to four chains from sixteen callers until it is killed (group-commit.test.ts). Each append is printed, before
 * anything else happens, the moment it is acknowledged.
 */
const [home = ''] = process.argv.slice(2);
const CALLERS = 16;
const store = await openStore({ home, clock: handClock() });

/** A reader that is slow for a moment is waited for. */
function say(line: string): void {
  for (let rest = Buffer.from(`${line}\n`); rest.length > 0;)
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
}

async function caller(n: number): Promise<never> {
  const chain = `INC-2026-1123-00${(n % 4) + 1}`;
  for (let round = 0; ; round += 1) {
    const [stored] = await store.ledger.append(chain, [entry({ n, round })]);
    say(JSON.stringify({ chain, seq: stored?.seq, hash: stored?.hash }));
  }
}

await Promise.all(Array.from({ length: CALLERS }, (_, n) => caller(n)));
