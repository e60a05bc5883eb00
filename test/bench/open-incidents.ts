import { isoTime } from '../../src/contract/ports.ts';
import { commitOf } from '../../src/harness/commit-of.ts';
import type { CardView } from '../../src/harness/notices/card-view.ts';
import { HarnessEvent } from '../../src/harness/events.ts';
import { step } from '../../src/harness/machine.ts';
import { emptySnapshot } from '../../src/harness/state.ts';
import type { Store } from '../../src/store/store.ts';
import {
  at,
  draft,
  findings,
  ID,
  incidentContext,
  preparedEvent,
  runningId,
  T0,
  take,
} from '../harness/fixtures.ts';

/** Reads that an investigation of this size leaves in the ledger: two rows a call. */
const CALLS = 25;

const VIEW: CardView = {
  ledger_head: '0'.repeat(64),
  tool_calls: CALLS,
  simulated: false,
  approvers: 'Dan, Inês',
};

/** Incidents that wait for approvals, each made by the machine step by step, as the running product makes them. */
export async function openIncidents(store: Store, count: number): Promise<void> {
  const policy = await policyDigest(store);
  const template = JSON.stringify(untilApproval());
  const shift_ms = Date.now() - T0;
  for (let n = 0; n < count; n += 1) {
    const incident_id = await store.incidents.allocateId(Date.now());
    const events = JSON.parse(
      template
        .replaceAll(ID, incident_id)
        .replaceAll('APR-1', `APR-${n + 1}`)
        .replaceAll('CHG-10', `CHG-${n + 1}`)
        .replaceAll('"group_key":"g"', `"group_key":"g${n}"`)
        .replaceAll(/"policy_digest":"[0-9a-f]{64}"/g, `"policy_digest":"${policy}"`)
        .replaceAll(/"(\d{4}-\d\d-\d\dT[\d:.]+Z)"/g, (_all, at: string) =>
          JSON.stringify(isoTime(Date.parse(at) + shift_ms)),
        ),
    ) as unknown[];
    let snapshot = emptySnapshot();
    for (const parsed of events) {
      const event = HarnessEvent.parse(parsed);
      const stepped = step(snapshot, event);
      if (!stepped.ok) throw new Error(stepped.refusal.reason);
      await store.step.commit(commitOf(snapshot, event, stepped.snapshot, 'aegis:bench', [], VIEW));
      snapshot = stepped.snapshot;
    }
    await store.ledger.append(incident_id, CALL_ENTRIES);
  }
}

/** The digest that the product wrote down at its start: approvals of another set would all be voided. */
async function policyDigest(store: Store): Promise<string> {
  for (const entry of (await store.ledger.read('SYSTEM')).toReversed()) {
    const digest = /"digest":"([0-9a-f]{64})"/.exec(JSON.stringify(entry.payload))?.[1];
    if (digest !== undefined) return digest;
  }
  throw new Error('the product has not written down which policies it loaded');
}

const CALL_ENTRIES = Array.from({ length: CALLS * 2 }, (_, n) => ({
  kind: 'call' as const,
  actor: 'aegis:gateway',
  payload: {
    phase: n % 2 === 0 ? 'before' : 'after',
    call_id: `call-${Math.floor(n / 2)}`,
    door: 'read',
    why: 'what the driver says before it ends',
    text: 'x'.repeat(400),
  },
}));

/** The events of one incident up to its open approval. */
function untilApproval(): HarnessEvent[] {
  let snapshot = emptySnapshot();
  const story: readonly (() => HarnessEvent)[] = [
    () => ({ type: 'opened', at: at(0), context: incidentContext(), channel: 'C0BENCH' }),
    () => ({ type: 'triaged', at: at(1), effect_id: runningId(snapshot), skills: [] }),
    () => ({ type: 'activated', at: at(2), by: 'maya' }),
    () => ({ type: 'investigated', at: at(3), effect_id: runningId(snapshot), findings: findings() }),
    () => ({ type: 'drafted', at: at(4), effect_id: runningId(snapshot), draft: draft() }),
    () => preparedEvent(runningId(snapshot), 1, 5),
  ];
  return story.map((next) => {
    const event = next();
    snapshot = take(snapshot, event);
    return event;
  });
}
