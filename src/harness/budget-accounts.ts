import { SLACK_TRIGGER } from '../contract/budgets.ts';
import type { Account, Budgets, DayBudget, Payer, Spent } from '../contract/budgets.ts';
import { isoTime } from '../contract/ports.ts';
import { incidentOf } from './state.ts';
import type { EffectKind, MachineContext } from './state.ts';

/**
 * Who pays for what, and how much there is. Pure. Looking and thinking is paid by the incident, and on the same day by
 * its team, its trigger and the whole installation. Clearing, changing, checking and putting back is paid from the
 * reserve of the plan, which no investigation can touch.
 */
const COGNITION: ReadonlySet<EffectKind> = new Set(['triage', 'investigate', 'plan', 'prepare']);

/** Calls of a plan's reserve where aegis.yaml says nothing: gates, changes, undo, and checks that poll for half an hour. */
const RESERVE_CALLS_DEFAULT = 300;

export type Whose = 'incident' | 'reserve' | 'team' | 'trigger' | 'all';
export type BudgetUnit = 'investigations' | 'calls' | 'tokens' | 'cost_usd';

/** One account with its limits; a unit without a limit is null. */
export interface BudgetLine {
  readonly whose: Whose;
  /** The team or trigger; empty for the others. */
  readonly name: string;
  readonly account: Account;
  readonly spent: Spent;
  readonly max: Readonly<Record<BudgetUnit, number | null>>;
}

export type LimitedBudget = Omit<BudgetLine, 'spent'>;

/** `2026-11-26` of an ISO time: the UTC day, which no summer time moves. */
export function utcDay(at: string): string {
  return at.slice(0, 10);
}

export function dayAfter(day: string): string {
  return isoTime(Date.parse(`${day}T00:00:00.000Z`) + 86_400_000);
}

/** Where an incident's spending is counted, narrowest first. */
function accountsOf(context: MachineContext, at: string): Omit<LimitedBudget, 'max'>[] {
  const { incident_id, scope, source } = incidentOf(context);
  const day = utcDay(at);
  const reserve = `reserve:${incident_id}:${context.revision}`;
  return [
    { whose: 'incident', name: '', account: { key: `investigate:${incident_id}`, day: null } },
    { whose: 'reserve', name: '', account: { key: reserve, day: null } },
    { whose: 'team', name: scope.team, account: { key: `team:${scope.team}`, day } },
    { whose: 'trigger', name: source.trigger, account: { key: `trigger:${source.trigger}`, day } },
    { whose: 'all', name: '', account: { key: 'all', day } },
  ];
}

/** The budgets of an incident: its own, the reserve of its plan, and what it shares with others today. */
export function budgetsOf(context: MachineContext, budgets: Budgets, at: string): LimitedBudget[] {
  return accountsOf(context, at).map((line) => ({ ...line, max: limitsOf(line, context, budgets) }));
}

function limitsOf(
  { whose, name }: Pick<LimitedBudget, 'whose' | 'name'>,
  context: MachineContext,
  budgets: Budgets,
): LimitedBudget['max'] {
  const { budget } = incidentOf(context);
  const { rounds } = context;
  switch (whose) {
    case 'incident':
      return {
        investigations: null,
        calls: budget.tool_calls_max * rounds,
        tokens: budget.tokens_max * rounds,
        cost_usd: budget.cost_usd_max * rounds,
      };
    case 'reserve': {
      const calls = (budget.reserve_calls_max ?? RESERVE_CALLS_DEFAULT) * rounds;
      return { investigations: null, calls, tokens: null, cost_usd: null };
    }
    case 'team':
      return ofDay(changed(budgets.each_team, budgets.teams[name]));
    case 'trigger':
      return ofDay(changed(budgets.each_trigger, budgets.triggers[name]));
    case 'all':
      return ofDay(budgets.all);
  }
}

function ofDay(limits: DayBudget): LimitedBudget['max'] {
  return {
    investigations: limits.investigations_per_day_max,
    calls: limits.calls_per_day_max,
    tokens: limits.tokens_per_day_max,
    cost_usd: limits.cost_usd_per_day_max,
  };
}

function changed(base: DayBudget, row: Budgets['teams'][string] | undefined): DayBudget {
  const given = Object.entries(row ?? {}).filter(([, value]) => value !== undefined);
  return { ...base, ...(Object.fromEntries(given) as Partial<DayBudget>) };
}

export function isShared({ whose }: Pick<BudgetLine, 'whose'>): boolean {
  return whose === 'team' || whose === 'trigger' || whose === 'all';
}

/** Who pays for the effect that runs; null when nothing does: the review after the end costs no calls. */
export function payerOf(context: MachineContext, at: string): Omit<Payer, 'attempt'> | null {
  const { running } = context;
  if (running === null || running.kind === 'review') return null;
  const pays = accountsOf(context, at).filter(({ whose }) =>
    COGNITION.has(running.kind) ? whose !== 'reserve' : whose === 'reserve',
  );
  return { effect_id: running.effect_id, accounts: pays.map(({ account }) => account) };
}

const SPENT_BY_READING = ['calls', 'tokens', 'cost_usd'] as const;

/** The first unit of a budget that is used up by reading; null when there is room for one more read. */
export function usedUp(line: BudgetLine): { unit: BudgetUnit; used: number; max: number } | null {
  for (const unit of SPENT_BY_READING) {
    const max = line.max[unit];
    const used = line.spent[unit];
    // Without a model nothing costs money, and a limit of no money stops nothing.
    if (max !== null && used >= max && !(unit === 'cost_usd' && used === 0)) return { unit, used, max };
  }
  return null;
}

/** "12 of 60 calls", "$0.12 of $2.00". */
export function amountWords(unit: BudgetUnit, used: number, max: number): string {
  return unit === 'cost_usd' ? `$${used.toFixed(2)} of $${max.toFixed(2)}` : `${used} of ${max} ${unit}`;
}

/** "team data today: 4 of 200 investigations" for the shared budget that is nearest to its end; null when none is limited. */
export function tightestShared(lines: readonly BudgetLine[]): string | null {
  const all = lines.filter(isShared).flatMap((line) =>
    (['investigations', ...SPENT_BY_READING] as const).flatMap((unit) => {
      const max = line.max[unit];
      return max === null || max === 0 ? [] : [{ line, unit, max, used: line.spent[unit] }];
    }),
  );
  const [first, ...others] = all;
  if (first === undefined) return null;
  const worst = others.reduce((a, b) => (b.used / b.max > a.used / a.max ? b : a), first);
  return `${sharedWords(worst.line)} today: ${amountWords(worst.unit, worst.used, worst.max)}`;
}

/** "team data", "trigger prod-alerts", "what people ask for in Slack", "all of Aegis". */
export function sharedWords({ whose, name }: { whose: Whose; name: string }): string {
  if (whose === 'all') return 'all of Aegis';
  return whose === 'trigger' && name === SLACK_TRIGGER ? 'what people ask for in Slack' : `${whose} ${name}`;
}
