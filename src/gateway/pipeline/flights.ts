/**
 * Work under way that others may join instead of starting it again. It ends early only when everybody who waits for it
 * has left; it is forgotten as soon as its result is known, so that nothing is cached, least of all a failure.
 */
export interface JoinedFlight<T> {
  /** `left`: the caller's signal ended its part while others go on. */
  readonly landed: Promise<T | 'left'>;
  leave(): void;
}

interface Flight<T> {
  readonly landed: Promise<T>;
  readonly abort: AbortController;
  /** Nobody can join any more. */
  readonly close: () => void;
  members: number;
}

/** Callers of one flight; a further one starts another. */
const MEMBERS_MAX = 256;

export class Flights<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /** The flight of this key, if one is under way and has room. */
  join(key: string, signal: AbortSignal | undefined): JoinedFlight<T> | null {
    const flight = this.#flights.get(key);
    if (flight === undefined || flight.members >= MEMBERS_MAX) return null;
    return board(flight, flight.landed, signal);
  }

  /**
   * Starts a flight. `land` hands the result to those who joined, before the work of its own caller is done; nobody can
   * join from then on. The promise is the work's own.
   */
  lead(
    key: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal, land: (result: T) => void) => Promise<T>,
  ): Promise<T | 'left'> {
    let land: (result: T) => void = () => undefined;
    let crash: (error: unknown) => void = () => undefined;
    const landed = new Promise<T>((resolve, reject) => {
      land = resolve;
      crash = reject;
    });
    // Without others nobody listens to it.
    landed.catch(() => undefined);
    const close = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    const flight: Flight<T> = { landed, abort: new AbortController(), close, members: 0 };
    if (!this.#flights.has(key)) this.#flights.set(key, flight);
    const done = work(flight.abort.signal, (result) => {
      close();
      land(result);
    });
    done.then(land, crash).finally(close);
    return board(flight, done, signal).landed;
  }
}

/** Counts a caller in, and out again when its signal ends. The last one to leave ends the work and hears its answer. */
function board<T>(flight: Flight<T>, awaited: Promise<T>, signal: AbortSignal | undefined): JoinedFlight<T> {
  flight.members += 1;
  let gone = false;
  /** True when others go on. */
  const leave = (): boolean => {
    if (gone) return false;
    gone = true;
    flight.members -= 1;
    if (flight.members > 0) return true;
    flight.close();
    flight.abort.abort();
    return false;
  };
  if (signal === undefined) return { landed: awaited, leave };
  const landed = new Promise<T | 'left'>((resolve, reject) => {
    const onAbort = (): void => {
      if (leave()) resolve('left');
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    awaited.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
  return { landed, leave };
}
