import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import type { Look, PathParams } from '../mount.ts';
import { numberParam, onlyParams } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { eventLines, type Place } from './kube-reader.ts';

/**
 * `events.tail?limit=100`. The control plane writes events, but their messages quote workloads (probe output, image names),
 * and whoever may create events in the namespace can invent them: they count as attacker-writable.
 */
export interface EventsOf {
  readonly asks: string;
  /** The object whose events are meant; it may be gone while its events are still there. */
  readonly locate: (io: SourceReader) => Promise<{ place: Place; name: string } | Refusal>;
  /** Null when the object exists; asked when there are no events, so that a name that never was is missing, not empty. */
  readonly missing: (io: SourceReader) => Promise<Refusal | null>;
  readonly kind: string;
  readonly params: PathParams;
}

const EVENTS_MAX = 500;

export function eventsFile(mount: string, of: EventsOf): Look {
  const limit = numberParam(of.params, 'limit', 100, EVENTS_MAX);
  const bad = onlyParams(of.params, ['limit']);
  if (bad !== null) return bad;
  if (isRefusal(limit)) return limit;
  return {
    kind: 'file',
    mount,
    evidence: 'stream',
    attacker_writable: true,
    windowed: 'optional',
    lag_ms: 0,
    window_param_ms: null,
    async *pages({ window }, io) {
      const object = await of.locate(io);
      if (isRefusal(object)) {
        yield object;
        return;
      }
      const events = await eventLines(io, object.place, of.kind, object.name, EVENTS_MAX);
      if (isRefusal(events)) {
        yield events;
        return;
      }
      const missing = events.length > 0 ? null : await of.missing(io);
      if (missing !== null) {
        yield missing;
        return;
      }
      const inside = events.filter(
        ({ at_ms }) => window === null || (at_ms >= window.since_ms && at_ms < window.until_ms),
      );
      yield inside.slice(-limit).map(({ text }) => text);
    },
    explain: () => ({
      pushed: [`LIST events of ${of.asks}, at most ${EVENTS_MAX}`],
      not_pushed: ['window and filters: the API cannot filter events by time or text'],
    }),
  };
}
