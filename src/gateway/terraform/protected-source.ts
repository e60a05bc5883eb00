import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import type { Lease } from '../credentials/lease.ts';
import { isProtected } from '../git/branch-names.ts';
import { exportTree } from '../git/export-tree.ts';
import { neverSent } from '../git/git-program.ts';
import type { LendGitOptions } from '../git/git-session.ts';
import { openSession } from '../git/git-session.ts';
import { lendGit } from '../git/lend-git.ts';

/** A commit of a protected branch (null: its tip) with a way to write its files below a folder. */
export type ProtectedSource = (
  commit: string | null,
  work: (commit: string, writeTo: (folder: string) => Promise<void>) => Promise<void>,
) => Promise<void>;

/**
 * What people have reviewed and merged: the only text that Terraform is ever given. The repository is read with its
 * own credential, leased for this and given back.
 */
export function protectedSource(
  options: Omit<LendGitOptions, 'credential' | 'mode' | 'branch'>,
  branch: string,
  lease: () => Promise<Lease | Refusal>,
): ProtectedSource {
  return async (wanted, work) => {
    if (!isProtected(options.repository.protected, branch))
      throw neverSent('blocked', `${branch} is not a protected branch of ${options.name}`);
    const leased = await lease();
    if (isRefusal(leased)) throw neverSent('unauthorized', leased.reason);
    try {
      const lent = { ...options, mode: 'read' as const, branch, credential: leased.credential };
      const git = lendGit(lent);
      await git.refresh('recent');
      const tip = (await git.branches()).get(branch);
      if (tip === undefined) throw neverSent('not-found', `${options.name} has no branch ${branch}`);
      const commit = wanted ?? tip;
      if (!(await git.isAncestor(commit, tip)))
        throw neverSent('not-found', `${branch} has no commit ${commit.slice(0, 12)}`);
      await work(commit, async (folder) => {
        const session = openSession(lent);
        await session.refresh('recent');
        await exportTree(session, commit, folder, isConfiguration);
      });
    } finally {
      await leased.release();
    }
  };
}

/** Not what a run leaves behind or looks for programs in: state, downloaded providers and modules, settings. */
function isConfiguration(path: string): boolean {
  const parts = path.split('/');
  if (parts.some((part) => part === '.terraform' || part === 'terraform.d')) return false;
  return !/(?:\.tfstate(?:\..*)?|^\.terraformrc|^terraform\.rc|\.tfplan)$/.test(parts.at(-1) ?? '');
}
