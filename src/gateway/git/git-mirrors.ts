import { createHash } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../contract/ports.ts';
import type { GitRepository } from '../../contract/system-git.ts';
import { Turns } from '../turns.ts';
import { exists } from '../child-process.ts';
import { gitFailure, neverSent, runGit, type RemoteAccess } from './git-program.ts';

/**
 * Bare mirrors below AEGIS_HOME, one per remote: branches only, bounded in size and age. A mirror is a cache: one that
 * is damaged, too old or in many pieces is thrown away and fetched anew. It remembers by our own clock when each branch
 * moved (git's reflog) and when the remote was asked: dates inside commits are whatever their writers' clocks said.
 */
export interface Mirror {
  readonly git_dir: string;
  /** An empty folder of our own: what git takes for its user's home. */
  readonly home: string;
}

const AGE_MS_MAX = 7 * 24 * 3600 * 1000;
const PACKS_MAX = 200;
const FETCH_OUTPUT_BYTES_MAX = 1024 * 1024;
const FETCH_TIMES_MAX = 5000;
const FETCH_TIMES_FILE = 'aegis-fetches';
const FILES_LOOKED_AT_MAX = 100_000;

export interface FetchOptions {
  readonly access: RemoteAccess;
  /** The remote is not asked again while the last answer is younger. */
  readonly age_ms_max: number;
  readonly timeout_ms: number;
  readonly signal: AbortSignal | undefined;
}

export class GitMirrors {
  readonly #root: string;
  readonly #clock: Clock;
  readonly #fetched_at = new Map<string, number>();
  readonly #turns = new Turns();

  constructor(home: string, clock: Clock) {
    this.#root = join(home, 'git');
    this.#clock = clock;
  }

  /** The mirror, no older than asked for. @throws UpstreamError when the remote cannot be fetched. */
  refresh(name: string, repository: GitRepository, options: FetchOptions): Promise<Mirror> {
    const mirror = this.#mirrorOf(name, repository);
    return this.#turns.run(mirror.git_dir, async () => {
      const fetched = this.#fetched_at.get(mirror.git_dir);
      const now = this.#clock.now();
      if (fetched !== undefined && options.age_ms_max > 0 && now - fetched < options.age_ms_max)
        return mirror;
      await this.#prepare(mirror);
      await this.#fetch(mirror, repository, options, now);
      // The answer is as old as its question.
      this.#fetched_at.set(mirror.git_dir, now);
      await appendFile(join(mirror.git_dir, FETCH_TIMES_FILE), `${now}\n`);
      return mirror;
    });
  }

  /** A folder for one call; the caller removes it. */
  async scratch(): Promise<string> {
    const parent = join(this.#root, 'scratch');
    await mkdir(parent, { recursive: true, mode: 0o700 });
    return mkdtemp(join(parent, 'call-'));
  }

  #mirrorOf(name: string, { remote }: GitRepository): Mirror {
    const mark = createHash('sha256').update(remote).digest('hex').slice(0, 12);
    return { git_dir: join(this.#root, `${name}-${mark}.git`), home: join(this.#root, 'home') };
  }

  async #prepare(mirror: Mirror): Promise<void> {
    if (await this.#isWorn(mirror)) await rm(mirror.git_dir, { recursive: true, force: true });
    if (await exists(join(mirror.git_dir, 'HEAD'))) return;
    await mkdir(mirror.home, { recursive: true, mode: 0o700 });
    await mkdir(mirror.git_dir, { recursive: true, mode: 0o700 });
    const made = await runGit({
      args: ['init', '--quiet', '--bare', '--template=', '--initial-branch=aegis-none', mirror.git_dir],
      git_dir: mirror.git_dir,
      home: mirror.home,
      config: [],
      timeout_ms: 10_000,
      stdout_bytes_max: FETCH_OUTPUT_BYTES_MAX,
    });
    if (made.code !== 0) throw gitFailure(made, 'making the mirror');
    await writeFile(join(mirror.git_dir, FETCH_TIMES_FILE), '');
    await writeFile(join(mirror.git_dir, 'aegis-made-at'), String(this.#clock.now()));
  }

  async #isWorn({ git_dir }: Mirror): Promise<boolean> {
    const born = await stat(join(git_dir, 'aegis-made-at')).catch(() => null);
    // A mirror of an earlier version has branches without a history of their moves.
    if (born === null || !(await exists(join(git_dir, FETCH_TIMES_FILE)))) return true;
    if (this.#clock.now() - born.mtimeMs > AGE_MS_MAX) return true;
    const packs = await readdir(join(git_dir, 'objects', 'pack')).catch(() => []);
    return packs.filter((file) => file.endsWith('.pack')).length > PACKS_MAX;
  }

  async #fetch(
    mirror: Mirror,
    repository: GitRepository,
    options: FetchOptions,
    now_ms: number,
  ): Promise<void> {
    const first = await this.#fetchOnce(mirror, repository, options, now_ms);
    if (first === null) return;
    // A lock or a half-written file that a kill left behind; a remote that refuses says so a second time.
    if (first.info.sent === 'no' || first.info.problem !== 'failed') throw first;
    await rm(mirror.git_dir, { recursive: true, force: true });
    await this.#prepare(mirror);
    const second = await this.#fetchOnce(mirror, repository, options, now_ms);
    if (second !== null) throw second;
  }

  async #fetchOnce(
    mirror: Mirror,
    { remote, mirror_bytes_max }: GitRepository,
    { access, timeout_ms, signal }: FetchOptions,
    now_ms: number,
  ): Promise<ReturnType<typeof gitFailure> | null> {
    const exceeds = async (): Promise<boolean> => (await bytesBelow(mirror.git_dir)) > mirror_bytes_max;
    const result = await runGit({
      args: [
        'fetch',
        '--quiet',
        '--prune',
        '--force',
        '--no-tags',
        '--no-recurse-submodules',
        '--no-write-fetch-head',
        '--no-auto-maintenance',
        '--end-of-options',
        remote,
        '+refs/heads/*:refs/heads/*',
      ],
      git_dir: mirror.git_dir,
      home: mirror.home,
      config: [['core.logAllRefUpdates', 'always'], ...access.config],
      env: { ...reflogEnv(now_ms), ...access.env },
      timeout_ms,
      stdout_bytes_max: FETCH_OUTPUT_BYTES_MAX,
      signal,
      exceeds,
    });
    if (result.ended === 'too-large' || (result.code === 0 && (await exceeds()))) {
      await rm(mirror.git_dir, { recursive: true, force: true });
      throw neverSent(
        'too-large',
        `the repository is larger than mirror_bytes_max (${mirror_bytes_max} bytes)`,
      );
    }
    return result.code === 0 ? null : gitFailure(result, 'fetching the branches');
  }
}

/** When the remote was asked with success, oldest first, in milliseconds; the newest ones when there are many. */
export async function fetchTimes({ git_dir }: Mirror): Promise<readonly number[]> {
  const text = await readFile(join(git_dir, FETCH_TIMES_FILE), 'utf8').catch(() => '');
  const times = text.split('\n').map((line) => (/^\d{13}$/.test(line) ? Number(line) : Number.NaN));
  return times.filter((ms) => !Number.isNaN(ms)).slice(-FETCH_TIMES_MAX);
}

function reflogEnv(now_ms: number): Readonly<Record<string, string>> {
  return {
    GIT_COMMITTER_NAME: 'Aegis',
    GIT_COMMITTER_EMAIL: 'aegis@noreply.invalid',
    GIT_COMMITTER_DATE: `${Math.floor(now_ms / 1000)} +0000`,
    GIT_REFLOG_ACTION: 'fetch',
  };
}

/** Bytes of all files below a folder; files that vanish while it looks do not count. */
async function bytesBelow(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  if (names.length > FILES_LOOKED_AT_MAX) return Number.POSITIVE_INFINITY;
  let bytes = 0;
  for (const name of names) bytes += (await stat(join(folder, name)).catch(() => null))?.size ?? 0;
  return bytes;
}
