/** Branch names, in targets and against patterns. Pure. */

/** `release..1.2` of a target is the branch `release/1.2`: git allows `..` in no name. `-` names none. */
export function branchOfTarget(name: string): string | null {
  return name === '-' ? null : name.replaceAll('..', '/');
}

/** What git itself refuses in a branch, and what would read like an option, a commit or a revision. */
export function branchProblem(branch: string): string | null {
  if (branch.length > 200) return 'it is longer than 200 characters';
  if (!/^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(branch))
    return 'it has characters other than A-Z a-z 0-9 . _ / -';
  if (/\/\/|\.\.|\/\.|\/-|\.$|\/$|\.lock(?:\/|$)/.test(branch)) return 'git does not allow such a name';
  if (/^(?:HEAD|FETCH_HEAD|ORIG_HEAD|refs\/.*|[0-9a-f]{40})$/i.test(branch))
    return 'it reads like something else';
  return null;
}

/** A name protects itself, `release/*` protects everything below; letter case makes no other branch of it. */
export function isProtected(patterns: readonly string[], branch: string): boolean {
  const name = branch.toLowerCase();
  return patterns.some((pattern) => {
    const wanted = pattern.toLowerCase();
    return wanted.endsWith('/*') ? name.startsWith(wanted.slice(0, -1)) : name === wanted;
  });
}
