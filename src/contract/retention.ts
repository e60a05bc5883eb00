import { z } from 'zod';

const Hours = z.int().min(1).max(8760);

/**
 * `policies/retention.yaml`: how long what Aegis has seen and done is kept. Without the file the defaults hold: captured
 * text for 72 hours, closed incidents for ever.
 */
export const Retention = z.strictObject({
  v: z.literal(1),
  /**
   * Hours until the captured text of a piece of evidence is erased, by tier of the environment; its hash stays in the
   * ledger. Counts for what is captured from then on.
   */
  evidence_hours: z
    .strictObject({ tier1: Hours.default(72), tier2: Hours.default(72), tier3: Hours.default(72) })
    .prefault({}),
  /**
   * Days until a closed incident is taken out with its whole ledger chain. What checkpoints said about it can still be
   * checked, and the SYSTEM chain names it. Null: never.
   */
  closed_incidents_days: z.int().min(30).max(36_500).nullable().default(null),
});
export type Retention = z.infer<typeof Retention>;

export const KEPT_BY_DEFAULT: Retention = Retention.parse({ v: 1 });
