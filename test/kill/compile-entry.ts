import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { build } from 'esbuild';

const ROOT = join(import.meta.dirname, '..', '..');
/** What a compiled file finds beside it, as in the repository. */
const BESIDE = ['node_modules', 'migrations', 'policies', 'skills'];

export interface CompiledEntry {
  /** Path of the JavaScript file. */
  readonly file: string;
  remove(): void;
}

/** Packages that find a file of theirs beside themselves: native code, WebAssembly, a worker. */
const WITH_FILES = ['@cedar-policy/cedar-wasm', 'better-sqlite3', 'libpg-query', 'pino'];
/** What CommonJS packages expect, in a module. */
const COMMONJS = `
import { createRequire as aegisRequire } from 'node:module';
const require = aegisRequire(import.meta.url);
const [__filename, __dirname] = [import.meta.filename, import.meta.dirname];`;

/**
 * Compiles an entry of the tests (absolute path) and what it imports into one file. Most of a start is finding and
 * loading a thousand modules: an entry that is started many times costs a quarter less so, and a third of tsx.
 */
export async function compileEntry(entry: string): Promise<CompiledEntry> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-compiled-'));
  const file = join(dir, relative(ROOT, entry).replace(/\.ts$/, '.js'));
  await build({
    entryPoints: [entry],
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    keepNames: true,
    external: WITH_FILES,
    banner: { js: COMMONJS },
    logLevel: 'silent',
  });
  for (const name of BESIDE) symlinkSync(join(ROOT, name), join(dir, name));
  copyFileSync(join(ROOT, 'package.json'), join(dir, 'package.json'));
  return { file, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

const known = new Map<string, Promise<CompiledEntry>>();

/** The same, once for a test file, gone when its process ends. Path of the JavaScript file. */
export async function compiledOnce(entry: string): Promise<string> {
  let compiled = known.get(entry);
  if (compiled === undefined) {
    compiled = compileEntry(entry);
    known.set(entry, compiled);
    void compiled.then((made) => process.once('exit', () => made.remove()));
  }
  return (await compiled).file;
}
