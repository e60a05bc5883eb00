import { spawn } from 'node:child_process';
import { vi } from 'vitest';
import { CliError } from '../../src/cli/output.ts';
import { BUILT_ENTRY } from '../built-product.ts';

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs one verb as a person would: a process of its own, nothing of our environment. */
export function aegis(
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>>; input?: string } = {},
): Promise<Ran> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...options.env };
  const child = spawn(process.execPath, [BUILT_ENTRY, ...args], {
    cwd: options.cwd,
    env,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  // A verb may end before it has read what it was given.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input);
  let [out, err] = ['', ''];
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

/** Runs a verb's function here, which costs no process: what it prints, and the exit code that it asks for. */
export async function inProcess(verb: () => unknown): Promise<Ran> {
  let [out, err] = ['', ''];
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
      out += String(chunk);
      return true;
    }),
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
      err += String(chunk);
      return true;
    }),
  ];
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await verb();
    const asked = process.exitCode as number | undefined;
    return { code: asked ?? 0, out, err };
  } catch (error) {
    return { code: error instanceof CliError ? error.exit_code : 1, out, err: (error as Error).message };
  } finally {
    process.exitCode = before;
    for (const spy of spies) spy.mockRestore();
  }
}

/** What `--json` printed. */
export function json({ out }: Ran): Record<string, unknown> {
  return JSON.parse(out) as Record<string, unknown>;
}
