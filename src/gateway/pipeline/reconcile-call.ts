import { hashOf } from '../../contract/canonical.ts';
import type { LedgerEntry } from '../../contract/ledger.ts';
import type { FieldChange, ToolOutcome } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { JournalRow, JournalStore } from '../../store/authority.ts';
import type { Lease } from '../credentials/lease.ts';
import { imageOfChange } from '../change-image.ts';
import type { Precondition } from '../drivers/driver.ts';
import { authorize, writeToolOf, type Admission } from './admit.ts';
import { valuesOf } from './after-canary.ts';
import { approvedEffect } from './approved-effect.ts';
import { auditAfter, auditBefore, recordRefusal, beginCall } from './audit.ts';
import type { GatewayCore } from './core.ts';
import { throughDoor } from './door.ts';
import { compareObservation, conflictOutcome, differences, outcomeOf } from './outcome.ts';
import { originOf, plannedAction, plannedCall, plannedIn } from './planned-call.ts';
import { leaseFor } from './upstream-call.ts';
import { readVerifiedChain } from './verified-chain.ts';
import { settleRow } from './settle-row.ts';
import { cleanOutcome, doneText, observe, unknownOutcome, type WriteCall } from './write-steps.ts';

/**
 * What became of a write whose answer nobody heard: the object is looked at, the write is never sent again from here.
 * When the object shows that it never arrived, the key is opened for a fresh permit.
 */
export async function reconcileCall(
  core: GatewayCore,
  input: { readonly token: string; readonly journal_key: string },
): Promise<{ outcome: ToolOutcome } | Refusal> {
  const about = `reconcile ${input.journal_key}`;
  const row = await core.store.journal.get(input.journal_key);
  if (row === null)
    return refuse(
      'journal-unknown',
      `The journal has no ${input.journal_key}.`,
      'Nothing was accepted under this key, so nothing ran.',
    );
  const approved = await approvedCall(core, row);
  if (isRefusal(approved)) return recordRefusal(core, null, approved, about);
  const { params, precondition: found } = approved;
  const asked = { token: input.token, tool: row.tool, target: row.target, args: params };
  return throughDoor(core, asked, { mode: 'write', about }, async (admission) => {
    const denied =
      admission.grant.incident_id === row.incident_id
        ? authorize(admission, { action: 'preview', dry_run: admission.entry.tool.dry_run })
        : refuse(
            'scope-forbidden',
            'The token belongs to another incident.',
            'Use the incident’s own token.',
          );
    return denied ?? audited(core, admission, row, found);
  });
}

async function audited(
  core: GatewayCore,
  admission: Admission,
  row: JournalRow,
  found: Precondition,
): Promise<{ outcome: ToolOutcome } | Refusal> {
  const facts = beginCall(core, { door: 'read', admission, why: `reconcile ${row.key}` });
  const unwritten = await auditBefore(core, facts);
  if (unwritten !== null) return unwritten;
  const { value, lease, revoked } = await settleEarlier(core, admission, facts.call_id, row, found);
  const refused = isRefusal(value);
  await auditAfter(core, facts, {
    status: refused ? 'refused' : value.status,
    summary: refused ? value.reason : value.summary,
    redactions: 0,
    lease,
    revoked,
  });
  return refused ? value : { outcome: value };
}

export interface Settled {
  readonly value: ToolOutcome | Refusal;
  readonly lease: Lease | null;
  readonly revoked: boolean;
}

/** How long a request whose sender is gone may still show its effect. The server compares the prior state in any case. */
const IN_FLIGHT_MS_MAX = 3000;
const LOOK_EVERY_MS = 300;

/** The outcome of an earlier run of the same key: stored when it is settled and still shown, else from a look. */
export async function settleEarlier(
  core: GatewayCore,
  admission: Admission,
  call_id: string,
  row: JournalRow,
  precondition: Precondition,
): Promise<Settled> {
  const stored = row.outcome === null ? null : { ...row.outcome, replayed: true };
  if ((row.status === 'failed' || row.status === 'conflict') && stored !== null)
    return { value: stored, lease: null, revoked: false };
  if (row.status === 'accepted')
    return { value: neverSeen(row, 'It was accepted and never sent.'), lease: null, revoked: false };
  const lease = await leaseFor(core, admission, call_id, 'read', undefined);
  if (isRefusal(lease)) return { value: lease, lease: null, revoked: false };
  const call: WriteCall = { core, admission, call_id, lease, precondition, timeout_ms: 0 };
  let value: ToolOutcome | Refusal;
  let revoked = false;
  try {
    value = row.status === 'done' && stored !== null ? await confirm(call, stored) : await settle(call, row);
  } finally {
    revoked = await lease.release();
  }
  return { value, lease, revoked };
}

/** Done before: the stored result, if the object still shows it. */
async function confirm(call: WriteCall, stored: ToolOutcome): Promise<ToolOutcome | Refusal> {
  const now = await observe(call, 'read');
  if (isRefusal(now)) return now;
  if (compareObservation(call.precondition, now) === 'after') return stored;
  const conflict = conflictOutcome(
    differences(call.precondition, now),
    'It was done before, but the object no longer shows it',
  );
  return cleanOutcome(call, { ...conflict, replayed: true });
}

async function settle(call: WriteCall, row: JournalRow): Promise<ToolOutcome | Refusal> {
  const { core, admission } = call;
  for (;;) {
    const now = await observe(call, 'read');
    if (isRefusal(now)) return now;
    const shown = compareObservation(call.precondition, now);
    if (shown === 'after') {
      const before_image = row.before_image === null ? null : { ...row.before_image };
      return settleRow(
        core.store.journal,
        row.key,
        cleanOutcome(
          call,
          outcomeOf('done', `${doneText(call)} Found by looking at the object after an interruption.`, {
            before_image,
          }),
        ),
      );
    }
    if (shown === 'other')
      return settleRow(
        core.store.journal,
        row.key,
        cleanOutcome(
          call,
          unknownOutcome('the object shows neither state', differences(call.precondition, now)),
        ),
      );
    const left_ms = row.updated_at_ms + IN_FLIGHT_MS_MAX - core.clock.now();
    if (left_ms <= 0 && !core.in_flight.has(row.key)) break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  if (row.status !== 'dispatched' || !writeToolOf(admission).conditional)
    return settleRow(
      core.store.journal,
      row.key,
      unknownOutcome('the object still shows the state before the change', []),
    );
  // Whenever the lost request still arrives, the server finds another prior state or none to change twice.
  await reopen(core.store.journal, row.key);
  return neverSeen(row, 'The object still shows the state before the change.');
}

/** Two looks at the same row may come to this together: the second finds the key open already. */
async function reopen(journal: JournalStore, key: string): Promise<void> {
  try {
    await journal.reopen(key);
  } catch (error) {
    if ((await journal.get(key))?.status !== 'accepted') throw error;
  }
}

/** `upstream-*`: not now. The key is free again, and the next try runs it under a fresh permit. */
function neverSeen(row: JournalRow, why: string): Refusal {
  return refuse(
    'upstream-never-saw-it',
    `${row.change_id} did not run. ${why}`,
    'Aegis runs the gates again and sends it under a fresh permit.',
  );
}

interface ApprovedCall {
  readonly params: Readonly<Record<string, unknown>>;
  readonly precondition: Precondition;
}

/** Arguments and approved prior state of the row's permit, from the incident's ledger. */
async function approvedCall(core: GatewayCore, row: JournalRow): Promise<ApprovedCall | Refusal> {
  const entries = await readVerifiedChain(core.store.ledger, row.incident_id);
  if (isRefusal(entries)) return entries;
  const plan = plannedIn(entries, row.permit);
  const effect = plan === null ? null : approvedEffect(entries, row.permit, plan);
  if (effect !== null && !isRefusal(effect)) {
    const params = await paramsOf(core, row, entries, effect.precondition.changes);
    const origin = originOf(entries, row.permit);
    if (params !== null) return { params, precondition: { ...effect.precondition, origin } };
  }
  return refuse(
    'effect-mismatch',
    `The ledger holds no plan and preview for ${row.key}.`,
    'Look at the object by hand.',
  );
}

/** As planned; else as the tool makes them of values. Null: not those that ran. */
async function paramsOf(
  core: GatewayCore,
  row: JournalRow,
  entries: readonly LedgerEntry[],
  changes: readonly FieldChange[],
): Promise<Readonly<Record<string, unknown>> | null> {
  const action = plannedAction(entries, row.permit);
  const planned = action === null ? null : plannedCall(action, row.permit);
  if (planned === null) return null;
  let { params } = planned;
  if (params === null) {
    const tool = core.registry.tools.get(row.tool)?.tool;
    const values =
      row.permit.phase === 'undo'
        ? await imageOfChange(core.store.journal, row.incident_id, row.change_id)
        : valuesOf(changes);
    params = tool?.mode === 'write' && values !== null ? tool.undo(values) : null;
  }
  return params !== null && hashOf(params) === row.args_hash ? (params as Record<string, unknown>) : null;
}
