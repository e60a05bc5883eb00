import { journalKey } from '../contract/tool.ts';
import type { JournalRow, JournalStore } from '../store/authority.ts';

/**
 * What a change found before it touched anything: value by path. A canary and the action after it are one change, and
 * what the canary found is the older state, so it wins where both touched a field. Null: nothing of it is recorded.
 */
export type ChangeImage = Readonly<Record<string, unknown>>;

export async function imageOfChange(
  journal: Pick<JournalStore, 'get'>,
  incident_id: string,
  change_id: string,
): Promise<ChangeImage | null> {
  return imageOfRows(
    await journal.get(journalKey(incident_id, change_id, 'canary')),
    await journal.get(journalKey(incident_id, change_id, 'apply')),
  );
}

/** Pure. A canary without an effect leaves the action alone with its own image, and the other way round. */
export function imageOfRows(canary: RowImage | null, apply: RowImage | null): ChangeImage | null {
  const first = wrote(canary) ? canary.before_image : null;
  const second = first === null || wrote(apply) ? (apply?.before_image ?? null) : null;
  return first === null && second === null ? null : { ...second, ...first };
}

type RowImage = Pick<JournalRow, 'status' | 'before_image' | 'outcome'>;

/** Something of it may stand: it was done, done in part, or nobody can tell. */
function wrote(row: RowImage | null): row is RowImage {
  if (row === null || row.before_image === null) return false;
  return !['accepted', 'conflict', 'failed'].includes(row.status) || row.outcome?.partial === true;
}
