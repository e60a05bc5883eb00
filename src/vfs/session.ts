import type { ReadLimits } from './read-budget.ts';

/** Who reads, where, and how much. It comes from the incident (or from a person's CLI login), never from text. */
export interface VfsSession {
  /** null: a read outside an incident (CLI). Nothing is stored then, and the pointer cannot be cited. */
  readonly incident_id: string | null;
  readonly team: string;
  readonly env: string;
  /** Windows start one hour before this, unless the command says otherwise. */
  readonly opened_at_ms: number;
  /** Gateway token of the reader. */
  readonly token: string;
  readonly budget: { readonly round: ReadLimits; readonly incident: ReadLimits };
  /** Crossing tenants is not a right that a session can have. */
  readonly may_read_all_tenants?: never;
}
