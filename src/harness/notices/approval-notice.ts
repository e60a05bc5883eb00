import { tallyDecisions } from '../../contract/approval.ts';
import type { ApprovalNotice } from '../../contract/notice.ts';
import type { Action } from '../../contract/plan.ts';
import { shownPreview } from '../shown-preview.ts';
import { incidentOf, involvedSet } from '../state.ts';
import type { MachineContext, PreparedPlan, Snapshot } from '../state.ts';
import type { CardView } from './card-view.ts';

/** The approval card as data: everything that is pinned, and nothing that is not. Null while there is no plan. */
export function approvalNotice(snapshot: Snapshot, view: CardView): ApprovalNotice | null {
  const c = snapshot.context;
  if (c.plan === null) return null;
  const { plan, risk, rule, plan_hash, effect_hash } = c.plan.payload;
  const incident = incidentOf(c);
  const approval = c.approval;
  const expires_at = approval?.expires_at ?? c.updated_at;
  const tally = tallyDecisions(rule, approval?.decisions ?? [], involvedSet(c), Date.parse(expires_at));
  return {
    kind: 'approval',
    incident_id: incident.incident_id,
    approval_id: approval?.approval_id ?? 'none',
    revision: plan.revision,
    plan_hash,
    effect_hash,
    status: approval?.status ?? 'void',
    status_text: statusText(snapshot),
    scope: incident.scope,
    actions: actionLines(c),
    started_by: incident.involved.map((i) => i.principal)[0] ?? null,
    cause: plan.hypothesis,
    confidence: plan.confidence,
    risk,
    gates: c.plan.gates.map((g) =>
      g.gate === 'approvals' && rule.people > 0
        ? {
            ...g,
            status: tally.satisfied ? ('passed' as const) : ('waiting' as const),
            reason: `${tally.approvals.length} of ${rule.people} given.`,
          }
        : g,
    ),
    rule,
    decisions: approval?.decisions ?? [],
    approvals_given: tally.approvals.length,
    ...(rule.step_up
      ? {
          step_up: {
            given: tally.approvals.some((d) => d.via === 'link'),
            url: stepUpUrl(view.public_url, approval?.approval_id),
          },
        }
      : {}),
    who_can: view.approvers,
    expires_at,
    ...(approval?.runs_from === undefined ? {} : { runs_from: approval.runs_from }),
    evidence: plan.evidence.map((e) => ({ id: e.id, claim: e.claim, role: e.role, pointer: e.pointer })),
    checks: plan.verify.map((v) => v.title),
    ...(plan.bake_s === undefined ? {} : { bake_s: plan.bake_s }),
    gaps: plan.gaps,
    simulated: view.simulated,
  };
}

function stepUpUrl(public_url: string | undefined, approval_id: string | undefined): string | null {
  if (public_url === undefined || approval_id === undefined) return null;
  return `${public_url.replace(/\/+$/, '')}/approve/${approval_id}`;
}

function actionLines(c: MachineContext): ApprovalNotice['actions'] {
  const prepared = c.plan as NonNullable<MachineContext['plan']>;
  return prepared.payload.plan.actions.map((action) => {
    const found = shownPreview(prepared, action.change_id);
    return {
      change_id: action.change_id,
      intent: action.intent,
      target: action.target,
      tool: action.tool,
      action_class: action.action_class,
      diff: found?.preview.diff ?? [],
      changes: found?.preview.changes ?? [],
      side_changes: found?.preview.side_changes ?? [],
      ...canaryOf(prepared, action),
      rollback: rollbackWords(action.rollback),
      previewed_at: found?.previewed_at ?? c.updated_at,
      warnings: found?.preview.warnings ?? [],
      credential_revocable: found?.credential_revocable ?? false,
    };
  });
}

/** "First One pod of settlement-api for 20 s, judged by 2 checks of its own; then the rest." */
function canaryOf(
  prepared: PreparedPlan,
  { change_id, canary }: Action,
): Pick<ApprovalNotice['actions'][number], 'canary'> {
  if (canary === undefined) return {};
  const count = canary.checks.length === 1 ? '1 check' : `${canary.checks.length} checks`;
  const words = `First ${canary.intent} for ${canary.bake_s} s, judged by ${count} of its own; only then the rest`;
  return {
    canary: { words, changes: shownPreview(prepared, change_id, 'canary')?.preview.changes ?? [] },
  };
}

function rollbackWords(
  rollback:
    | { from: 'before_image' }
    | { none: true; reason: string }
    | { tool: string; params: Record<string, unknown> },
): string {
  if ('from' in rollback) return 'put the observed prior values back';
  return 'none' in rollback
    ? `none: ${rollback.reason}`
    : `${rollback.tool} ${JSON.stringify(rollback.params)}`;
}

function statusText(snapshot: Snapshot): string {
  const c = snapshot.context;
  if (c.approval === null)
    return 'Shadow: this plan is shown for comparison and cannot be executed by Aegis.';
  switch (c.approval.status) {
    case 'open':
      return 'Waiting for approval.';
    case 'approved': {
      const asked =
        c.approval.rule.people > 0
          ? 'Approved'
          : `Nobody is asked (autonomy limited, rule ${c.approval.rule.name})`;
      return snapshot.state === 'HALTED'
        ? `${asked}, but not run: ${c.halt?.text ?? ''}`
        : `${asked}; every gate is checked again, then it runs.`;
    }
    case 'denied':
      return 'Denied; nothing ran.';
    case 'expired':
      return 'Expired; nothing ran. Press Plan again for a fresh plan.';
    case 'void':
      return `Void; nothing ran. ${c.halt?.text ?? c.status_text}`;
    case 'used':
      if (snapshot.state === 'ROLLING_BACK') return 'It was executed, and is being put back now.';
      if (snapshot.state === 'HALTED') return c.halt?.text ?? 'Halted.';
      return c.approval.rule.people > 0
        ? 'Executed as approved.'
        : 'Executed as planned, without a person’s approval (autonomy limited).';
  }
}
