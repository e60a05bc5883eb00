import { appendFileSync } from 'node:fs';
import type { Store } from '../../src/store/store.ts';

/**
 * The kill harness: a store that counts what is asked of it and ends the process with SIGKILL right before or right
 * after one of these operations, as a power cut would. It lives with the tests; the product knows nothing of it.
 */
export interface KillPlan {
  /** Which one of the counted operations, 1-based. */
  readonly n: number;
  readonly when: 'before' | 'after';
  /** Counts only these operations; default all. The path is `<aggregate>.<method>`, for example `journal.dispatch`. */
  readonly only?: (path: string) => boolean;
}

/** Where every operation is written down as it begins, one path a line: a clean run gives the points to choose from. */
export const KILL_LOG_ENV = 'AEGIS_TEST_KILL_LOG';

/** Begins the line that says where a life ended. */
export const DEATH = 'killed';

/** The operations that answer at once instead of with a promise; they change nothing, so they are no kill points. */
const SYNCHRONOUS = new Set(['evidence.rawHmac', 'inbox.writtenElsewhere']);

type Operation = (...args: readonly unknown[]) => Promise<unknown>;

/** Wraps a store; `plan` null only writes the log. */
export function wrapStore(store: Store, plan: KillPlan | null): Store {
  const around = counter(plan, process.env[KILL_LOG_ENV]);
  const wrapped = new Map<string, unknown>();
  return new Proxy(store, {
    get(target, name: string) {
      const known = wrapped.get(name);
      if (known !== undefined) return known;
      const value: unknown = target[name as keyof Store];
      const made =
        typeof value === 'function'
          ? around(name, value.bind(target) as Operation)
          : wrapAggregate(name, value as object, around);
      wrapped.set(name, made);
      return made;
    },
  });
}

type Around = (path: string, operation: Operation) => Operation;

function wrapAggregate(aggregate: string, object: object, around: Around): object {
  return new Proxy(object, {
    get(target, name: string, receiver) {
      const value: unknown = Reflect.get(target, name, receiver);
      const path = `${aggregate}.${name}`;
      if (typeof value !== 'function' || SYNCHRONOUS.has(path)) return value;
      return around(path, value.bind(target) as Operation);
    },
  });
}

function counter(plan: KillPlan | null, log: string | undefined): Around {
  let counted = 0;
  const isPoint = (path: string): boolean => {
    if (plan === null || plan.only?.(path) === false) return false;
    counted += 1;
    return counted === plan.n;
  };
  return (path, operation) =>
    async (...args) => {
      const here = isPoint(path);
      const note = (line: string): void => {
        if (log !== undefined && log !== '') appendFileSync(log, `${line}\n`);
      };
      const die = (when: KillPlan['when']): never => {
        note(`${DEATH} ${when} ${path}`);
        return dieNow();
      };
      note(path);
      if (here && plan?.when === 'before') die('before');
      const result = await operation(...args);
      if (here) die('after');
      return result;
    };
}

function dieNow(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is delivered before this thread runs on; should it ever not be, nothing more may happen here.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
