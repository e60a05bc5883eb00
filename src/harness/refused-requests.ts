import type { HttpResponse, HttpRoute } from '../contract/http.ts';
import type { Clock, Log } from '../contract/ports.ts';
import type { LedgerStore } from '../store/store.ts';

/** Entries that one door may write in a minute; a flood beyond that is counted, not copied into the ledger. */
const ENTRIES_PER_MINUTE_MAX = 20;
const MINUTE_MS = 60_000;
const REASON_CHARS_MAX = 200;

/**
 * A request that its door refused (forged, replayed, of another workspace, without the secret) is a ledger entry like
 * every refusal. It belongs to no incident, since nothing in it is believed, so it stands in the SYSTEM chain. Whoever
 * sends it may send millions: beyond a limit they are only counted, and the next entry says how many there were.
 */
export function recordRefusals(
  route: HttpRoute,
  ports: { ledger: Pick<LedgerStore, 'append'>; clock: Clock; log: Log },
): HttpRoute {
  let window_ms = 0;
  let written = 0;
  let unwritten = 0;

  async function record(response: HttpResponse): Promise<void> {
    const now = ports.clock.now();
    if (now - window_ms >= MINUTE_MS) {
      window_ms = now;
      written = 0;
    }
    written += 1;
    if (written > ENTRIES_PER_MINUTE_MAX) {
      unwritten += 1;
      return;
    }
    const more =
      unwritten === 0 ? '' : ` ${unwritten} more were refused before it and not written one by one.`;
    unwritten = 0;
    const words = (response.refusal ?? response.body ?? '').slice(0, REASON_CHARS_MAX);
    const payload = {
      code: `http-${response.status}`,
      reason: `A request to ${route.path} was refused: ${words}.${more}`,
      remedy: 'Nothing was done. If it was meant to count, look at the sender’s secret, clock and address.',
      by: null,
      about: `${route.method} ${route.path}`,
    };
    await ports.ledger.append('SYSTEM', [{ kind: 'refusal', actor: 'aegis:http', payload }]);
  }

  return {
    ...route,
    async handle(request) {
      const response = await route.handle(request);
      if (response.status >= 400 && response.status < 500 && response.refusal !== null)
        await record(response).catch((error: unknown) =>
          ports.log.error(
            { path: route.path, error: String(error) },
            'a refused request could not be recorded',
          ),
        );
      return response;
    },
  };
}
