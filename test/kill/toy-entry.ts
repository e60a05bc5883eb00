import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { sha256Hex } from '../../src/contract/canonical.ts';
import { isoTime } from '../../src/contract/ports.ts';
import { journalKey } from '../../src/contract/tool.ts';
import type { Permit, ToolOutcome } from '../../src/contract/tool.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { EffectRow, InboxRow, StepCommit, Store } from '../../src/store/store.ts';
import { createLog, systemClock, systemIds } from '../../src/system-ports.ts';
import { takeKillPlan } from './kill-plan.ts';
import { wrapStore } from './wrap-store.ts';

/**
 * A toy product for the kill harness: one wish in the inbox becomes a step, the step asks for one effect, the effect
 * adds a line to a world file under the journal's guard, and its result comes back as an inbox row. It leaves when all
 * is quiet. Killed anywhere and started again, it must have written the line once, or say that it does not know.
 */
const INCIDENT_ID = 'INC-2026-1123-001';
const KEY = journalKey(INCIDENT_ID, 'CHG-1', 'apply');
const ARGS_HASH = sha256Hex('one line');

async function main(home: string, world: string, mode: string): Promise<void> {
  const clock = systemClock;
  const store = wrapStore(
    await openStore({ home, clock, log: createLog('warn', () => null) }),
    takeKillPlan(),
  );
  await store.inbox.append({
    source: 'cli',
    dedup_key: 'wish',
    incident_id: null,
    kind: 'wish',
    payload: {},
  });
  for (;;) {
    const rows = await store.inbox.pending(100);
    for (const row of rows) await takeStep(store, row);
    const effects = await store.effects.open(100);
    for (const effect of effects)
      await runEffect(store, effect, () =>
        mode === 'careless' ? writeCarelessly(world) : writeOnce(store, world),
      );
    if (rows.length === 0 && effects.length === 0) break;
  }
  await store.ledger.checkpoint('quiet');
  await store.close();
}

async function takeStep(store: Store, row: InboxRow): Promise<void> {
  const incident = await store.incidents.get(INCIDENT_ID);
  const step = incident?.step ?? 0;
  const wish = row.kind === 'wish';
  const state = wish ? 'EXECUTING' : row.payload['status'] === 'done' ? 'CLOSED' : 'HALTED';
  const commit: StepCommit = {
    incident_id: INCIDENT_ID,
    expected_step: step,
    inbox_ids: [row.inbox_id],
    entries: [{ kind: 'event', actor: 'aegis:toy', payload: { type: row.kind, ...row.payload } }],
    snapshot: { state, ...row.payload },
    row: {
      state,
      identity: sha256Hex('toy'),
      open: state !== 'CLOSED',
      title: 'A toy wish',
      team: 'data',
      env: 'prod',
      channel: 'C1',
    },
    effects: wish ? [{ effect_id: `${INCIDENT_ID}/${step + 1}/0`, kind: 'line', payload: {} }] : [],
    arm_timers: [],
    cancel_timers: [],
    cards: [],
    approvals: [],
    planned: [],
    locks: 'keep',
  };
  await store.step.commit(commit);
}

async function runEffect(store: Store, effect: EffectRow, write: () => Promise<ToolOutcome>): Promise<void> {
  if (!(await store.effects.start(effect.effect_id))) return;
  const { status } = await write();
  await store.effects.finish(effect.effect_id, {
    source: 'effect',
    dedup_key: `effect:${effect.effect_id}`,
    incident_id: INCIDENT_ID,
    kind: 'written',
    payload: { status },
  });
}

/** The guarded write: accepted and never dispatched did not run; dispatched is looked at and never run again. */
async function writeOnce(store: Store, world: string): Promise<ToolOutcome> {
  const { journal } = store;
  const earlier = await journal.get(KEY);
  if (earlier !== null && earlier.outcome !== null) return earlier.outcome;
  if (earlier?.status === 'dispatched') {
    const found = outcomeOf(linesOf(world).includes(KEY) ? 'done' : 'outcome_unknown');
    await journal.finish(KEY, found.status, found);
    return found;
  }
  const permit = newPermit();
  await journal.mintPermit(permit, { kind: 'permit', actor: 'aegis:toy', payload: { permit } });
  const audit = { kind: 'call', actor: 'aegis:toy', payload: { key: KEY } } as const;
  await journal.accept({ permit_id: permit.permit_id, key: KEY, args_hash: ARGS_HASH, audit });
  const verdict = await journal.dispatch(KEY, { before_image: {}, object_uid: null });
  if (verdict !== 'dispatched') throw new Error(verdict.reason);
  appendLine(world, KEY);
  await journal.finish(KEY, 'done', outcomeOf('done'));
  return outcomeOf('done');
}

async function writeCarelessly(world: string): Promise<ToolOutcome> {
  appendLine(world, KEY);
  return outcomeOf('done');
}

function newPermit(): Permit {
  return {
    permit_id: systemIds.next('prm'),
    incident_id: INCIDENT_ID,
    change_id: 'CHG-1',
    phase: 'apply',
    revision: 1,
    plan_hash: sha256Hex('plan'),
    effect_hash: sha256Hex('effect'),
    tool: 'toy.append',
    target: 'mcp://toy/-/-/file/world',
    args_hash: ARGS_HASH,
    expires_at_ms: systemClock.now() + 60_000,
  };
}

function outcomeOf(status: ToolOutcome['status']): ToolOutcome {
  return { status, summary: status, conflict_fields: [], before_image: null, result: null, replayed: false };
}

/** One line, whole and durable before this returns. */
function appendLine(world: string, line: string): void {
  const file = openSync(world, 'a');
  writeSync(file, `${line}\n`);
  fsyncSync(file);
  closeSync(file);
}

function linesOf(world: string): string[] {
  return existsSync(world) ? readFileSync(world, 'utf8').split('\n').filter(Boolean) : [];
}

const [home = '', world = '', mode = 'guarded'] = process.argv.slice(2);
await main(home, world, mode);
process.stdout.write(`quiet at ${isoTime(systemClock.now())}\n`);
