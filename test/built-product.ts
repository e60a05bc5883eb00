import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Tests that run the product as a process of its own run what people run: `dist`. This global set-up compiles it when a
 * source is newer, so that no test ever meets an old build.
 */
const ROOT = join(import.meta.dirname, '..');
export const BUILT_ENTRY = join(ROOT, 'dist', 'cli', 'aegis.js');

export default function compileWhenStale(): void {
  const built_ms = statSync(BUILT_ENTRY, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true });
  const newest_ms = Math.max(
    ...sources.map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs),
    statSync(join(ROOT, 'tsconfig.build.json')).mtimeMs,
  );
  if (newest_ms < built_ms) return;
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
}
