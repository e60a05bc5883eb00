import type { SeenChange } from '../../contract/shadow.ts';
import { parseTarget } from '../../contract/tool.ts';

/** Who is a person, and what people did in words. Pure. */

/** What Aegis writes under; no list makes a person of it. */
const OWN_MANAGER = 'aegis';

export function isRobot(manager: string, robots: readonly string[]): boolean {
  if (manager === OWN_MANAGER) return true;
  return robots.some((robot) =>
    robot.endsWith('*') ? manager.startsWith(robot.slice(0, -1)) : manager === robot,
  );
}

/** The same of a user whom an API server authenticated: accounts of programs, of nodes and of the system itself. */
export function isRobotUser(user: string, robots: readonly string[]): boolean {
  return user.startsWith('system:') || isRobot(user, robots);
}

const FIELDS_TOLD = 3;

/** "kubectl-set changed deployment/settlement-api: /spec/…/image = …"; with an audit log "dan (kubectl-set) changed …" */
export function changeWords(change: SeenChange): string {
  const { kind, name } = parseTarget(change.target);
  const shown = change.fields.slice(0, FIELDS_TOLD).map((path) => {
    const value = change.values[path];
    return value === undefined ? shortPath(path) : `${shortPath(path)} = ${JSON.stringify(value)}`;
  });
  const more = change.fields.length - shown.length + change.more_fields;
  const who = change.client === undefined ? writerOf(change) : `${writerOf(change)} (${change.client})`;
  const what = `${who} ${verbOf(change)} ${name === '-' ? `objects of kind ${kind}` : `${kind}/${name}`}`;
  if (shown.length === 0) return what;
  return `${what}: ${shown.join(', ')}${more > 0 ? ` and ${more} more fields` : ''}`;
}

/** The person where the identity map has the user, else the name that the system has. */
function writerOf({ by, manager }: SeenChange): string {
  return by ?? manager;
}

function verbOf({ operation }: SeenChange): string {
  if (operation.startsWith('delete')) return 'deleted';
  if (operation === 'create eviction') return 'evicted';
  return operation === 'create' ? 'created' : 'changed';
}

/** The last parts of a path say what it is; the whole one is in the ledger. */
function shortPath(path: string): string {
  const parts = path.split('/').slice(1);
  return parts.length <= 3 ? parts.join('.') : `…${parts.slice(-2).join('.')}`;
}
