import { z } from 'zod';
import { sha256Hex } from '../../../contract/canonical.ts';
import type { ChangeOrigin, TouchedField } from '../driver.ts';
import type { CommitWords } from '../driver-git.ts';
import { blobId, pathsProblem, touchedPointer } from './file-paths.ts';
import { CommitId, FilePath } from './read-tools.ts';

/** Arguments of a commit, and what they touch. Pure. */
const FILE_CHARS_MAX = 128 * 1024;
const CHANGE_CHARS_MAX = 256 * 1024;
const FILES_MAX = 30;

const FileChange = z.strictObject({
  path: FilePath,
  /** The whole new text; null removes the file. */
  content: z.string().max(FILE_CHARS_MAX).nullable(),
  /** Left out: as it is, and not executable for a new file. */
  executable: z.boolean().optional(),
});
export type FileChange = z.infer<typeof FileChange>;

const Files = z
  .array(FileChange)
  .min(1)
  .max(FILES_MAX)
  .superRefine((files, context) => {
    const problem = pathsProblem(files.map((file) => file.path));
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
    const chars = files.reduce((sum, file) => sum + (file.content?.length ?? 0), 0);
    if (chars > CHANGE_CHARS_MAX)
      context.addIssue({ code: 'custom', message: `more than ${CHANGE_CHARS_MAX} characters in all` });
    if (files.some((file) => file.content?.includes('\0') === true))
      context.addIssue({ code: 'custom', message: 'a file is not text' });
    if (files.some((file) => /\p{Surrogate}/u.test(file.content ?? '')))
      context.addIssue({ code: 'custom', message: 'a file is not well-formed Unicode' });
  });

/** Lines of ours at the end of a message; nobody else may write them. */
const TRAILER = /^\s*aegis-/im;

export const COMMIT_FIELDS = {
  /** The commit that the new one stands on; an existing branch must point at it. */
  parent: CommitId,
  subject: z
    .string()
    .min(1)
    .max(100)
    .regex(/^[^\p{C}\s][^\p{C}]*$/u, 'one line without control characters')
    .refine((subject) => !TRAILER.test(subject), 'begins like a line that Aegis writes itself'),
  body: z
    .string()
    .max(5000)
    .regex(/^(?:[^\p{C}]|[\n\t])*$/u, 'text without control characters')
    .refine((body) => !TRAILER.test(body), 'has a line that Aegis writes itself')
    .default(''),
  files: Files,
} as const;

export const CommitArgs = z.strictObject(COMMIT_FIELDS);
export type CommitArgs = z.infer<typeof CommitArgs>;

/** The undo: the branch back to where it was, if it still points at our commit. */
export const RestoreArgs = z.strictObject({
  restore: z.strictObject({ commit: CommitId, to: CommitId.nullable() }),
});
export type RestoreArgs = z.infer<typeof RestoreArgs>;

export const BRANCH = '/branch';
const MESSAGE = '/message';

export function touchedByCommit(args: CommitArgs): TouchedField[] {
  return [
    { path: BRANCH, after: `one commit on ${args.parent}` },
    { path: MESSAGE, after: `sha256 ${sha256Hex(textOf(args))}` },
    ...args.files.map((file) => ({
      path: touchedPointer(file.path, file.executable === true),
      after: file.content === null ? 'removed' : shownBlob(blobId(file.content), file.executable),
    })),
  ];
}

export function touchedByRestore({ restore }: RestoreArgs): TouchedField[] {
  return [{ path: BRANCH, after: restore.to }];
}

/** The undo of a before-image; `/commit` is ours, `/branch` is where it was. */
export function restoreOf(before_image: Readonly<Record<string, unknown>>): RestoreArgs {
  return {
    restore: { commit: String(before_image['/commit']), to: (before_image[BRANCH] ?? null) as string | null },
  };
}

/** How a field shows a file: by the id of its content, with the mode when the change sets it. */
export function shownBlob(id: string, executable: boolean | undefined): string {
  return executable === undefined ? `blob ${id}` : `blob ${id} ${executable ? 'executable' : 'plain'}`;
}

/** The words of the commit: the same for the same plan, whenever it is made. */
export function commitWords(args: CommitArgs, origin: ChangeOrigin): CommitWords {
  const trailers = [
    `Aegis-Incident: ${origin.incident_id}`,
    `Aegis-Change: ${origin.change_id}`,
    `Aegis-Plan: ${origin.plan_hash}`,
  ];
  return {
    message: `${textOf(args)}\n\n${trailers.join('\n')}\n`,
    at_s: Math.floor(origin.planned_at_ms / 1000),
  };
}

const OUR_LINES = /\n\nAegis-Incident: (\S{1,64})\nAegis-Change: (\S{1,64})\nAegis-Plan: [0-9a-f]{64}$/;

/** The change that a message ending with the lines of Aegis names; anybody can write such lines. */
export function claimedChange(
  message: string,
): { readonly incident_id: string; readonly change_id: string } | null {
  const [, incident_id, change_id] = OUR_LINES.exec(message) ?? [];
  return incident_id === undefined || change_id === undefined ? null : { incident_id, change_id };
}

function textOf({ subject, body }: Pick<CommitArgs, 'subject' | 'body'>): string {
  const text = body.trimEnd();
  return text === '' ? subject : `${subject}\n\n${text}`;
}
