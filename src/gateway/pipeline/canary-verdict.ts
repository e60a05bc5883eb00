import { z } from 'zod';
import { VerifyPayload, type LedgerEntry } from '../../contract/ledger.ts';
import type { Action } from '../../contract/plan.ts';
import { journalKey, type Permit } from '../../contract/tool.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { JournalStore } from '../../store/authority.ts';

/**
 * Whether an action may follow its canary. The harness asks; what counts is the journal, which says that the canary was
 * carried out with the approved effect, and the ledger, which says that every check of it passed after that.
 */
export async function canaryRefusal(
  journal: Pick<JournalStore, 'get'>,
  entries: readonly LedgerEntry[],
  permit: Permit,
  { action, after_canary }: { readonly action: Action; readonly after_canary: string | null },
): Promise<Refusal | null> {
  if (permit.phase !== 'apply' || action.canary === undefined) return null;
  const key = journalKey(permit.incident_id, permit.change_id, 'canary');
  const row = await journal.get(key);
  if (row?.status !== 'done' || row.permit.effect_hash !== after_canary)
    return unproven(
      permit,
      row === null ? 'its canary has not run' : `its canary is ${row.status.replace('_', ' ')}`,
    );
  const silent = action.canary.checks.find(({ id }) => lastVerdict(entries, key, id) !== 'passed');
  return silent === undefined
    ? null
    : unproven(permit, `the check "${silent.title}" of its canary has not passed`);
}

const Sent = z.looseObject({
  phase: z.literal('before'),
  door: z.literal('execute'),
  journal_key: z.string(),
});

/** What a check said last since the canary was sent; null: nothing. Pure. */
function lastVerdict(entries: readonly LedgerEntry[], key: string, check_id: string): string | null {
  let verdict: string | null = null;
  for (const entry of entries) {
    if (entry.kind === 'call') {
      const sent = Sent.safeParse(entry.payload);
      if (sent.success && sent.data.journal_key === key) verdict = null;
    } else if (entry.kind === 'verify') {
      const said = VerifyPayload.safeParse(entry.payload);
      if (said.success && said.data.check_id === check_id) verdict = said.data.status;
    }
  }
  return verdict;
}

function unproven({ change_id }: Permit, why: string): Refusal {
  return refuse(
    'canary-unproven',
    `${change_id} was approved with a canary first, and ${why}.`,
    'The rest runs only after the canary has passed; press Resume, or put the canary back by hand.',
  );
}
