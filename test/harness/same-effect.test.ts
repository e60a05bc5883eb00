import { describe, expect, it } from 'vitest';
import { involvedThroughEffect } from '../../src/harness/same-effect.ts';
import { incidentOf } from '../../src/harness/state.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import type { IncidentRow } from '../../src/store/store.ts';
import { at, walkTo } from './fixtures.ts';

const NOW_MS = Date.parse(at(0)) + 86_400_000;
const mine = walkTo('PENDING_APPROVAL');

/** Another incident, in which Omar asked for the same change unless the case says otherwise. */
function other(change: {
  id?: string;
  tool?: string;
  target?: string;
  params?: object;
  plan?: null;
}): Snapshot {
  const { incident, plan } = mine.context;
  if (incident === null || plan === null) throw new Error('the fixture has no plan');
  const [action] = plan.payload.plan.actions;
  if (action === undefined) throw new Error('the fixture has no action');
  const { tool = action.tool, target = action.target } = change;
  const actions = [{ ...action, tool, target, params: { ...action.params, ...change.params } }];
  const payload = { ...plan.payload, plan: { ...plan.payload.plan, actions } };
  return {
    state: 'CLOSED',
    context: {
      ...mine.context,
      incident: {
        ...incident,
        incident_id: change.id ?? 'INC-2026-1123-777',
        involved: [{ principal: 'omar', role: 'asker' }],
      },
      plan: change.plan === null ? null : { ...plan, payload },
    },
  };
}

async function involved(snapshot: Snapshot, updated_at_ms: number) {
  const asked: object[] = [];
  const row = {
    incident_id: incidentOf(snapshot.context).incident_id,
    snapshot,
    updated_at_ms,
  } as IncidentRow;
  const incidents = {
    list: async (options: object) => {
      asked.push(options);
      return [row];
    },
  };
  const deps = { store: { incidents }, clock: { now: () => NOW_MS } } as unknown as Parameters<
    typeof involvedThroughEffect
  >[0];
  return { found: Object.fromEntries(await involvedThroughEffect(deps, mine.context)), asked };
}

describe('taking part in a change', () => {
  const DAY_MS = 86_400_000;
  it.each([
    ['follows the effect into another incident', other({}), NOW_MS, true],
    ['also when the value differs', other({ params: { changes: [] } }), NOW_MS, true],
    ['for a day', other({}), NOW_MS - DAY_MS, true],
    ['and not for longer', other({}), NOW_MS - DAY_MS - 1, false],
    ['not for another tool', other({ tool: 'k8s.patch' }), NOW_MS, false],
    [
      'not for another object',
      other({ target: 'mcp://k8s/prod-1/spark-jobs/sparkapplication/other' }),
      NOW_MS,
      false,
    ],
    ['not before there is a plan', other({ plan: null }), NOW_MS, false],
    [
      'and is no other incident when it is this one',
      other({ id: incidentOf(mine.context).incident_id }),
      NOW_MS,
      false,
    ],
  ])('%s', async (_what, snapshot, updated_at_ms, expected) => {
    const { found, asked } = await involved(snapshot, updated_at_ms);
    expect(found).toEqual(expected ? { omar: 'INC-2026-1123-777' } : {});
    const { team, env } = incidentOf(mine.context).scope;
    expect(asked).toEqual([expect.objectContaining({ team, env })]);
  });
});
