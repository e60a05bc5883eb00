import { parseJsonText } from '../../contract/parse.ts';
import { UpstreamError, type UpstreamErrorInfo } from '../upstream-error.ts';
import { startProcess, type ProcessSpec, type RunningProcess } from './server-process.ts';
import { lineReader } from './line-reader.ts';
import { UNASKED_BYTES_MAX, type Link, type LinkHandlers, type LinkOptions } from './link.ts';
import { plainWords } from './plain-words.ts';
import { openSession } from './session.ts';
import type { Flight, Wire } from './wire.ts';

/** A link to a server that runs as a process of this machine: one JSON message a line, over its stdin and stdout. */
export type StdioSpec = ProcessSpec;

const STDIN_BYTES_MAX = 8 * 1024 * 1024;
const STDERR_LINE_BYTES_MAX = 8192;
/** What a server may say on stderr in its life; the rest is read and dropped. */
const STDERR_BYTES_MAX = 262_144;
const LAST_WORDS_CHARS = 300;
/** Lines on stdout that are no JSON: a stray print is forgiven, a server that only prints is not one. */
const STRAY_LINES_MAX = 100;
const DRAIN_MS = 250;
/** Whoever closes its input and lives on is not waited for. */
const EXIT_WAIT_MS = 1000;
/** Requests whose late answer still counts as asked for. */
const ASKED_MAX = 10_000;

/** @throws UpstreamError when it cannot be started or does not finish the handshake; nothing of it is left then. */
export function openStdioLink(spec: StdioSpec, options: LinkOptions): Promise<Link> {
  return openSession(new StdioWire(spec, options), options);
}

class StdioWire implements Wire {
  onmessage: Wire['onmessage'] = () => undefined;
  onclose: Wire['onclose'] = () => undefined;
  readonly #spec: StdioSpec;
  readonly #limits: LinkOptions;
  #running: RunningProcess | null = null;
  #ended = false;
  /** Requests that wait for their answer; only such an answer is one that somebody asked for. */
  readonly #asked = new Set<unknown>();
  /** Requests of which the process has read no whole line. */
  readonly #unsent: Flight[] = [];
  #unasked_bytes = 0;
  #stray_lines = 0;
  #last_words = '';

  constructor(spec: StdioSpec, limits: LinkOptions) {
    this.#spec = spec;
    this.#limits = limits;
  }

  async start(): Promise<void> {
    let running: RunningProcess;
    try {
      running = await startProcess(this.#spec);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
      throw new UpstreamError(
        reasonOf('unreachable', `cannot be started: ${this.#spec.command} (${code})`, 'no'),
      );
    }
    this.#running = running;
    const { child } = running;
    // Errors of the pipes show as the end of the process, which is reported once.
    child.stdin?.on('error', () => undefined);
    child.stdout?.on('error', () => undefined);
    child.stderr?.on('error', () => undefined);
    const lines = lineReader(this.#limits.message_bytes_max);
    child.stdout?.on('data', (chunk: Buffer) => this.#take(chunk, lines.take(chunk)));
    child.stderr?.on(
      'data',
      stderrTo(this.#limits.handlers, (line) => (this.#last_words = line)),
    );
    child.once('exit', (code, signal) => {
      // What it wrote before it ended may still be in the pipe, and its children must not outlive it.
      const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
      const drained = Promise.race([closed, new Promise((resolve) => setTimeout(resolve, DRAIN_MS))]);
      void drained.then(() => {
        const how = signal === null ? `with code ${code}` : `by ${signal}`;
        const words = this.#last_words === '' ? '' : `; its last words: ${this.#last_words}`;
        return this.#fail(reasonOf('dropped', `ended ${how}${words}`, 'maybe'));
      });
    });
  }

  send(message: object, flight: Flight | null): Promise<void> {
    const stdin = this.#running?.child.stdin;
    if (this.#ended || stdin === null || stdin === undefined || !stdin.writable)
      return Promise.reject(new UpstreamError(reasonOf('dropped', 'is not running', 'no')));
    if (stdin.writableLength > STDIN_BYTES_MAX)
      return Promise.reject(new UpstreamError(reasonOf('throttled', 'does not read what it is sent', 'no')));
    if ('id' in message && 'method' in message) {
      if (this.#asked.size >= ASKED_MAX) this.#asked.clear();
      this.#asked.add(message.id);
      this.#unasked_bytes = 0;
    }
    // Behind others it may share their fate and still have arrived; alone, a line without its end is no message.
    const alone = stdin.writableLength === 0;
    stdin.write(`${JSON.stringify(message)}\n`, (error) => {
      if (error && alone && flight !== null) this.#neverArrived(flight);
    });
    return Promise.resolve();
  }

  /** A closed pipe mostly means that the process has ended: how, and with which last words, is known in a moment. */
  #neverArrived(flight: Flight): void {
    this.#unsent.push(flight);
    setTimeout(() => flight.ended(reasonOf('dropped', 'takes no more input', 'no')), EXIT_WAIT_MS).unref();
  }

  async close(): Promise<void> {
    this.#ended = true;
    await this.#running?.stop('gently');
  }

  #take(chunk: Buffer, { lines, too_long }: { lines: readonly string[]; too_long: boolean }): void {
    if (this.#ended) return;
    this.#unasked_bytes += chunk.length;
    for (const line of lines) {
      if (line.trim() === '') continue;
      const parsed = parseJsonText(line, {
        bytes_max: this.#limits.message_bytes_max,
        depth_max: Number.MAX_SAFE_INTEGER,
        keys_max: Number.MAX_SAFE_INTEGER,
      });
      if (!parsed.ok) this.#stray_lines += 1;
      else {
        if (this.#asked.delete(answeredId(parsed.value))) this.#unasked_bytes = 0;
        this.onmessage(parsed.value);
      }
    }
    const { message_bytes_max } = this.#limits;
    if (too_long)
      void this.#fail(
        reasonOf('too-large', `sent a message of more than ${message_bytes_max} bytes`, 'maybe'),
      );
    else if (this.#unasked_bytes > UNASKED_BYTES_MAX)
      void this.#fail(
        reasonOf('too-large', `sent more than ${UNASKED_BYTES_MAX} bytes that nobody asked for`, 'maybe'),
      );
    else if (this.#stray_lines > STRAY_LINES_MAX)
      void this.#fail(reasonOf('malformed', `wrote ${this.#stray_lines} lines that are no JSON`, 'maybe'));
  }

  /** The session hears of it once; the process and its children end at once. */
  async #fail(reason: UpstreamErrorInfo): Promise<void> {
    if (!this.#ended) {
      this.#ended = true;
      for (const flight of this.#unsent) flight.ended({ ...reason, sent: 'no' });
      this.onclose(reason);
    }
    await this.#running?.stop('at-once');
  }
}

function answeredId(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || 'method' in value || !('id' in value)) return undefined;
  return value.id;
}

function stderrTo(handlers: LinkHandlers, remember: (line: string) => void): (chunk: Buffer) => void {
  let reader = lineReader(STDERR_LINE_BYTES_MAX);
  let left = STDERR_BYTES_MAX;
  return (chunk) => {
    if (left <= 0) return;
    left -= chunk.length;
    const { lines, too_long } = reader.take(chunk);
    if (too_long) reader = lineReader(STDERR_LINE_BYTES_MAX);
    for (const line of lines) {
      if (line.trim() === '') continue;
      remember(plainWords(line, LAST_WORDS_CHARS));
      handlers.onstderr?.(line);
    }
  };
}

function reasonOf(
  problem: UpstreamErrorInfo['problem'],
  message: string,
  sent: UpstreamErrorInfo['sent'],
): UpstreamErrorInfo {
  return { problem, sent, status: null, message };
}
