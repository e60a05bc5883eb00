import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import type { Target } from '../../contract/tool.ts';
import { z } from 'zod';
import { directory, wholeFile, type Look, type Mount, type MountContext, type PathParams } from '../mount.ts';
import { linesOf, lineText } from '../line-text.ts';
import { noParams } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { commitsFile } from './commits-file.ts';
import { badAnswer } from './kube-reader.ts';

/**
 * `change/<repository>/commits.yaml?since=1h&limit=50` (what came to all branches),
 * `change/<repository>/branches/<branch>/{commits.yaml,<commit>.diff}`. Only repositories that the environment owns
 * exist. A branch with slashes is written with `..` in their place, as in targets.
 */
const NAME = 'repositories';
const BRANCH_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;
const COMMIT_DIFF = /^([0-9a-f]{40})\.diff$/;

export function repositoriesMount(context: MountContext): Mount {
  const { team, env } = context.tenant;
  const systems = context.settings.teams[team]?.environments[env]?.systems ?? [];
  const names = systems.filter(({ system }) => system === 'git').map(({ name }) => name);
  const now = () => context.clock.now();
  return {
    name: NAME,
    look(path, params) {
      if (names.length === 0) return null;
      const [repository, area, branch, file, ...beyond] = path;
      if (repository === undefined)
        return directory([...new Set(names)].sort().map((name) => ({ name, kind: 'dir' })));
      if (!names.includes(repository) || beyond.length > 0) return null;
      if (area === undefined)
        return directory([
          { name: 'branches', kind: 'dir' },
          { name: 'commits.yaml', kind: 'file' },
        ]);
      if (area === 'commits.yaml')
        return branch === undefined ? commitsFile(NAME, targetOf(repository, '-'), params, now) : null;
      if (area !== 'branches') return null;
      if (branch === undefined) return { kind: 'dir', list: (io) => listBranches(io, repository) };
      if (!BRANCH_NAME.test(branch)) return null;
      return lookBranch(targetOf(repository, branch), file, params, now);
    },
  };
}

function lookBranch(target: Target, file: string | undefined, params: PathParams, now: () => number): Look {
  if (file === undefined)
    return directory([
      { name: 'commits.yaml', kind: 'file' },
      { name: '<commit>.diff', kind: 'file' },
    ]);
  if (file === 'commits.yaml') return commitsFile(NAME, target, params, now);
  const [, commit] = COMMIT_DIFF.exec(file) ?? [];
  if (commit === undefined) return null;
  return (
    noParams(params) ??
    wholeFile({
      mount: NAME,
      evidence: 'document',
      attacker_writable: true,
      asks: `git diff ${commit}^ ${commit} of ${target.cluster}`,
      read: (io) => readDiff(io, target, commit),
    })
  );
}

async function readDiff(
  io: SourceReader,
  target: Target,
  commit: string,
): Promise<readonly string[] | Refusal> {
  const result = await io.call('git.diff', target, { to: commit });
  if (isRefusal(result)) return result;
  const parsed = z.object({ lines: z.array(z.string()) }).safeParse(result.result);
  if (!parsed.success) return badAnswer('git.diff', parsed.error);
  return linesOf(parsed.data.lines.map(lineText).join('\n').trimEnd());
}

async function listBranches(
  io: SourceReader,
  repository: string,
): ReturnType<Extract<Look, { kind: 'dir' }>['list']> {
  const result = await io.call('git.branches', targetOf(repository, '-'), {});
  if (isRefusal(result)) return result;
  const parsed = z.object({ branches: z.array(z.object({ name: z.string() })) }).safeParse(result.result);
  if (!parsed.success) return badAnswer('git.branches', parsed.error);
  const names = parsed.data.branches.map(({ name }) => name.replaceAll('/', '..'));
  return names
    .filter((name) => BRANCH_NAME.test(name))
    .sort()
    .map((name) => ({ name, kind: 'dir' }));
}

function targetOf(repository: string, branch: string): Target {
  return { system: 'git', cluster: repository, namespace: '-', kind: 'branch', name: branch };
}
