import { z } from 'zod';
import { writeTool } from '../driver.ts';
import {
  applyCommit,
  applyRestore,
  observeCommit,
  observeRestore,
  previewCommit,
  previewRestore,
} from './branch-change.ts';
import { CommitArgs, RestoreArgs, restoreOf, touchedByCommit, touchedByRestore } from './commit-plan.ts';

export const WRITES = {
  system: 'git',
  base_class: 'write' as const,
  target_kinds: ['branch'],
  dry_run: 'pure' as const,
  timeout_ms_max: 120_000,
  result_bytes_max: 4 * 1024 * 1024,
  // The server moves a branch only from the commit that is named, and opens no second request for it.
  conditional: true,
};

export const GIT_COMMIT = writeTool<CommitArgs | RestoreArgs>({
  ...WRITES,
  name: 'git.commit',
  description:
    'Commits whole files on a branch that is not protected, new or existing, on top of a named commit; restore takes exactly such a commit back.',
  input: z.union([CommitArgs, RestoreArgs]),
  touched: (args) => ('restore' in args ? touchedByRestore(args) : touchedByCommit(args)),
  undo: restoreOf,
  preview: (handle, args) => ('restore' in args ? previewRestore(handle, args) : previewCommit(handle, args)),
  observe: (handle, args) => ('restore' in args ? observeRestore(handle, args) : observeCommit(handle, args)),
  apply: (handle, args) => ('restore' in args ? applyRestore(handle, args) : applyCommit(handle, args)),
});
