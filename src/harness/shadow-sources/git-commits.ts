import type { SeenChange, Unseen } from '../../contract/shadow.ts';
import type { EffectInput } from '../effects/effect.ts';
import { readCommits, type ClaimedCommit } from '../shadow/commits.ts';
import { incidentOf } from '../state.ts';
import type { ReadSession } from '../world-session.ts';
import { readActs } from './read-acts.ts';
import type { Looked, ShadowSource } from './source.ts';

/** Commits of one look at one repository. */
const COMMITS_READ_MAX = 100;
/**
 * Commits that one incident takes note of: far fewer than an incident keeps, so that none is dropped there, seen again
 * and told again. The last ones are for those that touch a file of the plan, so that no flood hides them.
 */
const COMMITS_TAKEN_MAX = 50;
const OTHERS_TAKEN_MAX = 40;

/** What people committed since the incident opened, in the repositories that its environment owned then. */
export const gitCommits: ShadowSource = {
  source: 'git-commits',
  async look(input, read) {
    const repositories = incidentOf(input.context).shadow?.repositories ?? [];
    const known = (input.context.shadow?.seen ?? []).filter(({ commit }) => commit !== undefined);
    const keys = new Set(known.map(({ key }) => key));
    const changes: SeenChange[] = [];
    const unseen: Unseen[] = [];
    let outage = false;
    for (const repository of repositories) {
      const seen = await lookAt(input, read, repository);
      const fresh = seen.changes.filter(({ key }) => !keys.has(key));
      const taken = takeWithin(fresh, seen.near, known.length + changes.length);
      changes.push(...taken);
      unseen.push(...seen.unseen);
      if (taken.length < fresh.length)
        unseen.push(gap(repository, `${fresh.length - taken.length} more commits, which were not compared`));
      outage ||= seen.outage;
    }
    return { changes, unseen, outage };
  },
};

function takeWithin(
  fresh: readonly SeenChange[],
  near: ReadonlySet<string>,
  before: number,
): readonly SeenChange[] {
  const first = fresh.filter(({ key }) => near.has(key)).slice(0, Math.max(0, COMMITS_TAKEN_MAX - before));
  const room = Math.max(0, OTHERS_TAKEN_MAX - before - first.length);
  return [...first, ...fresh.filter(({ key }) => !near.has(key)).slice(0, room)];
}

interface RepositoryLook extends Looked {
  readonly near: ReadonlySet<string>;
}

async function lookAt(input: EffectInput, read: ReadSession, repository: string): Promise<RepositoryLook> {
  const found = await readActs(input, read, {
    file: `change/${repository}/commits.yaml`,
    more: { limit: COMMITS_READ_MAX },
    why_needed: 'shadow: what people commit',
    place: `git/${repository}/*`,
    parse: (text) => judgeFile(input, repository, text),
  });
  return 'near' in found ? found : { ...found, near: new Set() };
}

async function judgeFile(
  input: EffectInput,
  repository: string,
  text: string,
): Promise<RepositoryLook | null> {
  const planned = input.context.shadow?.compared?.actions ?? [];
  const look = readCommits(text, input.deps.settings.shadow.robots, planned);
  if (look === null) return null;
  const unseen: Unseen[] = [];
  if (look.more) unseen.push(gap(repository, `more than the newest ${COMMITS_READ_MAX} commits`));
  if (look.undated > 0)
    unseen.push(gap(repository, `${look.undated} commits with dates that cannot be true`));
  const foreign = await notOwn(input, look.claimed);
  const [first] = foreign;
  if (first !== undefined)
    unseen.push(
      gap(
        repository,
        `${first.commit.slice(0, 10)}${foreign.length > 1 ? ` and ${foreign.length - 1} more` : ''} under the identity of Aegis, made by somebody else`,
      ),
    );
  return { changes: look.changes, near: look.near, unseen, outage: false };
}

/** Identity and trailers can be copied; the journal knows what was sent. */
async function notOwn({ deps }: EffectInput, claimed: readonly ClaimedCommit[]): Promise<ClaimedCommit[]> {
  const foreign: ClaimedCommit[] = [];
  for (const each of claimed) {
    const row = await deps.store.journal.get(`${each.incident_id}#${each.change_id}#apply`);
    const result = row?.outcome?.result as { readonly commit?: unknown } | null | undefined;
    // Sent, and no answer came: it may be ours.
    const open = row?.status === 'dispatched' || row?.status === 'outcome_unknown';
    if (row?.tool.startsWith('git.') !== true || (result?.commit !== each.commit && !open))
      foreign.push(each);
  }
  return foreign;
}

function gap(repository: string, why: string): Unseen {
  return { place: `git/${repository}/*`, why: why.slice(0, 300) };
}
