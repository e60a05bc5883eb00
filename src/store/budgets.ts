import type { Account, Spend, Spent } from '../contract/budgets.ts';
import type { BudgetStore } from './authority.ts';
import type { Core } from './database.ts';

/** Money is counted in whole millionths, so that sums do not drift. */
const MICRO = 1_000_000;
const UNITS = ['calls', 'reads', 'bytes', 'tokens', 'cost_microusd'] as const;
type Amounts = Record<(typeof UNITS)[number], number>;
type EffectRow = { attempt: string; investigations: number } & Record<`now_${keyof Amounts}`, number> &
  Record<`top_${keyof Amounts}`, number>;

/** Charges inside the caller's transaction: the one that writes the ledger entry which the spending belongs to. */
export type ChargeSpend = (spend: Spend) => void;

export function spendCharger(core: Core): ChargeSpend {
  const find = effectFinder(core);
  const save = core.db.prepare<[Record<string, string | number>]>(
    `INSERT INTO effect_spending (effect_id, attempt, ${UNITS.flatMap((u) => [`now_${u}`, `top_${u}`]).join(', ')})
     VALUES (@effect_id, @attempt, ${UNITS.flatMap((u) => [`@now_${u}`, `@top_${u}`]).join(', ')})
     ON CONFLICT (effect_id) DO UPDATE SET attempt = excluded.attempt,
       ${UNITS.flatMap((u) => [`now_${u} = excluded.now_${u}`, `top_${u} = excluded.top_${u}`]).join(', ')}`,
  );
  const add = accountAdder(core);
  return (spend) => {
    const { effect_id, attempt, accounts } = spend.payer;
    const row = find(effect_id);
    const owed = { investigations: 0 } as { investigations: number } & Amounts;
    const next: Record<string, string | number> = { effect_id, attempt };
    for (const unit of UNITS) {
      const now = (row?.attempt === attempt ? row[`now_${unit}`] : 0) + amountOf(spend, unit);
      const top = row?.[`top_${unit}`] ?? 0;
      owed[unit] = Math.max(0, now - top);
      next[`now_${unit}`] = now;
      next[`top_${unit}`] = Math.max(now, top);
    }
    save.run(next);
    for (const account of accounts) add(account, owed);
  };
}

function amountOf(spend: Spend, unit: keyof Amounts): number {
  return unit === 'cost_microusd' ? Math.round((spend.cost_usd ?? 0) * MICRO) : (spend[unit] ?? 0);
}

/** Budgets that outlive the process: counters that are read in one look-up and never summed up from ledgers. */
export function budgetStore(core: Core): BudgetStore {
  const { db } = core;
  const find = effectFinder(core);
  const add = accountAdder(core);
  const note = db.prepare<[string]>(
    `INSERT INTO effect_spending (effect_id, investigations) VALUES (?, 1)
     ON CONFLICT (effect_id) DO UPDATE SET investigations = 1`,
  );
  const account = db.prepare<[string, string], { investigations: number } & Amounts>(
    `SELECT investigations, ${UNITS.join(', ')} FROM spending WHERE account = ? AND day = ?`,
  );
  const of_day = db.prepare<[string], { account: string }>(
    "SELECT account FROM spending WHERE day = ? AND day <> ''",
  );
  const spentOf = ({ key, day }: Account): Spent => {
    const row = account.get(key, day ?? '');
    if (row === undefined) return { investigations: 0, calls: 0, reads: 0, bytes: 0, tokens: 0, cost_usd: 0 };
    const { cost_microusd, ...counts } = row;
    return { ...counts, cost_usd: cost_microusd / MICRO };
  };
  return {
    beginInvestigation: async (effect_id, accounts) =>
      core.immediate(() => {
        // Begun by an attempt that did not live to its end.
        if ((find(effect_id)?.investigations ?? 0) > 0) return null;
        const full = accounts.find(
          ({ investigations_max, ...which }) =>
            investigations_max !== null && spentOf(which).investigations >= investigations_max,
        );
        if (full !== undefined) return full;
        note.run(effect_id);
        for (const { key, day } of accounts) add({ key, day }, { ...NOTHING, investigations: 1 });
        return null;
      }),
    spent: async (accounts) => accounts.map(spentOf),
    async daySpent(day) {
      return of_day.all(day).map(({ account: key }) => ({ key, spent: spentOf({ key, day }) }));
    },
  };
}

const NOTHING = { investigations: 0, calls: 0, reads: 0, bytes: 0, tokens: 0, cost_microusd: 0 };

function effectFinder(core: Core): (effect_id: string) => EffectRow | undefined {
  const find = core.db.prepare<[string], EffectRow>('SELECT * FROM effect_spending WHERE effect_id = ?');
  return (effect_id) => find.get(effect_id);
}

function accountAdder(core: Core): (account: Account, amounts: typeof NOTHING) => void {
  const units = ['investigations', ...UNITS];
  const add = core.db.prepare<[Record<string, string | number>]>(
    `INSERT INTO spending (account, day, ${units.join(', ')}) VALUES (@key, @day, ${units.map((u) => `@${u}`).join(', ')})
     ON CONFLICT (account, day) DO UPDATE SET ${units.map((u) => `${u} = ${u} + excluded.${u}`).join(', ')}`,
  );
  return ({ key, day }, amounts) => {
    if (Object.values(amounts).some((amount) => amount > 0)) add.run({ ...amounts, key, day: day ?? '' });
  };
}
