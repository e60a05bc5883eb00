import type { ToolOutcome } from '../../contract/tool.ts';
import type { JournalStore } from '../../store/authority.ts';

/**
 * Writes the outcome of a key. Two calls may learn it at the same time (the one that sent, and one that looks after a
 * restart): the first wins and both report what stands in the journal.
 */
export async function settleRow(
  journal: JournalStore,
  key: string,
  outcome: ToolOutcome,
): Promise<ToolOutcome> {
  try {
    await journal.finish(key, outcome.status, outcome);
    return outcome;
  } catch (error) {
    const row = await journal.get(key);
    const settled = row !== null && ['done', 'failed', 'conflict'].includes(row.status) ? row.outcome : null;
    if (settled === null) throw error;
    return settled;
  }
}
