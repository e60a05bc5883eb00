import { describe, expect, it } from 'vitest';
import { involvedThroughEffect } from '../../src/harness/same-effect.ts';
import { incidentOf } from '../../src/harness/state.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import type { IncidentRow } from '../../src/store/store.ts';
import { at, walkTo } from './fixtures.ts';

const NOW_MS = Date.parse(at(0)) + 86_400_000;
const mine = walkTo('PENDING_APPROVAL');

/** Another incident, in which Omar asked for the same change. */
function other(incident_id: string): Snapshot {
  const incident = incidentOf(mine.context);
  return {
    state: 'CLOSED',
    context: {
      ...mine.context,
      incident: { ...incident, incident_id, involved: [{ principal: 'omar', role: 'asker' }] },
    },
  };
}

async function involved(snapshot: Snapshot) {
  const asked: object[] = [];
  const row = { incident_id: incidentOf(snapshot.context).incident_id, snapshot } as IncidentRow;
  const incidents = {
    planning: async (effect: object, since_ms: number) => {
      asked.push({ ...effect, since_ms });
      return [row];
    },
  };
  const deps = { store: { incidents }, clock: { now: () => NOW_MS } } as unknown as Parameters<
    typeof involvedThroughEffect
  >[0];
  return { found: Object.fromEntries(await involvedThroughEffect(deps, mine.context)), asked };
}

describe('taking part in a change', () => {
  it('follows the effect of each action for a day into the other incidents that the store names', async () => {
    const { found, asked } = await involved(other('INC-2026-1123-777'));
    expect(found).toEqual({ omar: 'INC-2026-1123-777' });
    const actions = mine.context.plan?.payload.plan.actions ?? [];
    expect(asked).toEqual(
      actions.map(({ tool, target }) => ({ tool, target, since_ms: NOW_MS - 86_400_000 })),
    );
  });

  it('and is no other incident when it is this one', async () => {
    expect((await involved(other(incidentOf(mine.context).incident_id))).found).toEqual({});
  });
});
