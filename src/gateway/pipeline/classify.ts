import type { Guardrails } from '../../contract/guardrails.ts';
import { ACTION_CLASSES, type ActionClass, type FieldChange, type Target } from '../../contract/tool.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { TouchedField } from '../drivers/driver.ts';
import type { Classification } from '../gateway.ts';
import { isAbovePattern, matchesPattern } from '../json-pointer.ts';
import { fieldQuantity } from '../../contract/quantity.ts';

/**
 * The class of an action by tool, kind and touched paths. Pure: what a model or a server says about a tool has no
 * voice here. An unknown path is treated as the worst that it could be.
 */
export function classifyFields(
  guardrails: Guardrails,
  tool: { readonly name: string; readonly base_class: ActionClass; readonly restores?: true },
  target: Target,
  fields: readonly TouchedField[],
): Classification | Refusal {
  let action_class = tool.base_class;
  const reasons: string[] = [];
  const raise = (to: ActionClass, reason: string): void => {
    reasons.push(reason);
    if (ACTION_CLASSES.indexOf(to) > ACTION_CLASSES.indexOf(action_class)) action_class = to;
  };
  for (const field of fields) {
    const entry = touchEntry(guardrails, tool.name, target.kind, field.path);
    const privileged = guardrails.privileged_paths.find(
      (pattern) =>
        matchesPattern(pattern, field.path, 'within') ||
        // A scalar at a listed path is a leaf; anything else could replace or remove what lies below.
        (!(entry !== undefined && isScalar(field.after) && tool.restores !== true) &&
          isAbovePattern(field.path, pattern)),
    );
    if (privileged !== undefined && tool.restores === true && entry?.restored === true)
      reasons.push(`${field.path} is restored: a write only as what ran before the incident opened`);
    else if (privileged !== undefined) raise('privileged', `${field.path} is privileged (${privileged})`);
    const destroys = destruction(target.kind, field);
    if (destroys !== null) raise('destroy', destroys);
    if (entry === undefined) raise('privileged', `${field.path} is not a path that ${tool.name} may touch`);
    else if (destroys === null) {
      const problem = boundProblem(entry, target.kind, field);
      if (problem !== null) return outOfBounds(problem);
    }
  }
  return { action_class, reasons };
}

/** The bounds that need the value before: the largest allowed factor. Read tools and new fields have none. */
export function factorProblem(
  guardrails: Guardrails,
  tool: string,
  target: Target,
  changes: readonly FieldChange[],
): Refusal | null {
  for (const { path, before, after } of changes) {
    const factor_max = touchEntry(guardrails, tool, target.kind, path)?.factor_max;
    if (factor_max === undefined || before === null) continue;
    const was = fieldQuantity(target.kind, path, before);
    const will = fieldQuantity(target.kind, path, after);
    if (was === null || will === null || was <= 0)
      return outOfBounds(`${path} cannot be compared: ${show(before)} -> ${show(after)}`);
    const factor = Math.max(will / was, was / will);
    if (factor > factor_max)
      return outOfBounds(
        `${path} would change by a factor of ${factor.toFixed(2)} (${show(before)} -> ${show(after)}); at most ${factor_max} is allowed`,
      );
  }
  return null;
}

/** Refusal when the class is one that is never allowed, whatever people approve. */
export function forbiddenClass(
  guardrails: Guardrails,
  { action_class, reasons }: Classification,
): Refusal | null {
  if (!guardrails.forbidden_classes.includes(action_class)) return null;
  return refuse(
    'class-forbidden',
    `The action is of class ${action_class}: ${reasons.join('; ') || 'by its tool'}.`,
    'People do such changes by hand; forbidden_classes in policies/guardrails.yaml decides.',
  );
}

/** How many pods an object runs: none left is destruction, whatever the bounds say. */
const COUNTS = ['/spec/replicas', '/spec/parallelism', '/spec/executor/instances'] as const;

/** Why a touched field destroys something, whatever its bounds say; null when it does not. */
function destruction(kind: string, { path, after }: TouchedField): string | null {
  if (kind === 'statement' && /^\/(?:delete|truncate|drop)\//.test(path))
    return `${path}: the statement takes rows or tables away`;
  if (!COUNTS.some((count) => count === path)) return null;
  const count = fieldQuantity(kind, path, after);
  return count !== null && count <= 0 ? `${path} = ${show(after)} stops every pod of it` : null;
}

function isScalar(value: unknown): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

type TouchEntry = Guardrails['touch'][number];

function touchEntry(
  guardrails: Guardrails,
  tool: string,
  kind: string,
  path: string,
): TouchEntry | undefined {
  return guardrails.touch.find(
    (entry) => entry.tool === tool && entry.kind === kind && matchesPattern(entry.path, path, 'exact'),
  );
}

function boundProblem(entry: TouchEntry, kind: string, field: TouchedField): string | null {
  if (entry.min === undefined && entry.max === undefined) return null;
  const value = fieldQuantity(kind, field.path, field.after);
  if (value === null) return `${field.path}: ${show(field.after)} is not a quantity`;
  const min = entry.min === undefined ? null : fieldQuantity(kind, field.path, entry.min);
  const max = entry.max === undefined ? null : fieldQuantity(kind, field.path, entry.max);
  if (min !== null && value < min)
    return `${field.path}: ${show(field.after)} is below the minimum of ${entry.min}`;
  if (max !== null && value > max)
    return `${field.path}: ${show(field.after)} is above the maximum of ${entry.max}`;
  return null;
}

function outOfBounds(reason: string): Refusal {
  return refuse(
    'value-out-of-bounds',
    `${reason}.`,
    'Plan a smaller step, or change the bounds in policies/guardrails.yaml.',
  );
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}
