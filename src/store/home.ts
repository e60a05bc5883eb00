import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';

/** Where things lie in AEGIS_HOME. Everything in it belongs to one account alone. */
export interface Home {
  readonly dir: string;
  readonly database: string;
  readonly keys: string;
  readonly blobs: string;
  /** True until the database has been written for the first time: only then new keys may be made. */
  readonly first_start: boolean;
  /** One lock file per living process that works on effects. */
  readonly owners: string;
  readonly witness: string;
  /** Its presence freezes everything; its text is the reason. */
  readonly freeze_file: string;
}

/** Where the checkpoints of a home are told besides its database. */
export function witnessFile(dir: string): string {
  return join(dir, 'witness.jsonl');
}

/**
 * Names the parts of AEGIS_HOME and checks that nobody else can read or write them.
 *
 * @throws Error when a folder or file is open to the group or the world: keys and evidence lie there.
 */
export function openHome(dir: string, readonly: boolean): Home {
  const database = join(dir, 'aegis.db');
  const home: Home = {
    dir,
    database,
    first_start: !readonly && (statOf(database)?.size ?? 0) === 0,
    keys: join(dir, 'keys'),
    blobs: join(dir, 'blobs'),
    owners: join(dir, 'owners'),
    witness: witnessFile(dir),
    freeze_file: join(dir, 'FREEZE'),
  };
  for (const folder of [home.dir, home.keys, home.blobs, home.owners]) {
    if (!readonly && mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined)
      chmodSync(folder, 0o700);
    refuseOpenModes(folder);
  }
  if (!readonly) createPrivate(home.database);
  for (const file of [home.database, home.witness]) if (statOf(file) !== null) refuseOpenModes(file);
  return home;
}

/** @throws Error naming path, mode and the command that repairs it. */
export function refuseOpenModes(path: string): void {
  const stat = statOf(path);
  if (stat === null)
    throw new Error(
      `${path} does not exist; start Aegis once with this AEGIS_HOME or point AEGIS_HOME at the right folder`,
    );
  const mode = stat.mode & 0o777;
  if ((mode & 0o077) === 0) return;
  const wanted = stat.isDirectory() ? '700' : '600';
  throw new Error(
    `${path} has mode ${mode.toString(8)}: other accounts can reach keys and evidence; run: chmod ${wanted} ${path}`,
  );
}

/** Creates an empty file with mode 0600 unless it exists. SQLite gives -wal and -shm the mode of the database. */
function createPrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
}

/** Reason in the FREEZE file, null when there is none. A file that cannot be read still freezes: fail closed. */
export function readFreezeFile(home: Home): { reason: string; since_ms: number } | null {
  let stat: Stats;
  try {
    stat = lstatSync(home.freeze_file);
  } catch (error) {
    if (isMissing(error)) return null;
    return { reason: 'the FREEZE file cannot be looked at', since_ms: 0 };
  }
  const since_ms = Math.trunc(stat.mtimeMs);
  try {
    const text = readFileSync(home.freeze_file, 'utf8').trim().slice(0, 500);
    return { reason: text === '' ? 'FREEZE file without a reason' : text, since_ms };
  } catch {
    return { reason: 'FREEZE file that cannot be read', since_ms };
  }
}

/** Writes a whole new file and makes it durable; the folder entry is the caller's to sync. */
export function writeDurably(path: string, data: Uint8Array): void {
  const file = openSync(path, 'w', 0o600);
  try {
    for (let at = 0; at < data.length;) at += writeSync(file, data, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** A rename survives a power cut only when its folder was synced. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
