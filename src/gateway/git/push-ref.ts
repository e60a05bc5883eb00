import type { ChildResult } from '../child-process.ts';
import type { PushAnswer } from '../drivers/driver-git.ts';
import { UpstreamError } from '../upstream-error.ts';
import { gitFailure } from './git-program.ts';
import type { GitSession } from './git-session.ts';
import { scratchObjects } from './scratch-commit.ts';

/** One branch moved from an expected commit to another by the server's own compare-and-swap, or not at all. */
export interface RefMove {
  readonly branch: string;
  /** Null: the branch must not exist. */
  readonly expected: string | null;
  /** Null: the branch is deleted. */
  readonly to: string | null;
  /** Where the new objects are, when the mirror does not have them. */
  readonly objects: string | null;
}

const OUTPUT_BYTES_MAX = 256 * 1024;

export async function pushRef(session: GitSession, move: RefMove): Promise<PushAnswer> {
  const ref = `refs/heads/${move.branch}`;
  const access = await session.access();
  const result = await session.run(
    [
      'push',
      '--porcelain',
      '--no-verify',
      '--no-follow-tags',
      '--recurse-submodules=no',
      `--force-with-lease=${ref}:${move.expected ?? ''}`,
      '--end-of-options',
      session.options.repository.remote,
      `${move.to ?? ''}:${ref}`,
    ],
    {
      config: access.config,
      env: { ...access.env, ...(move.objects === null ? {} : scratchObjects(session, move.objects)) },
      timeout_ms: session.left_ms(),
      stdout_bytes_max: OUTPUT_BYTES_MAX,
      // From here on it is finished or reported unknown.
      signal: undefined,
    },
  );
  const line = result.stdout
    .toString('utf8')
    .split('\n')
    .find((candidate) => candidate.split('\t')[1]?.endsWith(`:${ref}`) === true);
  const [flag = '', , summary = ''] = line?.split('\t') ?? [];
  if (line !== undefined && flag.trim() !== '!' && result.code === 0)
    return { status: 'written', commit: move.to };
  if (line === undefined || flag.trim() !== '!') throw gitFailure(result, 'the push');
  return rejected(session, move, result, summary.slice(0, 300));
}

/**
 * A connection that breaks is tried once more below git (by curl), and then the server refuses what it has just done.
 * So a refusal counts only when the branch does not show our commit.
 */
async function rejected(
  session: GitSession,
  move: RefMove,
  result: ChildResult,
  reason: string,
): Promise<PushAnswer> {
  // Git itself saw another commit there and sent nothing.
  if (reason.startsWith('[rejected]')) return { status: 'moved', message: `${move.branch}: ${reason}` };
  // For instance "[remote failure]": the server took it and did not say what became of it.
  if (!reason.startsWith('[remote rejected]')) throw gitFailure(result, `the push (${reason})`);
  if ((await tipNow(session, move.branch)) === move.to) return { status: 'written', commit: move.to };
  if (isMoved(reason)) return { status: 'moved', message: `${move.branch}: ${reason}` };
  throw new UpstreamError({
    problem: 'forbidden',
    sent: 'answered',
    status: null,
    message: `the server refused ${move.branch}: ${reason}${hookWords(result.stderr)}`,
  });
}

/** @throws UpstreamError with `sent: maybe` when the branch cannot be looked at. */
async function tipNow(session: GitSession, branch: string): Promise<string | null> {
  try {
    await session.refresh('now');
    const ref = `refs/heads/${branch}`;
    const listed = await session.run(['for-each-ref', '--format=%(objectname) %(refname)', ref]);
    if (listed.code !== 0) throw gitFailure(listed, 'looking at the branch');
    // The pattern also matches what lies below a folder of that name.
    const line = listed.stdout
      .toString('utf8')
      .split('\n')
      .find((one) => one.slice(41) === ref);
    return line === undefined ? null : line.slice(0, 40);
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    throw new UpstreamError({ ...error.info, sent: 'maybe', status: null });
  }
}

/** What git and servers call a reference that is not where the pusher expected it. */
function isMoved(reason: string): boolean {
  return /cannot lock ref|failed to (?:lock|update ref)|reference already exists|incorrect old value|fetch first|stale info/i.test(
    reason,
  );
}

/** A declined push explains itself in lines that the server's hook printed. */
function hookWords(stderr: string): string {
  const lines = stderr
    .split('\n')
    .filter((line) => line.startsWith('remote:'))
    .map((line) => line.slice('remote:'.length).trim())
    .filter((line) => line !== '');
  return lines.length === 0 ? '' : `: ${lines.join('; ').slice(0, 200)}`;
}
