import { spawn, type ChildProcess } from 'node:child_process';
import { stat } from 'node:fs/promises';

/**
 * Runs a program of the gateway's own choosing: no shell, its own process group, exactly the environment that is
 * given, bounded output and a deadline after which the whole group is killed. What it prints is data.
 */
export interface ChildRequest {
  /** A name to look for in `env.PATH`, or an absolute path. */
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  readonly timeout_ms: number;
  readonly stdout_bytes_max: number;
  readonly signal?: AbortSignal | undefined;
  /** Time between the polite signal and the one that cannot be refused; 0: killed at once. */
  readonly grace_ms?: number;
  /** Asked a few times a second while it runs; true ends it as `too-large`. */
  readonly exceeds?: () => Promise<boolean>;
}

export interface ChildResult {
  readonly ended: 'exit' | 'timeout' | 'aborted' | 'too-large' | 'not-started';
  /** Exit code; null when it was killed or never ran. */
  readonly code: number | null;
  readonly stdout: Buffer;
  /** The beginning of what it complained about. */
  readonly stderr: string;
}

const STDERR_BYTES_MAX = 64 * 1024;
const EXCEEDS_EVERY_MS = 250;
/** A grandchild that left the group may keep the pipes open; nobody waits for it longer. */
const PIPES_MS_MAX = 500;

export function runChild(request: ChildRequest): Promise<ChildResult> {
  if (request.signal?.aborted === true) return Promise.resolve(nothing('aborted', ''));
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      child = spawn(request.program, [...request.args], {
        cwd: request.cwd,
        env: { ...request.env },
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe'],
      });
    } catch (error) {
      resolve(nothing('not-started', (error as Error).message));
      return;
    }
    watch(child, request, resolve);
  });
}

function nothing(ended: ChildResult['ended'], stderr: string): ChildResult {
  return { ended, code: null, stdout: Buffer.alloc(0), stderr };
}

function watch(child: ChildProcess, request: ChildRequest, resolve: (result: ChildResult) => void): void {
  let ended: ChildResult['ended'] = 'exit';
  let settled = false;
  const out = collect(child, 'stdout', request.stdout_bytes_max, () => stop('too-large'));
  const err = collect(child, 'stderr', STDERR_BYTES_MAX, () => undefined);
  const timers: NodeJS.Timeout[] = [];
  const stop = (why: ChildResult['ended']): void => {
    if (ended !== 'exit') return;
    ended = why;
    const grace_ms = request.grace_ms ?? 0;
    if (grace_ms > 0) signalGroup(child, 'SIGINT');
    timers.push(setTimeout(() => signalGroup(child, 'SIGKILL'), grace_ms));
  };
  const abort = (): void => stop('aborted');
  request.signal?.addEventListener('abort', abort, { once: true });
  timers.push(setTimeout(() => stop('timeout'), request.timeout_ms));
  const exceeds = request.exceeds;
  const looking =
    exceeds === undefined
      ? null
      : setInterval(() => void exceeds().then((over) => over && stop('too-large')), EXCEEDS_EVERY_MS);
  const finish = (result: ChildResult): void => {
    if (settled) return;
    settled = true;
    for (const timer of timers) clearTimeout(timer);
    if (looking !== null) clearInterval(looking);
    request.signal?.removeEventListener('abort', abort);
    // Whatever it left behind in its group ends with it.
    signalGroup(child, 'SIGKILL');
    resolve(result);
  };
  const done = (code: number | null): void =>
    finish({ ended, code: ended === 'exit' ? code : null, stdout: out(), stderr: err().toString('utf8') });
  child.once('error', (error) => finish(nothing('not-started', error.message)));
  child.once('exit', (code) => timers.push(setTimeout(() => done(code), PIPES_MS_MAX)));
  child.once('close', done);
  // A program that does not read its input closes the pipe; its exit code tells what it thought.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(request.input ?? '');
}

function collect(
  child: ChildProcess,
  name: 'stdout' | 'stderr',
  bytes_max: number,
  over: () => void,
): () => Buffer {
  const chunks: Buffer[] = [];
  let bytes = 0;
  child[name]?.on('data', (chunk: Buffer) => {
    const left = bytes_max - bytes;
    if (left > 0) chunks.push(chunk.subarray(0, left));
    bytes += chunk.length;
    if (bytes > bytes_max) over();
  });
  return () => Buffer.concat(chunks);
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}

/** Whether the path exists; used to tell "not installed" from "failed". */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
