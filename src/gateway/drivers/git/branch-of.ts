import type { GitRepository } from '../../../contract/system-git.ts';
import { UpstreamError } from '../../upstream-error.ts';
import { branchOfTarget, branchProblem } from '../../git/branch-names.ts';
import type { CallHandle } from '../driver.ts';
import type { DriverGit } from '../driver-git.ts';

/** What every tool needs of its handle. */
export function gitOf({ git }: CallHandle): DriverGit {
  if (git === undefined) throw new Error('the call has no git face');
  return git;
}

export function repositoryOf({ upstream }: CallHandle): GitRepository {
  if (upstream.system !== 'git') throw new Error(`${upstream.system} is not a repository`);
  return upstream.config;
}

/** The branch that the target names. @throws UpstreamError `invalid`. */
export function branchOf({ target }: CallHandle): string {
  const branch = branchOfTarget(target.name);
  if (branch === null) throw invalid('the target names no branch');
  const problem = branchProblem(branch);
  if (problem !== null) throw invalid(`"${branch}" is no name for a branch: ${problem}`);
  return branch;
}

export function invalid(message: string): UpstreamError {
  return new UpstreamError({ problem: 'invalid', sent: 'no', status: null, message });
}

export function missing(message: string): UpstreamError {
  return new UpstreamError({ problem: 'not-found', sent: 'no', status: null, message });
}

export function moved(message: string): UpstreamError {
  return new UpstreamError({ problem: 'conflict', sent: 'no', status: null, message });
}
