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

const FIELDS_TOLD = 3;

/** "kubectl-set changed deployment/settlement-api: /spec/…/image = …" */
export function changeWords(change: SeenChange): string {
  const { kind, name } = parseTarget(change.target);
  const shown = change.fields.slice(0, FIELDS_TOLD).map((path) => {
    const value = change.values[path];
    return value === undefined ? shortPath(path) : `${shortPath(path)} = ${JSON.stringify(value)}`;
  });
  const more = change.fields.length - shown.length + change.more_fields;
  return `${change.manager} changed ${kind}/${name}: ${shown.join(', ')}${more > 0 ? ` and ${more} more fields` : ''}`;
}

/** The last parts of a path say what it is; the whole one is in the ledger. */
function shortPath(path: string): string {
  const parts = path.split('/').slice(1);
  return parts.length <= 3 ? parts.join('.') : `…${parts.slice(-2).join('.')}`;
}
