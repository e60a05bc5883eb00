import { isoTime } from '../contract/ports.ts';
import { budgetsOf, isShared } from './budget-accounts.ts';
import type { BudgetLine, LimitedBudget } from './budget-accounts.ts';
import type { HarnessDeps } from './deps.ts';
import type { MachineContext } from './state.ts';

type BudgetDeps = Pick<HarnessDeps, 'store' | 'settings' | 'clock'>;

/** What the incident has spent and may spend, read in one look-up for each account. */
export async function readBudgets(deps: BudgetDeps, context: MachineContext): Promise<BudgetLine[]> {
  const limited = budgetsOf(context, deps.settings.budgets, isoTime(deps.clock.now()));
  const spent = await deps.store.budgets.spent(limited.map(({ account }) => account));
  return limited.flatMap((line, n) => {
    const found = spent[n];
    return found === undefined ? [] : [{ ...line, spent: found }];
  });
}

/**
 * One investigation begins. It is charged to the day of team, trigger and installation before anything is read, once
 * for each effect; a round that a person granted is charged as well, and nothing stops it.
 *
 * @returns the budget that is used up, with how many investigations it has had.
 */
export async function beginInvestigation(
  deps: BudgetDeps,
  context: MachineContext,
  effect_id: string,
): Promise<{ budget: LimitedBudget; max: number } | null> {
  const granted = context.shared_budget === 'granted';
  const shared = budgetsOf(context, deps.settings.budgets, isoTime(deps.clock.now())).filter(isShared);
  const full = await deps.store.budgets.beginInvestigation(
    effect_id,
    shared.map(({ account, max }) => ({
      ...account,
      investigations_max: granted ? null : max.investigations,
    })),
  );
  const budget = shared.find(({ account }) => account.key === full?.key);
  return budget === undefined ? null : { budget, max: full?.investigations_max ?? 0 };
}
