import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/**
 * A server's process: in its own process group, with its own empty HOME and working directory, and with nothing in its
 * environment but what is given here. It is ended by group; what has left the group is found by a mark in the
 * environment that children inherit (Linux). A small watchdog does the same if this process dies without a word.
 * What cannot be promised: a descendant that leaves the group AND clears its environment survives, and without `run_as`
 * a process of the same user can read that user's files wherever it finds them.
 */
export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Another user than ours, which only root can give. */
  readonly run_as?: { readonly uid: number; readonly gid: number } | undefined;
}

export interface RunningProcess {
  readonly child: ChildProcess;
  readonly home: string;
  /** Asks (SIGTERM), waits, forces (SIGKILL), sweeps what is left and removes the directory. Idempotent. */
  stop(how: 'gently' | 'at-once'): Promise<void>;
}

const MARK = 'AEGIS_UPSTREAM';
const GRACE_MS = 2000;
const POLL_MS = 20;
/** A process that forks while it is swept is found by the next pass. */
const SWEEPS_MAX = 5;

/** Reads until this process is gone (its end of the pipe closes), then ends the group, whatever carries the mark, and the directory. */
const WATCHDOG = `while read -r _; do :; done
kill -KILL -- "-$1" 2>/dev/null
grep -las -- "$2" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ pid _; do kill -KILL "$pid" 2>/dev/null; done
rm -rf -- "$3"`;

/** Programs of the machine and the Node that runs Aegis; an operator's own PATH comes through `env`. */
const PATH = [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter);

/** @throws Error of spawn (ENOENT, EACCES) when the command cannot be started. */
export async function startProcess(spec: ProcessSpec): Promise<RunningProcess> {
  const home = await mkdtemp(join(tmpdir(), 'aegis-upstream-'));
  const mark = randomBytes(16).toString('hex');
  const { run_as } = spec;
  let child: ChildProcess;
  try {
    if (run_as !== undefined) await chown(home, run_as.uid, run_as.gid);
    child = spawn(spec.command, [...spec.args], {
      cwd: home,
      env: { PATH, HOME: home, TMPDIR: home, ...spec.env, [MARK]: mark },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      shell: false,
      ...(run_as === undefined ? {} : run_as),
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
  child.on('error', () => undefined);
  const pid = child.pid as number;
  const watchdog = startWatchdog(pid, `${MARK}=${mark}`, home);
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const clear = async (): Promise<void> => {
    signalGroup(pid, 'SIGKILL');
    await sweep(`${MARK}=${mark}`);
    child.stdin?.destroy();
    child.stdout?.destroy();
    child.stderr?.destroy();
    await rm(home, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
    watchdog.kill('SIGKILL');
  };
  let stopping: Promise<void> | null = null;
  return {
    child,
    home,
    stop: (how) => (stopping ??= stopGroup(pid, how, exited).then(clear)),
  };
}

function startWatchdog(pid: number, mark: string, home: string): ChildProcess {
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG, 'aegis-watchdog', String(pid), mark, home], {
    env: { PATH },
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without a shell there is no watchdog; the closed pipe of stdin still ends every server that reads it.
  watchdog.on('error', () => undefined);
  watchdog.stdin?.on('error', () => undefined);
  watchdog.unref();
  (watchdog.stdin as unknown as { unref?(): void } | null)?.unref?.();
  return watchdog;
}

async function stopGroup(pid: number, how: 'gently' | 'at-once', exited: Promise<void>): Promise<void> {
  if (how === 'gently') {
    signalGroup(pid, 'SIGTERM');
    await waitGone(pid);
  }
  signalGroup(pid, 'SIGKILL');
  // The kernel may need a moment for a process in an uninterruptible wait; nobody waits for it longer than this.
  await Promise.race([exited, pause(GRACE_MS)]);
}

async function waitGone(pid: number): Promise<void> {
  for (let waited = 0; waited < GRACE_MS; waited += POLL_MS) {
    if (!signalGroup(pid, 0)) return;
    await pause(POLL_MS);
  }
}

/** False when the group has no member any more. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Ends what carries the mark outside of the group. Only Linux shows the environment of a process. */
async function sweep(mark: string): Promise<void> {
  if (process.platform !== 'linux') return;
  for (let pass = 0; pass < SWEEPS_MAX; pass += 1) {
    const found = await marked(mark);
    if (found.length === 0) return;
    for (const pid of found) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It is gone already.
      }
    }
    await pause(POLL_MS);
  }
}

async function marked(mark: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    // Processes of others and those that have just ended cannot be read, and are none of ours.
    const environment = await readFile(`/proc/${name}/environ`, 'latin1').catch(() => '');
    if (environment.includes(mark)) found.push(Number(name));
  }
  return found;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
