import { isoTime } from '../contract/ports.ts';
import type { TimeBound, Window } from '../contract/pipeline.ts';
import { refuse, type Refusal } from '../contract/verdict.ts';

/** A window in absolute milliseconds: `since` inclusive, `until` exclusive. */
export interface AbsoluteWindow {
  readonly since_ms: number;
  readonly until_ms: number;
}

const HOUR_MS = 3_600_000;
const WINDOW_MS_MAX = 31 * 24 * HOUR_MS;

export interface WindowBasis {
  readonly now_ms: number;
  readonly opened_at_ms: number;
  /** Two ingest intervals of the source: what happened later may not be visible yet, so evidence ends before it. */
  readonly lag_ms: number;
  /** Length from a path parameter (`?window=15m`), null when the file has none. */
  readonly window_param_ms: number | null;
}

/** Makes a window absolute: without --since it starts one hour before the incident opened, without --until it ends now. */
export function absoluteWindow(window: Window, basis: WindowBasis): AbsoluteWindow | Refusal {
  const newest_ms = basis.now_ms - basis.lag_ms;
  const wanted_ms = window.until === undefined ? newest_ms : boundMs(window.until, basis.now_ms);
  const until_ms = Math.floor(Math.min(wanted_ms, newest_ms));
  if (window.since !== undefined && basis.window_param_ms !== null)
    return refuse(
      'bad-window',
      'The window is given twice: as ?window= and as --since.',
      'Give one of them.',
    );
  const since_ms = Math.floor(
    window.since !== undefined
      ? boundMs(window.since, basis.now_ms)
      : basis.window_param_ms !== null
        ? until_ms - basis.window_param_ms
        : Math.min(basis.opened_at_ms, until_ms) - HOUR_MS,
  );
  if (since_ms >= until_ms)
    return refuse(
      'bad-window',
      `The window is empty: it would run from ${isoTime(since_ms)} to ${isoTime(until_ms)}.`,
      'Choose an earlier --since or a later --until.',
    );
  if (until_ms - since_ms > WINDOW_MS_MAX)
    return refuse(
      'bad-window',
      'The window is longer than 31 days.',
      'Give a shorter window with --since and --until.',
    );
  return { since_ms, until_ms };
}

/** The window as it stands in a pinned query. */
export function pinnedWindow(window: AbsoluteWindow): Window {
  return { since: { at: isoTime(window.since_ms) }, until: { at: isoTime(window.until_ms) } };
}

function boundMs(bound: TimeBound, now_ms: number): number {
  return 'at' in bound ? Date.parse(bound.at) : now_ms - bound.ago_s * 1000;
}
