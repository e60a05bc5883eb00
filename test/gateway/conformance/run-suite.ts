import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

/** Runs the installed conformance suite as a program of its own and reads the files that it writes. */
const SUITE = join(
  import.meta.dirname,
  '../../../node_modules/@modelcontextprotocol/conformance/dist/index.js',
);

const Checks = z.array(z.object({ id: z.string(), status: z.string(), errorMessage: z.string().optional() }));

export interface SuiteRun {
  readonly exit_code: number;
  /** Scenario -> its checks, sorted: `<id> <status>`. */
  readonly scenarios: Readonly<Record<string, readonly string[]>>;
  readonly passed: number;
  /** Failed checks with the suite's words, for the message of a red test. */
  readonly failures: readonly string[];
}

/** @param args what follows the program's name; `-o` is added. */
export async function runSuite(args: readonly string[]): Promise<SuiteRun> {
  const results = mkdtempSync(join(tmpdir(), 'aegis-conformance-'));
  try {
    const child = spawn(process.execPath, [SUITE, ...args, '-o', results], { stdio: 'ignore' });
    const [exit_code] = (await once(child, 'exit')) as [number];
    return { exit_code, ...readResults(results) };
  } finally {
    rmSync(results, { recursive: true, force: true });
  }
}

function readResults(directory: string): Omit<SuiteRun, 'exit_code'> {
  const scenarios: Record<string, string[]> = {};
  const failures: string[] = [];
  let passed = 0;
  for (const name of readdirSync(directory).sort()) {
    const scenario = name.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '');
    const checks = Checks.parse(JSON.parse(readFileSync(join(directory, name, 'checks.json'), 'utf8')));
    scenarios[scenario] = checks.map(({ id, status }) => `${id} ${status}`).sort();
    passed += checks.filter(({ status }) => status === 'SUCCESS').length;
    for (const { id, status, errorMessage } of checks)
      if (status === 'FAILURE') failures.push(`${scenario}: ${id}: ${errorMessage ?? ''}`);
  }
  return { scenarios, passed, failures };
}
