/** How many watches this process holds open at once, whatever number of incidents is observed; the rest wait their turn. */
const OPEN_WATCHES_MAX = 6;

export class OpenWatches {
  readonly #max: number;
  #open = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number = OPEN_WATCHES_MAX) {
    this.#max = max;
  }

  /** @throws the signal's reason, at once, also while it waits. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#open >= this.#max) await this.#turn(signal);
    else this.#open += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#open -= 1;
      // The place is handed over and stays taken.
      else next();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
    });
  }
}
