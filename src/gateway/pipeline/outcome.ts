import { canonicalJson } from '../../contract/canonical.ts';
import type { FieldChange, ToolOutcome } from '../../contract/tool.ts';
import type { Observation, Precondition } from '../drivers/driver.ts';

/** Conclusions about a write from what the object shows. Pure. */
export type Shown = 'after' | 'before' | 'other';

/** Whether the object shows the wanted values, the approved prior ones, or something else. */
export function compareObservation(precondition: Precondition, now: Observation): Shown {
  if (now.object_uid !== precondition.object_uid) return 'other';
  const all = (side: 'before' | 'after'): boolean =>
    precondition.changes.every((change) => same(now.values[change.path], change[side]));
  if (all('after')) return 'after';
  return all('before') ? 'before' : 'other';
}

/** Fields that do not show the approved prior value: `before` as approved, `after` as found. */
export function differences(precondition: Precondition, now: Observation): FieldChange[] {
  const changes: FieldChange[] = [];
  if (now.object_uid !== precondition.object_uid)
    changes.push({ path: '/metadata/uid', before: precondition.object_uid, after: now.object_uid });
  for (const change of precondition.changes) {
    const found = now.values[change.path] ?? null;
    if (!same(found, change.before)) changes.push({ path: change.path, before: change.before, after: found });
  }
  return changes.slice(0, 50);
}

/** The summary is cut where it is redacted: half a secret has no shape. */
export function outcomeOf(
  status: ToolOutcome['status'],
  summary: string,
  parts: Partial<Omit<ToolOutcome, 'status' | 'summary'>> = {},
): ToolOutcome {
  return {
    status,
    summary,
    conflict_fields: parts.conflict_fields ?? [],
    before_image: parts.before_image ?? null,
    result: parts.result ?? null,
    replayed: parts.replayed ?? false,
  };
}

export function conflictOutcome(fields: readonly FieldChange[], note: string): ToolOutcome {
  const named = fields.map(
    (field) =>
      `${field.path} is ${JSON.stringify(field.after)}, approved was ${JSON.stringify(field.before)}`,
  );
  const summary = named.length === 0 ? note : `${note}: ${named.join('; ')}`;
  return outcomeOf('conflict', summary, { conflict_fields: [...fields] });
}

function same(a: unknown, b: unknown): boolean {
  return canonicalJson(a ?? null) === canonicalJson(b ?? null);
}
