import type { LinkAnswer } from '../upstreams/link.ts';

/** The time that a server has for one call. It stands still while the client is asked, since a person answers slowly. */
export interface RelayDeadline {
  readonly signal: AbortSignal;
  /** Stops the time until the function that it returns is called. */
  hold(): () => void;
  /** An answer, told as late when the time was over. */
  judge(answer: LinkAnswer): LinkAnswer;
  done(): void;
}

/** @param outer the client's own wish to end the call. */
export function relayDeadline(timeout_ms: number, outer: AbortSignal): RelayDeadline {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (outer.aborted) abort();
  outer.addEventListener('abort', abort, { once: true });
  let late = false;
  let held = 0;
  const arm = (): NodeJS.Timeout =>
    setTimeout(() => {
      late = true;
      abort();
    }, timeout_ms);
  let timer = arm();
  return {
    signal: controller.signal,
    hold() {
      held += 1;
      clearTimeout(timer);
      return () => {
        held -= 1;
        // Each answer gives the server its whole time again: it could do nothing before.
        if (held === 0 && !controller.signal.aborted) timer = arm();
      };
    },
    judge(answer) {
      if (!late || answer.ok || answer.error.problem !== 'aborted') return answer;
      const message = `did not answer within ${timeout_ms} ms`;
      return { ...answer, error: { ...answer.error, problem: 'timeout', message } };
    },
    done() {
      // A question that is still open must not start the time anew.
      held = Number.POSITIVE_INFINITY;
      clearTimeout(timer);
      outer.removeEventListener('abort', abort);
    },
  };
}
