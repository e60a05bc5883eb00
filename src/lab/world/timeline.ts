/**
 * Discrete-event time of the simulated world. Everything that will happen is an entry with a due time; `advanceTo` runs
 * what is due, in order, with `now()` standing at each entry's own time. So the past is simulated exactly like the
 * present, and a world is a function of (seed, clock readings, outside changes).
 */
export class Timeline {
  #now_ms: number;
  #sequence = 0;
  /** Sorted by due time, latest first, so that taking the next one is a pop. */
  readonly #queue: { at_ms: number; sequence: number; run: () => void }[] = [];

  constructor(start_ms: number) {
    this.#now_ms = start_ms;
  }

  /** Simulated time in milliseconds since the epoch. */
  now(): number {
    return this.#now_ms;
  }

  /** Schedules `run`; a time that has passed means "as soon as time moves". Returns a function that cancels it. */
  at(at_ms: number, run: () => void): () => void {
    const entry = { at_ms: Math.max(at_ms, this.#now_ms), sequence: (this.#sequence += 1), run };
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#queue[middle];
      if (other !== undefined && other.at_ms > entry.at_ms) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, entry);
    return () => {
      const index = this.#queue.indexOf(entry);
      if (index >= 0) this.#queue.splice(index, 1);
    };
  }

  after(delay_ms: number, run: () => void): () => void {
    return this.at(this.#now_ms + delay_ms, run);
  }

  /** Runs everything that is due until `target_ms`. Time never runs backwards: an earlier target does nothing. */
  advanceTo(target_ms: number): void {
    for (;;) {
      const next = this.#queue.at(-1);
      if (next === undefined || next.at_ms > target_ms) break;
      this.#queue.pop();
      this.#now_ms = Math.max(this.#now_ms, next.at_ms);
      next.run();
    }
    this.#now_ms = Math.max(this.#now_ms, target_ms);
  }
}
