import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Turns } from '../turns.ts';

/**
 * Checkouts of this process below AEGIS_HOME, one per workspace and commit, a few at a time; what a dead process left
 * is removed. Whatever runs on one workspace runs in turn.
 */
const CHECKOUTS_MAX = 4;

export class WorkFolders {
  readonly #root: string;
  readonly #made = new Map<string, Promise<string>>();
  readonly #turns = new Turns();
  #swept: Promise<void> | null = null;

  constructor(home: string) {
    this.#root = join(home, 'terraform', 'work');
  }

  inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(key, work);
  }

  /** The folder of a key, filled once by `fill`. */
  async folder(key: string, fill: (folder: string) => Promise<void>): Promise<string> {
    await (this.#swept ??= this.#sweep());
    const known = this.#made.get(key);
    if (known !== undefined) {
      // The newest stands last.
      this.#made.delete(key);
      this.#made.set(key, known);
      return known;
    }
    const made = this.#make(key, fill);
    this.#made.set(key, made);
    made.catch(() => this.#made.delete(key));
    await this.#forgetOldest();
    return made;
  }

  async close(): Promise<void> {
    this.#made.clear();
    await rm(this.#own(), { recursive: true, force: true });
  }

  async #make(key: string, fill: (folder: string) => Promise<void>): Promise<string> {
    const folder = join(this.#own(), key);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await fill(folder);
    return folder;
  }

  async #forgetOldest(): Promise<void> {
    for (const [key, made] of this.#made) {
      if (this.#made.size <= CHECKOUTS_MAX) return;
      this.#made.delete(key);
      const folder = await made.catch(() => null);
      if (folder !== null) await rm(folder, { recursive: true, force: true });
    }
  }

  #own(): string {
    return join(this.#root, String(process.pid));
  }

  async #sweep(): Promise<void> {
    for (const name of await readdir(this.#root).catch(() => []))
      if (!isAlive(Number(name))) await rm(join(this.#root, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
