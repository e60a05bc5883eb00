import type { Clock, Log } from '../contract/ports.ts';
import type { Retention } from '../contract/retention.ts';
import type { LedgerStore } from './store.ts';

/** Incidents become old by the day; nobody waits for it. */
export const RETENTION_SWEEP_EVERY_MS = 6 * 3_600_000;
const DAY_MS = 86_400_000;
/** Calls of one sweep, 200 incidents each; what is left follows with the next sweep. */
const CALLS_MAX = 50;

/** Takes out closed incidents whose time is over. @returns how many. */
export async function sweepRetention(
  { ledger, clock, log }: { ledger: Pick<LedgerStore, 'prune'>; clock: Clock; log: Log },
  { closed_incidents_days: days }: Retention,
): Promise<number> {
  if (days === null) return 0;
  const closed_before_ms = clock.now() - days * DAY_MS;
  let taken_out = 0;
  for (let call = 0; call < CALLS_MAX; call += 1) {
    const { pruned, kept_broken } = await ledger.prune(closed_before_ms);
    taken_out += pruned.length;
    if (kept_broken.length > 0)
      log.error(
        { incidents: kept_broken },
        'their time is over and their ledger does not verify: they are kept as proof; run "aegis ledger verify --witness"',
      );
    if (pruned.length === 0) break;
  }
  if (taken_out > 0) log.info({ taken_out, days }, 'closed incidents were taken out after their time');
  return taken_out;
}
