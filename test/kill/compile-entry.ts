import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '..', '..');
/** What a compiled file finds beside it, as in the repository. */
const BESIDE = ['node_modules', 'migrations', 'policies', 'skills'];

export interface CompiledEntry {
  /** Path of the JavaScript file. */
  readonly file: string;
  remove(): void;
}

/** Compiles an entry of the tests (absolute path) and what it imports: started many times, it then costs a third of tsx each time. */
export async function compileEntry(entry: string): Promise<CompiledEntry> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-compiled-'));
  const options = ['--ignoreConfig', '--noCheck', '--skipLibCheck', '--rewriteRelativeImportExtensions'];
  const target = [
    '--target',
    'es2023',
    '--module',
    'nodenext',
    '--moduleResolution',
    'nodenext',
    '--types',
    'node',
  ];
  const places = ['--rootDir', ROOT, '--outDir', dir];
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  await promisify(execFile)(process.execPath, [tsc, ...options, ...target, ...places, entry], {
    cwd: ROOT,
  });
  for (const name of BESIDE) symlinkSync(join(ROOT, name), join(dir, name));
  copyFileSync(join(ROOT, 'package.json'), join(dir, 'package.json'));
  return {
    file: join(dir, relative(ROOT, entry).replace(/\.ts$/, '.js')),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
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
