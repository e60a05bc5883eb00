import type { PathExpr } from '../contract/pipeline.ts';
import { printPath } from '../contract/pipeline-printer.ts';
import { refuse, type Refusal } from '../contract/verdict.ts';
import { directory, type Look, type Mount, type MountContext, type PathParams } from './mount.ts';
import { MOUNTS } from './mounts/index.ts';

/**
 * The tree that one tenant sees. A path of another team or environment is not forbidden here, it does not exist: the
 * answer is the same sentence as for a name that never was, in listings, reads and explanations.
 */
export interface Tree {
  look(path: PathExpr): Look;
}

export function createTree(context: MountContext): Tree {
  const { team, env } = context.tenant;
  const points = MOUNTS.map((point) => ({
    prefix: point.under === 'tenant' ? ['teams', team, env, ...point.at] : [...point.at],
    mount: point.create(context),
  }));
  const visible = points.filter(({ mount }) => mount.look([], new Map()) !== null);
  return {
    look(path) {
      const segments = plainSegments(path);
      const params = plainParams(path);
      const point = visible.find(({ prefix }) => startsWith(segments, prefix));
      if (point !== undefined) return point.mount.look(segments.slice(point.prefix.length), params);
      return params.size > 0 ? null : lookAbove(visible, segments, ['teams', team, env]);
    },
  };
}

/** Directories above the mounts, also the tenant's own when nothing is mounted there. */
function lookAbove(
  points: readonly { prefix: readonly string[]; mount: Mount }[],
  segments: readonly string[],
  tenant: readonly string[],
): Look {
  const prefixes = [tenant, ...points.map(({ prefix }) => prefix)];
  const below = prefixes.filter((prefix) => startsWith(prefix, segments));
  if (below.length === 0) return null;
  const names = new Set(
    below.flatMap((prefix) => (prefix.length > segments.length ? [prefix[segments.length] as string] : [])),
  );
  return directory([...names].sort().map((name) => ({ name, kind: 'dir' })));
}

export function noSuchPath(path: PathExpr): Refusal {
  return refuse(
    'no-such-path',
    `There is nothing at ${printPath(path)}.`,
    'List the directory above it to see what there is.',
  );
}

function startsWith(path: readonly string[], prefix: readonly string[]): boolean {
  return prefix.length <= path.length && prefix.every((name, index) => path[index] === name);
}

function plainSegments(path: PathExpr): string[] {
  return path.segments.map((words) => words.map((word) => (word.w === 'text' ? word.text : '')).join(''));
}

function plainParams(path: PathExpr): PathParams {
  return new Map(
    path.params.map(({ name, value }) => [
      name,
      value.map((word) => (word.w === 'text' ? word.text : '')).join(''),
    ]),
  );
}
