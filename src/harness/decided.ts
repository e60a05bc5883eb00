import type { IncidentRow } from '../store/store.ts';
import type { HarnessDeps } from './deps.ts';
import type { HarnessEvent } from './events.ts';
import { parseSnapshot } from './machine.ts';
import { involvedThroughEffect } from './same-effect.ts';
import type { Snapshot } from './state.ts';

/** What a decision needs besides what its person said, however it came. */

/** An approval with the other incident, if any, in which its giver took part in the same effect. */
export async function followEffect(
  deps: HarnessDeps,
  row: IncidentRow,
  event: HarnessEvent,
): Promise<HarnessEvent> {
  if (event.type !== 'decided' || event.decision !== 'approve') return event;
  const elsewhere = await involvedThroughEffect(deps, parseSnapshot(row.snapshot).context);
  const same_effect_in = elsewhere.get(event.by);
  return same_effect_in === undefined ? event : { ...event, same_effect_in };
}

/** The role that a decision counts under: one that the rule asks for, preferring one that nobody has used yet. */
export function roleFor(snapshot: Snapshot, roles: readonly string[]): string {
  const approval = snapshot.context.approval;
  const used = new Set(approval?.decisions.map((d) => d.role) ?? []);
  const wanted = roles.filter((r) => approval?.rule.roles.includes(r));
  return wanted.find((r) => !used.has(r)) ?? wanted[0] ?? roles[0] ?? 'none';
}
