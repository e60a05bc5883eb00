/** Trouble on demand: error answers, latency, and connections that break before or after the request had its effect. */
export interface RequestFacts {
  method: string;
  path: string;
  dry_run: boolean;
}

interface FaultOptions {
  /** How many requests are hit. Default: until `clear()`. */
  times?: number;
  /** Which requests are hit. Default: all, also discovery. */
  match?: (request: RequestFacts) => boolean;
}

type Fault =
  | { kind: 'answer'; status: number }
  | { kind: 'delay'; ms: number }
  | { kind: 'drop_before' }
  | { kind: 'drop_after' };

export class Faults {
  #rules: { fault: Fault; left: number; match: (request: RequestFacts) => boolean }[] = [];

  /** Answers with an error instead of doing anything. Default 500. */
  answer(options: FaultOptions & { status?: number } = {}): void {
    this.#add({ kind: 'answer', status: options.status ?? 500 }, options);
  }

  delay(options: FaultOptions & { ms: number }): void {
    this.#add({ kind: 'delay', ms: options.ms }, options);
  }

  /** Breaks the connection and does nothing. */
  dropBefore(options: FaultOptions = {}): void {
    this.#add({ kind: 'drop_before' }, options);
  }

  /** Executes the request and breaks the connection instead of answering: the client cannot know. */
  dropAfter(options: FaultOptions = {}): void {
    this.#add({ kind: 'drop_after' }, options);
  }

  clear(): void {
    this.#rules = [];
  }

  /** The faults that hit this request; each is counted. */
  take(request: RequestFacts): Fault[] {
    const hit = this.#rules.filter((rule) => rule.left > 0 && rule.match(request));
    for (const rule of hit) rule.left -= 1;
    return hit.map(({ fault }) => fault);
  }

  #add(fault: Fault, options: FaultOptions): void {
    this.#rules.push({
      fault,
      left: options.times ?? Number.POSITIVE_INFINITY,
      match: options.match ?? (() => true),
    });
  }
}
