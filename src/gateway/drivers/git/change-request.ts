import { z } from 'zod';
import { branchProblem } from '../../git/branch-names.ts';
import { UpstreamError } from '../../upstream-error.ts';
import {
  writeTool,
  type ApplyAnswer,
  type CallHandle,
  type DriverPreview,
  type Observation,
  type TouchedField,
} from '../driver.ts';
import type { DriverForge, ForgeRequest } from '../driver-git.ts';
import {
  applyCommit,
  applyRestore,
  observeCommit,
  observeRestore,
  previewCommit,
  previewRestore,
} from './branch-change.ts';
import { branchOf, gitOf, invalid, moved } from './branch-of.ts';
import {
  BRANCH,
  COMMIT_FIELDS,
  RestoreArgs,
  restoreOf,
  touchedByCommit,
  touchedByRestore,
} from './commit-plan.ts';
import { changeOrRestore, WRITES } from './commit.ts';

const RequestArgs = z.strictObject({
  ...COMMIT_FIELDS,
  /** The branch that the change is meant for; it may be protected, and is never written to. */
  base: z.string().refine((base) => branchProblem(base) === null, 'not the name of a branch'),
});
type RequestArgs = z.infer<typeof RequestArgs>;

const REQUEST = '/request';

/** One commit on a branch of its own, and a pull or merge request for it; without a forge the branch is the request. */
export const GIT_CHANGE_REQUEST = writeTool<RequestArgs | RestoreArgs>({
  ...WRITES,
  name: 'git.change_request',
  description:
    'Commits whole files on a branch of their own and asks people to merge it into a base branch (pull or merge request); restore closes it.',
  input: z.union([RequestArgs, RestoreArgs]),
  undo: restoreOf,
  ...changeOrRestore<RequestArgs>(
    {
      touched: (args) => [...touchedByCommit(args), requestField(args)],
      preview: previewRequest,
      observe: observeRequest,
      apply: applyRequest,
    },
    {
      touched: (args) => [...touchedByRestore(args), { path: REQUEST, after: null }],
      preview: previewClose,
      observe: observeClose,
      apply: applyClose,
    },
  ),
});

function requestField({ base }: RequestArgs): TouchedField {
  return { path: REQUEST, after: `into ${base}` };
}

async function previewRequest(handle: CallHandle, args: RequestArgs): Promise<DriverPreview> {
  const found = await previewCommit(handle, args);
  const git = gitOf(handle);
  const base = (await git.branches()).get(args.base);
  if (base === undefined) throw invalid(`there is no branch ${args.base} to merge into`);
  if (args.base === branchOf(handle)) throw invalid('a branch is not merged into itself');
  if (!(await git.isAncestor(args.parent, base)))
    throw invalid(`${args.base} does not contain the parent: the request would bring other changes along`);
  const open = (await handle.forge?.requests())?.find((request) => request.state === 'open');
  if (open !== undefined) throw moved(`the branch has an open request already: ${open.url}`);
  const { path, after } = requestField(args);
  return {
    ...found,
    after: { ...(found.after as object), request: { into: args.base } },
    changes: [...found.changes, { path, before: null, after }],
  };
}

async function observeRequest(handle: CallHandle, args: RequestArgs): Promise<Observation> {
  const { object_uid, values } = await observeCommit(handle, args);
  if (object_uid === null) return { object_uid, values };
  const committed = typeof values[BRANCH] === 'string' && values[BRANCH].startsWith('one commit');
  const request = handle.forge
    ? await liveRequest(handle.forge, String(values['/commit']))
    : committed
      ? { base: args.base }
      : null;
  return { object_uid, values: { ...values, [REQUEST]: request === null ? null : `into ${request.base}` } };
}

/** The request for our commit that is open or was merged; one that people closed is none. */
async function liveRequest(forge: DriverForge, commit: string): Promise<ForgeRequest | null> {
  const ours = (await forge.requests()).filter((request) => request.head_commit === commit);
  return ours.find(({ state }) => state === 'open') ?? ours.find(({ state }) => state === 'merged') ?? null;
}

async function applyRequest(handle: CallHandle, args: RequestArgs): Promise<ApplyAnswer> {
  const pushed = await applyCommit(handle, args);
  const { forge } = handle;
  const branch = branchOf(handle);
  if (pushed.status === 'conflict') return pushed;
  if (!forge)
    return { status: 'done', result: { ...(pushed.result as object), ref: `refs/heads/${branch}` } };
  try {
    const { number, url } = await opened(forge, args);
    return { status: 'done', result: { ...(pushed.result as object), request: number, url } };
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.info.sent === 'maybe') throw error;
    // Refused for certain: then the branch goes as well, so that nothing was done.
    await takeBack(handle, String((pushed.result as { commit?: unknown }).commit), error);
    throw error;
  }
}

async function opened(forge: DriverForge, { base, subject, body }: RequestArgs): Promise<ForgeRequest> {
  try {
    return await forge.open({ base, title: subject, body });
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.info.problem !== 'conflict') throw error;
    const open = (await forge.requests()).find((request) => request.state === 'open');
    if (open?.base === base) return open;
    throw error;
  }
}

/** @throws UpstreamError with `sent: maybe` when the branch could not be taken back: then it is there without a request. */
async function takeBack(handle: CallHandle, commit: string, refused: UpstreamError): Promise<void> {
  const before = handle.precondition?.changes.find((change) => change.path === BRANCH)?.before ?? null;
  try {
    const answer = await gitOf(handle).moveBranch(branchOf(handle), commit, before as string | null);
    if (answer.status === 'written') return;
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
  }
  throw new UpstreamError({
    ...refused.info,
    sent: 'maybe',
    status: null,
    message: `the branch was pushed, the request was not opened (${refused.info.message}) and the branch could not be taken back`,
  });
}

async function previewClose(handle: CallHandle, args: RestoreArgs): Promise<DriverPreview> {
  const found = await previewRestore(handle, args);
  const request = handle.forge ? await liveRequest(handle.forge, args.restore.commit) : null;
  if (request?.state === 'merged') throw moved(`${request.url} was merged: revert it by hand`);
  const before = request === null ? null : `into ${request.base}`;
  return {
    ...found,
    before: { ...(found.before as object), request: before },
    after: { ...(found.after as object), request: null },
    changes: [...found.changes, { path: REQUEST, before, after: null }],
  };
}

async function observeClose(handle: CallHandle, args: RestoreArgs): Promise<Observation> {
  const { object_uid, values } = await observeRestore(handle, args);
  const request = handle.forge ? await liveRequest(handle.forge, args.restore.commit) : null;
  return { object_uid, values: { ...values, [REQUEST]: request === null ? null : `into ${request.base}` } };
}

async function applyClose(handle: CallHandle, args: RestoreArgs): Promise<ApplyAnswer> {
  const { forge } = handle;
  const request = forge ? await liveRequest(forge, args.restore.commit) : null;
  if (request?.state === 'merged') return { status: 'conflict', message: `${request.url} was merged` };
  if (request !== null) await forge?.close(request.number);
  const answer = await applyRestore(handle, args);
  if (answer.status !== 'conflict' || request === null) return answer;
  throw new UpstreamError({
    problem: 'conflict',
    sent: 'maybe',
    status: null,
    message: `${request.url} was closed, and the branch stays: ${answer.message}`,
  });
}
