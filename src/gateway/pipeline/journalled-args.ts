import { hashOf } from '../../contract/canonical.ts';
import { PlanPayload, type LedgerEntry } from '../../contract/ledger.ts';
import { journalKey } from '../../contract/tool.ts';
import type { JournalRow, JournalStore } from '../../store/authority.ts';
import type { WriteTool } from '../drivers/driver.ts';

/**
 * The arguments of an earlier call, found again by their hash: in the approved plan, or in the before-image that an
 * undo restores. Null when neither holds them.
 */
export async function journalledArgs(
  row: JournalRow,
  entries: readonly LedgerEntry[],
  tool: WriteTool | undefined,
  journal: Pick<JournalStore, 'get'>,
): Promise<Readonly<Record<string, unknown>> | null> {
  const candidates = entries.flatMap((entry) =>
    entry.kind === 'plan' ? plannedArgs(entry, row.change_id) : [],
  );
  const applied = await journal.get(journalKey(row.incident_id, row.change_id, 'apply'));
  const image = applied?.before_image ?? null;
  if (image !== null && tool !== undefined) candidates.push(tool.undo(image) as Record<string, unknown>);
  return candidates.find((args) => hashOf(args) === row.args_hash) ?? null;
}

function plannedArgs(entry: LedgerEntry, change_id: string): Record<string, unknown>[] {
  const parsed = PlanPayload.safeParse(entry.payload);
  if (!parsed.success) return [];
  return parsed.data.plan.actions
    .filter((action) => action.change_id === change_id)
    .flatMap(({ params, canary, rollback }) => [
      params,
      ...(canary === undefined ? [] : [canary.params]),
      ...('params' in rollback ? [rollback.params] : []),
    ]);
}
