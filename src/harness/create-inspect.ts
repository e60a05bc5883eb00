import { lineRange } from '../contract/evidence.ts';
import type { EvidencePointer } from '../contract/evidence.ts';
import type { ApprovalNotice } from '../contract/notice.ts';
import { isoTime } from '../contract/ports.ts';
import type { Identity } from '../contract/settings.ts';
import { isRefusal } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { FreezeRow } from '../store/authority.ts';
import type { IncidentRow } from '../store/store.ts';
import { approversInWords } from './approvers.ts';
import type { HarnessDeps } from './deps.ts';
import { rolesOf } from '../contract/settings.ts';
import { resolveAccount } from './identity.ts';
import type { EvidenceItem, EvidenceView, Inspect, StatusView } from './inspect.ts';
import type { SlackAccount } from './intake.ts';
import { parseSnapshot } from './machine.ts';
import { NOT_YOURS, readApproval } from './read-approval.ts';
import type { MachineContext } from './state.ts';
import { withWorld } from './world-session.ts';
import type { ReadSession } from './world-session.ts';

/** Lines shown around the cited ones. */
const CONTEXT_LINES = 2;
/** Open incidents in a status answer. */
const STATUS_INCIDENTS_MAX = 50;
/** The viewer's reads: the same identity map as for acts, and "not yours" looks exactly like "not there". */
export function createInspect(deps: HarnessDeps): Inspect {
  return {
    evidence: (viewer, incident_id) => evidenceView(deps, viewer, incident_id),
    approval: (viewer, approval_id) => currentApproval(deps, viewer, approval_id),
    status: (viewer) => statusView(deps, viewer),
    async incidentOfThread(channel, thread_ts) {
      return (await deps.store.incidents.findByThread(channel, thread_ts))?.incident_id ?? null;
    },
    person(principal) {
      const found = deps.settings.identity.find((i) => i.principal === principal);
      const account = found?.slack.find((s) => s.workspace === deps.settings.slack.workspace);
      return { name: found?.name ?? principal, slack_user: account?.user ?? null };
    },
  };
}

async function evidenceView(
  deps: HarnessDeps,
  viewer: SlackAccount,
  incident_id: string,
): Promise<EvidenceView | Refusal> {
  const seen = await visibleIncident(deps, viewer, incident_id);
  if (isRefusal(seen)) return seen;
  const { context } = parseSnapshot(seen.row.snapshot);
  const cited = context.plan?.payload.plan.evidence ?? context.findings?.evidence ?? [];
  const items = await withWorld(
    deps,
    context,
    { purpose: 'look', principal: seen.identity.principal },
    async (read) => {
      const list: EvidenceItem[] = [];
      for (const piece of cited) {
        const item = await evidenceItem(deps, read, piece);
        if (item !== null) list.push(item);
      }
      return list;
    },
  );
  return {
    incident_id,
    title: context.findings?.cause ?? seen.row.title,
    items,
    checked_at: isoTime(deps.clock.now()),
  };
}

async function currentApproval(
  deps: HarnessDeps,
  viewer: SlackAccount,
  approval_id: string,
): Promise<ApprovalNotice | Refusal> {
  const identity = resolveAccount(deps.settings.identity, deps.settings.slack.workspace, viewer);
  return isRefusal(identity) ? identity : readApproval(deps, identity, approval_id);
}

async function statusView(deps: HarnessDeps, viewer: SlackAccount): Promise<StatusView | Refusal> {
  const identity = resolveAccount(deps.settings.identity, deps.settings.slack.workspace, viewer);
  if (isRefusal(identity)) return identity;
  const rows = await deps.store.incidents.list({ open: true, limit: STATUS_INCIDENTS_MAX });
  const incidents = [];
  for (const row of rows)
    if (rolesOf(identity, row.team, row.env).length > 0) incidents.push(await statusLine(deps, row));
  const freezes = new Map<string, FreezeRow>();
  for (const { team, env } of identity.roles)
    for (const freeze of await deps.store.freezes.active({ team, env }))
      freezes.set(freeze.freeze_id, freeze);
  const lines = [...freezes.values()].map((f) => ({
    scope: f.scope,
    reason: f.reason,
    by: f.by,
    until: f.until_ms === null ? null : isoTime(f.until_ms),
  }));
  return { incidents, freezes: lines };
}

async function visibleIncident(
  deps: HarnessDeps,
  viewer: SlackAccount,
  incident_id: string,
): Promise<{ row: IncidentRow; identity: Identity } | Refusal> {
  const identity = resolveAccount(deps.settings.identity, deps.settings.slack.workspace, viewer);
  if (isRefusal(identity)) return identity;
  const row = await deps.store.incidents.get(incident_id);
  return row !== null && rolesOf(identity, row.team, row.env).length > 0 ? { row, identity } : NOT_YOURS;
}

async function evidenceItem(
  deps: HarnessDeps,
  read: ReadSession,
  piece: { id: string; claim: string; role: 'cause' | 'precondition'; pointer: EvidencePointer },
): Promise<EvidenceItem | null> {
  const record = await deps.store.evidence.record(piece.pointer.evidence_id);
  if (record === null) return null;
  const holds = await read.vfs.holds(piece.pointer, read.session);
  const opened = await deps.store.evidence.open(piece.pointer.evidence_id);
  const all = 'text' in opened ? opened.text.split('\n') : [];
  const { first, last } = lineRange(piece.pointer.lines);
  const from = Math.max(1, first - CONTEXT_LINES);
  const lines = all
    .slice(from - 1, last + CONTEXT_LINES)
    .map((text, n) => ({ number: from + n, text, cited: from + n >= first && from + n <= last }));
  return { id: piece.id, claim: piece.claim, role: piece.role, pointer: piece.pointer, record, lines, holds };
}

async function statusLine(deps: HarnessDeps, row: IncidentRow) {
  const { context } = parseSnapshot(row.snapshot);
  const root = await deps.store.outbox.get(`root:${row.incident_id}`);
  return {
    incident_id: row.incident_id,
    title: row.title,
    state: row.state,
    team: row.team,
    env: row.env,
    waiting_for: await waiting(deps, row.state, context),
    channel: row.channel,
    thread_ts: root?.ts ?? null,
  };
}

async function waiting(deps: HarnessDeps, state: string, context: MachineContext): Promise<string | null> {
  if (state === 'TRIAGE' && !context.activated) return 'somebody to press Activate';
  if (state === 'PENDING_APPROVAL' && context.approval?.status === 'open')
    return await approversInWords(deps, context);
  return state === 'HALTED' ? 'a person to decide how to go on' : null;
}
