import { PEOPLE } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import type { Delivery } from '../../src/lab/slack/deliveries.ts';
import { standing, ledgerOf } from './looking-in.ts';

/**
 * What people pressed against what became of it. Slack shows a press as taken when it was acknowledged, so each of those
 * must stand in the ledger: as an event, or as a refusal that its person was told.
 */
export interface Clicks {
  /** By principal. */
  readonly acknowledged: Readonly<Record<string, number>>;
  readonly recorded: Readonly<Record<string, number>>;
}

/** Buttons that are an act by themselves; the others only open a dialog. */
const ACTS = [
  'incident.activate',
  'incident.resume',
  'incident.plan_again',
  'incident.stop',
  'incident.hand_over',
];

export async function clicksOf(range: Range): Promise<Clicks> {
  const acknowledged: Record<string, number> = {};
  for (const delivery of range.twins.slack.deliveries.log)
    if (delivery.attempts.some(({ status }) => status === 200) && isAct(delivery)) {
      const { id } = delivery.payload['user'] as { id: string };
      const principal = Object.entries(PEOPLE).find(([, user]) => user === id)?.[0] ?? id;
      acknowledged[principal] = (acknowledged[principal] ?? 0) + 1;
    }
  const recorded: Record<string, number> = {};
  const { incident_id } = await standing(range);
  for (const chain of [incident_id, 'SYSTEM'])
    for (const { kind, actor } of await ledgerOf(range, chain))
      if ((kind === 'event' || kind === 'refusal') && actor.startsWith('person:')) {
        const principal = actor.slice('person:'.length);
        recorded[principal] = (recorded[principal] ?? 0) + 1;
      }
  return { acknowledged, recorded };
}

/** Presses that were acknowledged and stand nowhere, in words; empty when none was lost. */
export function lostClicks({ acknowledged, recorded }: Clicks): string[] {
  return Object.entries(acknowledged).flatMap(([principal, count]) =>
    count > (recorded[principal] ?? 0)
      ? [`${principal}: ${count} taken, ${recorded[principal] ?? 0} on record`]
      : [],
  );
}

function isAct({ kind, payload }: Delivery): boolean {
  if (kind !== 'interaction') return false;
  if (payload['type'] === 'view_submission') return true;
  const actions = (payload['actions'] ?? []) as { action_id?: string }[];
  return actions.some(({ action_id }) => ACTS.includes(action_id ?? ''));
}
