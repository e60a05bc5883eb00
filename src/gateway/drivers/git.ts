import type { Driver } from './driver.ts';
import { GIT_BLAME, GIT_BRANCHES, GIT_DIFF, GIT_LOG, GIT_SHOW_FILE } from './git/read-tools.ts';
import { GIT_CHANGE_REQUEST } from './git/change-request.ts';
import { GIT_COMMIT } from './git/commit.ts';
import { GIT_COMMITS } from './git/commits.ts';

/** `mcp://git/<repository>/-/branch/<branch>`: a git repository and the forge that it lives on. */
export const GIT_DRIVER: Driver = {
  system: 'git',
  tools: [
    GIT_LOG,
    GIT_SHOW_FILE,
    GIT_DIFF,
    GIT_BLAME,
    GIT_BRANCHES,
    GIT_COMMITS,
    GIT_COMMIT,
    GIT_CHANGE_REQUEST,
  ],
};
