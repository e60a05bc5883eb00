import { stat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../contract/ports.ts';
import type { LedgerStore } from '../../store/store.ts';
import { loadPolicySet, POLICY_FILE, type PolicyLoad, type RuleServices } from './policy-set.ts';

/**
 * The policies in force, and their exchange while the service runs. Files are looked at by name, size and times, which
 * works for editors, for git and for mounted ConfigMaps (symbolic links that are swapped), where signals and file
 * events get lost. Two looks must agree before a set is loaded, so that half a `git pull` is not taken for a broken
 * one. A set that loads replaces the old one in one assignment; one that does not load leaves nothing in force.
 */
export interface PolicyChange {
  readonly previous_digest: string | null;
  /** Null: the new set did not load, so nothing is allowed. */
  readonly digest: string | null;
  readonly problems: readonly string[];
}

export interface PolicyKeeperDeps {
  readonly dir: string;
  readonly services: RuleServices;
  readonly ledger: Pick<LedgerStore, 'append'>;
  readonly log: Log;
}

/** Files that change at every look are loaded anyway after this many: an old set must not stay for ever. */
const UNSETTLED_LOOKS_MAX = 5;
const PROBLEMS_RECORDED_MAX = 20;
const PROBLEM_CHARS_MAX = 300;
const UNRECORDED = 'the SYSTEM chain could not be written, so the set is not in force';

export class PolicyKeeper {
  readonly #deps: PolicyKeeperDeps;
  #current: PolicyLoad;
  /** Marks of the files that are loaded, and of the last look. */
  #loaded: string;
  #seen: string;
  #unsettled = 0;
  #looking: Promise<PolicyChange | null> | null = null;

  private constructor(deps: PolicyKeeperDeps, load: PolicyLoad, marks: string) {
    this.#deps = deps;
    this.#current = load;
    this.#loaded = marks;
    this.#seen = marks;
  }

  /** Loads what is there. A store that cannot record it is a fault: there is no service without its ledger. */
  static async open(deps: PolicyKeeperDeps): Promise<PolicyKeeper> {
    const marks = await marksOf(deps.dir);
    const load = await loadPolicySet(deps.dir, deps.services);
    await record(deps, load, null);
    return new PolicyKeeper(deps, load, marks);
  }

  get current(): PolicyLoad {
    return this.#current;
  }

  /** One look at the files. Null: nothing was exchanged. Looks that overlap are one. */
  refresh(): Promise<PolicyChange | null> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #look(): Promise<PolicyChange | null> {
    const marks = await marksOf(this.#deps.dir);
    const settled = marks === this.#seen;
    this.#seen = marks;
    if (marks === this.#loaded) {
      this.#unsettled = 0;
      return null;
    }
    this.#unsettled += 1;
    if (!settled && this.#unsettled < UNSETTLED_LOOKS_MAX) return null;
    return this.#exchange(marks);
  }

  async #exchange(marks: string): Promise<PolicyChange | null> {
    const previous = this.#current;
    const previous_digest = previous.set?.digest ?? null;
    const load = await loadPolicySet(this.#deps.dir, this.#deps.services);
    this.#unsettled = 0;
    this.#loaded = marks;
    const digest = load.set?.digest ?? null;
    if (digest !== null && digest === previous_digest) return null;
    // Until the exchange stands in the chain neither set may decide anything.
    this.#current = { ...load, set: null, problems: [...load.problems, UNRECORDED] };
    try {
      await record(this.#deps, load, previous_digest);
    } catch (error) {
      this.#loaded = '';
      this.#deps.log.error({ error: String(error) }, `policies were changed: ${UNRECORDED}`);
      return { previous_digest, digest: null, problems: [UNRECORDED] };
    }
    this.#current = load;
    return { previous_digest, digest, problems: load.problems };
  }
}

/** Name, inode, size and times of every policy file; an unreadable directory has a mark of its own. */
async function marksOf(dir: string): Promise<string> {
  try {
    const names = (await readdir(dir)).filter((name) => POLICY_FILE.test(name)).sort();
    const marks = await Promise.all(
      names.map(async (name) => {
        const { ino, size, mtimeMs, ctimeMs } = await stat(join(dir, name));
        return [name, ino, size, mtimeMs, ctimeMs].join(' ');
      }),
    );
    return marks.join('\n');
  } catch (error) {
    return `unreadable: ${(error as { code?: string }).code ?? 'unknown'}`;
  }
}

/** Which rules are in force is part of the story: the SYSTEM chain says so at each load. */
async function record(
  { ledger, log }: PolicyKeeperDeps,
  { set, files, problems }: PolicyLoad,
  previous_digest: string | null,
): Promise<void> {
  const payload = {
    type: 'policies_loaded',
    in_force: set !== null,
    previous_digest,
    digest: set?.digest ?? null,
    files: [...files],
    problems: problems.map((one) => one.slice(0, PROBLEM_CHARS_MAX)).slice(0, PROBLEMS_RECORDED_MAX),
  };
  await ledger.append('SYSTEM', [{ kind: 'event', actor: 'aegis:gateway', payload }]);
  if (set === null)
    log.error({ problems: payload.problems }, 'policies are not in force: nothing is allowed');
  else if (previous_digest !== null)
    log.warn({ digest: set.digest, previous_digest }, 'policies were exchanged: open approvals are void');
}
