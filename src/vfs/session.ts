import type { Account, Payer } from '../contract/budgets.ts';
import type { ReadLimits } from './read-budget.ts';

/** Who reads, where, and how much. It comes from the incident (or from a person's CLI login), never from text. */
export interface VfsSession {
  /** null: a read outside an incident (CLI). Nothing is stored then, and the pointer cannot be cited. */
  readonly incident_id: string | null;
  readonly team: string;
  readonly env: string;
  /** Windows start one hour before this, unless the command says otherwise. */
  readonly opened_at_ms: number;
  /**
   * What the reads are for. Each purpose has its own account in the incident's budget, so that a check that polls for an
   * hour does not use up what an investigation may read. Default `investigate`.
   */
  readonly purpose?: 'investigate' | 'verify' | 'look';
  /** Who pays for the reads; the first account is the one that `budget.incident` limits. Default: see `accountOf`. */
  readonly payer?: Payer;
  /** Gateway token of the reader. */
  readonly token: string;
  readonly budget: { readonly round: ReadLimits; readonly incident: ReadLimits };
  /** Crossing tenants is not a right that a session can have. */
  readonly may_read_all_tenants?: never;
}

/** Who stands in the ledger for reads and refusals of this session. */
export function ledgerActor({ purpose = 'investigate' }: VfsSession): string {
  return purpose === 'investigate' ? 'aegis:vfs' : `aegis:vfs:${purpose}`;
}

/** The account that the incident's read budget is counted in: one for each purpose, whoever pays besides. */
export function accountOf({ payer, purpose = 'investigate', incident_id }: VfsSession): Account {
  return payer?.accounts[0] ?? { key: `${purpose}:${incident_id}`, day: null };
}
