import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** What the twins know of the bare repository that they front: asked of real git each time, nothing is remembered. */
const run = promisify(execFile);

export interface BareRepository {
  git(...args: string[]): Promise<string>;
  /** The commit of a branch; null when there is none. */
  tip(branch: string): Promise<string | null>;
}

export const TWIN_GIT_ENV: Readonly<Record<string, string>> = {
  PATH: '/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  LC_ALL: 'C',
};

export function bareRepository(path: string): BareRepository {
  const git = async (...args: string[]): Promise<string> =>
    (
      await run('git', ['--git-dir', path, ...args], {
        env: { ...TWIN_GIT_ENV },
        maxBuffer: 16 * 1024 * 1024,
      })
    ).stdout;
  return {
    git,
    tip: async (branch) => {
      const listed = await git('for-each-ref', '--format=%(objectname)', `refs/heads/${branch}`);
      return listed.trim() === '' ? null : listed.trim();
    },
  };
}
