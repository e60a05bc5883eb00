/** Faults of the store. Callers react to the class, people read the message. */

export class SeqConflictError extends Error {
  override readonly name = 'SeqConflictError';
  /** `because` replaces "expected step N, found M" when the step itself was right. */
  constructor(incident_id: string, expected: number, found: number, because?: string) {
    const why = because ?? `expected step ${expected}, found ${found}`;
    super(`commit step of ${incident_id}: ${why}; load the incident again and retry`);
  }
}

export class DuplicateIncidentError extends Error {
  override readonly name = 'DuplicateIncidentError';
  readonly existing_id: string;
  constructor(existing_id: string) {
    super(`open incident: ${existing_id} is open with the same identity; attach to it`);
    this.existing_id = existing_id;
  }
}

export class LedgerBrokenError extends Error {
  override readonly name = 'LedgerBrokenError';
  constructor(chain: string, seq: number | null, what: string) {
    super(
      `ledger ${chain}${seq === null ? '' : ` entry ${seq}`}: ${what}; run "aegis ledger verify" and restore from a backup`,
    );
  }
}
