import { z } from 'zod';
import { writeTool, type WriteTool } from '../driver.ts';
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

type Half<Args> = Pick<WriteTool<Args>, 'touched' | 'preview' | 'observe' | 'apply'>;

/** A tool of two halves under one name: the change, and the restore that takes exactly such a change back. */
export function changeOrRestore<Args extends object>(
  change: Half<Args>,
  restore: Half<RestoreArgs>,
): Half<Args | RestoreArgs> {
  const takesBack = (args: Args | RestoreArgs): args is RestoreArgs => 'restore' in args;
  return {
    touched: (args, place) => (takesBack(args) ? restore.touched(args, place) : change.touched(args, place)),
    preview: (lent, args) => (takesBack(args) ? restore.preview(lent, args) : change.preview(lent, args)),
    observe: (lent, args) => (takesBack(args) ? restore.observe(lent, args) : change.observe(lent, args)),
    apply: (lent, args) => (takesBack(args) ? restore.apply(lent, args) : change.apply(lent, args)),
  };
}

export const GIT_COMMIT = writeTool<CommitArgs | RestoreArgs>({
  ...WRITES,
  name: 'git.commit',
  description:
    'Commits whole files on a branch that is not protected, new or existing, on top of a named commit; restore takes exactly such a commit back.',
  input: z.union([CommitArgs, RestoreArgs]),
  undo: restoreOf,
  ...changeOrRestore<CommitArgs>(
    { touched: touchedByCommit, preview: previewCommit, observe: observeCommit, apply: applyCommit },
    { touched: touchedByRestore, preview: previewRestore, observe: observeRestore, apply: applyRestore },
  ),
});
