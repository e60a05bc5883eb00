/**
 * Vault's access control lists. Deny by default; of all rules that match a path only the most specific one counts
 * (priority as documented for Vault policies), and there `deny` beats everything. Policies are given in the JSON form
 * that Vault accepts next to HCL: `{path: {"secret/data/*": {capabilities: ["read"]}}}`.
 */

export type Capability = 'create' | 'read' | 'update' | 'delete' | 'list' | 'sudo' | 'deny';

export interface PolicyDocument {
  readonly path: Readonly<Record<string, { readonly capabilities: readonly Capability[] }>>;
}

/** What every token without `no_default_policy` may do (the part of Vault's built-in policy this twin serves). */
export const DEFAULT_POLICY: PolicyDocument = {
  path: {
    'auth/token/lookup-self': { capabilities: ['read'] },
    'auth/token/renew-self': { capabilities: ['update'] },
    'auth/token/revoke-self': { capabilities: ['update'] },
    'sys/leases/lookup': { capabilities: ['update'] },
    'sys/leases/renew': { capabilities: ['update'] },
    'sys/wrapping/wrap': { capabilities: ['update'] },
    'sys/wrapping/lookup': { capabilities: ['update'] },
    'sys/wrapping/unwrap': { capabilities: ['update'] },
  },
};

/** Paths that need `sudo` besides the ordinary capability. */
const SUDO_PATHS = [
  /^auth\/token\/accessors\/?$/,
  /^sys\/leases\/lookup\/.+/,
  /^sys\/leases\/revoke-(prefix|force)\//,
];

interface Rule {
  readonly pattern: string;
  readonly capabilities: readonly Capability[];
}

/** Whether the named policies allow `capability` on `path`; `root` allows everything. */
export function allows(
  policies: ReadonlyMap<string, PolicyDocument>,
  names: readonly string[],
  path: string,
  capability: Capability,
): boolean {
  const held = capabilitiesOn(policies, names, path);
  const needsSudo = SUDO_PATHS.some((sudoPath) => sudoPath.test(path));
  return held.has(capability) && (!needsSudo || held.has('sudo'));
}

/** The capabilities on a path after priorities and deny; empty when nothing matches. */
export function capabilitiesOn(
  policies: ReadonlyMap<string, PolicyDocument>,
  names: readonly string[],
  path: string,
): ReadonlySet<Capability> {
  if (names.includes('root')) return new Set(['create', 'read', 'update', 'delete', 'list', 'sudo']);
  const matching = names
    .flatMap((name) => rulesOf(policies.get(name)))
    .filter((rule) => pathMatches(rule.pattern, path));
  const best = matching
    .map((rule) => rule.pattern)
    .sort(comparePatterns)
    .at(-1);
  const held = new Set(matching.filter((rule) => rule.pattern === best).flatMap((rule) => rule.capabilities));
  return held.has('deny') ? new Set() : held;
}

function rulesOf(document: PolicyDocument | undefined): Rule[] {
  return Object.entries(document?.path ?? {}).map(([pattern, rule]) => ({
    pattern: pattern.replace(/^\//, ''),
    capabilities: rule.capabilities,
  }));
}

/** `+` stands for exactly one segment, a trailing `*` for any rest. */
function pathMatches(pattern: string, path: string): boolean {
  const prefix = pattern.endsWith('*');
  const wanted = (prefix ? pattern.slice(0, -1) : pattern).split('/');
  const given = path.split('/');
  if (prefix ? given.length < wanted.length : given.length !== wanted.length) return false;
  return wanted.every((segment, index) => {
    const part = given[index] ?? '';
    if (segment === '+') return part !== '';
    return prefix && index === wanted.length - 1 ? part.startsWith(segment) : part === segment;
  });
}

/** Vault's documented order: the later in this order wins. */
function comparePatterns(left: string, right: string): number {
  return (
    firstWildcard(left) - firstWildcard(right) ||
    Number(right.endsWith('*')) - Number(left.endsWith('*')) ||
    plusCount(right) - plusCount(left) ||
    left.length - right.length ||
    (left < right ? -1 : Number(left > right))
  );
}

function firstWildcard(pattern: string): number {
  const positions = [pattern.search(/(^|\/)\+(\/|$)/), pattern.endsWith('*') ? pattern.length - 1 : -1];
  const found = positions.filter((position) => position >= 0);
  return found.length === 0 ? Number.MAX_SAFE_INTEGER : Math.min(...found);
}

function plusCount(pattern: string): number {
  return pattern.split('/').filter((segment) => segment === '+').length;
}
