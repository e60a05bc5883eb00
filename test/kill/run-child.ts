import { spawn } from 'node:child_process';

/** How one life of a child process ended. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const TIMEOUT_MS = 30_000;

/**
 * Runs an entry, TypeScript or compiled, in a process of its own, with nothing of the caller's environment but what a process needs.
 *
 * @throws Error with the child's last words when it is still alive after `timeout_ms`.
 */
export async function runChild(
  entry: string,
  options: {
    env?: Readonly<Record<string, string>>;
    args?: readonly string[];
    timeout_ms?: number;
    /** Called with the process id before the child does anything. */
    started?: (pid: number) => void;
  } = {},
): Promise<ChildEnd> {
  const { timeout_ms = TIMEOUT_MS } = options;
  const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...options.env };
  const loader = entry.endsWith('.ts') ? ['--import', 'tsx'] : [];
  const child = spawn(process.execPath, [...loader, entry, ...(options.args ?? [])], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (child.pid !== undefined) options.started?.(child.pid);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, timeout_ms);
  const end = await new Promise<ChildEnd>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  }).finally(() => clearTimeout(timer));
  if (late) throw new Error(`${entry} was still running after ${timeout_ms} ms\n${stdout}\n${stderr}`);
  return end;
}
