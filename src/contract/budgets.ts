import { z } from 'zod';
import { Name } from './scope.ts';

/**
 * What Aegis may spend on looking and thinking in one UTC day. Incidents still open and are told in their threads when a
 * day is used up; only the investigation waits. What puts things back is paid from a reserve that no day limits.
 */
const limits = {
  investigations_per_day_max: z.int().min(0).max(1_000_000),
  calls_per_day_max: z.int().min(0).max(1_000_000_000),
  tokens_per_day_max: z.int().min(0).max(1_000_000_000_000),
  cost_usd_per_day_max: z.number().min(0).max(1_000_000),
};
export const DayBudget = z.strictObject(limits);
export type DayBudget = z.infer<typeof DayBudget>;

/** A row that changes some of the numbers for one team or trigger. */
const DayBudgetChange = DayBudget.partial();

function dayBudget(defaults: DayBudget) {
  return z
    .strictObject({
      investigations_per_day_max: limits.investigations_per_day_max.default(
        defaults.investigations_per_day_max,
      ),
      calls_per_day_max: limits.calls_per_day_max.default(defaults.calls_per_day_max),
      tokens_per_day_max: limits.tokens_per_day_max.default(defaults.tokens_per_day_max),
      cost_usd_per_day_max: limits.cost_usd_per_day_max.default(defaults.cost_usd_per_day_max),
    })
    .default(defaults);
}

/** A bad day of a large company fits; a storm or a trigger gone wild does not. */
const ALL: DayBudget = {
  investigations_per_day_max: 500,
  calls_per_day_max: 50_000,
  tokens_per_day_max: 100_000_000,
  cost_usd_per_day_max: 200,
};
const EACH: DayBudget = {
  investigations_per_day_max: 200,
  calls_per_day_max: 20_000,
  tokens_per_day_max: 40_000_000,
  cost_usd_per_day_max: 80,
};

export const Budgets = z.strictObject({
  /** The whole installation. */
  all: dayBudget(ALL),
  each_team: dayBudget(EACH),
  each_trigger: dayBudget(EACH),
  teams: z.record(Name, DayBudgetChange).default({}),
  /** By the trigger's name; `slack` is what people ask for. */
  triggers: z.record(Name, DayBudgetChange).default({}),
});
export type Budgets = z.infer<typeof Budgets>;

/** Incidents that people start in Slack. */
export const SLACK_TRIGGER = 'slack';

/** Where spending is counted: an incident's own account (`day` null) or one UTC day of a team, a trigger or everything. */
export interface Account {
  readonly key: string;
  /** `2026-11-26`, UTC. */
  readonly day: string | null;
}

/**
 * Who pays for a call. An effect that runs again after a crash is a new attempt of the same effect, and is charged only
 * for what goes beyond its dearest attempt so far.
 */
export interface Payer {
  readonly effect_id: string;
  /** Another one for each time that the effect is run. */
  readonly attempt: string;
  readonly accounts: readonly Account[];
}

export interface Spent {
  readonly investigations: number;
  /** Gateway calls. */
  readonly calls: number;
  /** Files captured. */
  readonly reads: number;
  readonly bytes: number;
  readonly tokens: number;
  readonly cost_usd: number;
}

/** Rides on the ledger entry that says what was done, so that both are written or neither. Not part of the entry. */
export interface Spend extends Partial<Omit<Spent, 'investigations'>> {
  readonly payer: Payer;
}
