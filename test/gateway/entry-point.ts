import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where a server from npm starts: run as `node <path>`, never through npx, so that no second process stands between. */
export function entryPoint(name: string, file: string): string {
  const path = join(process.cwd(), 'node_modules', name, file);
  if (!existsSync(path)) throw new Error(`${name} is not installed: npm ci`);
  return path;
}
