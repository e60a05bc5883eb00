import type { MessagePort } from 'node:worker_threads';
import { z } from 'zod';
import { refuse } from '../contract/verdict.ts';
import { WorldRequest, WorldResponse, type World } from '../contract/world.ts';

/**
 * The World port across a MessagePort: JSON both ways, each call abortable. Both sides check what arrives; the serving
 * side trusts nothing that cognition sends, and a fault crosses as a message without a stack.
 */
const Ask = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('call'), id: z.int().min(1), request: WorldRequest }),
  z.strictObject({ t: z.literal('abort'), id: z.int().min(1) }),
]);
const Answer = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('response'), id: z.int(), response: WorldResponse }),
  z.strictObject({ t: z.literal('fault'), id: z.int(), message: z.string() }),
]);

/** Calls that may run at the same time over one port. */
export const CALLS_MAX = 16;

/** A fault on the other side of the port, or a port that closed before it answered. */
class WorldPortError extends Error {
  override readonly name = 'WorldPortError';
  readonly code = 'WORLD_PORT';
}

/** Serves `world` over `port` until the returned function is called or the port closes; open calls are then aborted. */
export function exposeWorld(port: MessagePort, world: World): () => void {
  const running = new Map<number, AbortController>();
  const onMessage = (message: unknown): void => {
    const ask = Ask.safeParse(message);
    const id = ask.success ? ask.data.id : idOf(message);
    if (!ask.success) {
      if (id !== null)
        port.postMessage({
          t: 'response',
          id,
          response: {
            ok: false,
            refusal: refuse(
              'request-malformed',
              'The read request is not well formed.',
              'Send ls, run or explain with a path or command and why it is needed.',
            ),
          },
        });
      return;
    }
    if (ask.data.t === 'abort') return running.get(ask.data.id)?.abort();
    if (running.size >= CALLS_MAX || running.has(ask.data.id)) {
      port.postMessage({
        t: 'response',
        id,
        response: {
          ok: false,
          refusal: refuse(
            'too-many-reads',
            `${running.size} reads are running; at most ${CALLS_MAX} may.`,
            'Wait for an answer first.',
          ),
        },
      });
      return;
    }
    const controller = new AbortController();
    running.set(ask.data.id, controller);
    void answer(world, ask.data.request, controller.signal)
      .then((reply) => port.postMessage({ ...reply, id }))
      .finally(() => running.delete(ask.data.id));
  };
  const stop = (): void => {
    port.off('message', onMessage);
    for (const controller of running.values()) controller.abort();
  };
  port.on('message', onMessage);
  port.on('close', stop);
  return stop;
}

async function answer(
  world: World,
  request: WorldRequest,
  signal: AbortSignal,
): Promise<{ t: string; response?: WorldResponse; message?: string }> {
  try {
    return { t: 'response', response: await world.call(request, signal) };
  } catch (error) {
    return { t: 'fault', message: signal.aborted ? 'aborted' : (error as Error).message };
  }
}

function idOf(message: unknown): number | null {
  const id = typeof message === 'object' && message !== null && 'id' in message ? message.id : null;
  return Number.isSafeInteger(id) ? (id as number) : null;
}

interface Waiting {
  readonly resolve: (response: WorldResponse) => void;
  readonly reject: (reason: unknown) => void;
}

/** The World as seen from the other end of the port. @throws WorldPortError from a call whose port closed or faulted. */
export function connectWorld(port: MessagePort): World {
  const waiting = new Map<number, Waiting>();
  let last_id = 0;
  let closed = false;
  port.on('message', (message: unknown) => {
    const reply = Answer.safeParse(message);
    const id = reply.success ? reply.data.id : idOf(message);
    const call = id === null ? undefined : waiting.get(id);
    if (call === undefined) return;
    waiting.delete(id as number);
    if (!reply.success) call.reject(new WorldPortError('the answer of the World is not well formed'));
    else if (reply.data.t === 'fault')
      call.reject(new WorldPortError(`the World failed: ${reply.data.message}`));
    else call.resolve(reply.data.response);
  });
  port.on('close', () => {
    closed = true;
    for (const call of waiting.values()) call.reject(new WorldPortError('the port to the World closed'));
    waiting.clear();
  });
  return {
    call(request, signal) {
      if (closed) return Promise.reject(new WorldPortError('the port to the World closed'));
      if (signal?.aborted) return Promise.reject(signal.reason);
      const id = ++last_id;
      return new Promise<WorldResponse>((resolve, reject) => {
        const onAbort = (): void => {
          waiting.delete(id);
          port.postMessage({ t: 'abort', id });
          reject(signal?.reason);
        };
        const settled =
          <T>(settle: (value: T) => void) =>
          (value: T): void => {
            signal?.removeEventListener('abort', onAbort);
            settle(value);
          };
        waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
        signal?.addEventListener('abort', onAbort, { once: true });
        port.postMessage({ t: 'call', id, request });
      });
    },
  };
}
