import type { SeenChange } from '../../contract/shadow.ts';
import { parseTarget } from '../../contract/tool.ts';

/** Who is a person, and what people did in words. Pure. */

/** What Aegis writes under; no list makes a person of it. */
const OWN_MANAGER = 'aegis';

export function isRobot(manager: string, robots: readonly string[]): boolean {
  return manager === OWN_MANAGER || isListed(manager, robots);
}

/** In git anybody may call himself `aegis`: there only the list counts. */
export function isListed(manager: string, robots: readonly string[]): boolean {
  return robots.some((robot) =>
    robot.endsWith('*') ? manager.startsWith(robot.slice(0, -1)) : manager === robot,
  );
}

/** The same of a user whom an API server authenticated: accounts of programs, of nodes and of the system itself. */
export function isRobotUser(user: string, robots: readonly string[]): boolean {
  return user.startsWith('system:') || isRobot(user, robots);
}

const FIELDS_TOLD = 3;

const SUBJECT_CHARS = 80;

/** "kubectl-set changed deployment/settlement-api: /spec/…/image = …"; with an audit log "dan (kubectl-set) changed …" */
export function changeWords(change: SeenChange): string {
  if (change.commit !== undefined) return commitWords(change, change.commit);
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

/** "Ana committed 1a2b3c4d5e to main of infra, “Raise the memory”: deploy/values.yaml and 2 more files" */
function commitWords(change: SeenChange, commit: NonNullable<SeenChange['commit']>): string {
  const { branch, repository, subject } = commit;
  const id = change.uid.slice(0, 10);
  const did = change.operation === 'merge' ? `merged ${id} into` : `committed ${id} to`;
  const title = subject.length > SUBJECT_CHARS ? `${subject.slice(0, SUBJECT_CHARS - 1)}…` : subject;
  const shown = change.fields.slice(0, FIELDS_TOLD);
  const more = change.fields.length - shown.length + change.more_fields;
  const files = shown.length === 0 ? 'no files' : shown.join(', ');
  const rest = more === 0 ? '' : ` and ${more} more ${more === 1 ? 'file' : 'files'}`;
  return `${change.manager} ${did} ${branch} of ${repository}, “${title}”: ${files}${rest}`;
}

/** The last parts of a path say what it is; the whole one is in the ledger. */
function shortPath(path: string): string {
  const parts = path.split('/').slice(1);
  return parts.length <= 3 ? parts.join('.') : `…${parts.slice(-2).join('.')}`;
}
