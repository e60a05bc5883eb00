import { z } from 'zod';
import { asksNobody, tallyDecisions, type Decision } from '../../contract/approval.ts';
import { hashOf } from '../../contract/canonical.ts';
import {
  AUTONOMY_LEVELS,
  Autonomy,
  IncidentContext,
  Involved,
  PrincipalId,
} from '../../contract/incident.ts';
import { ApprovalPayload, approvalFromLedger, PlanPayload, type LedgerEntry } from '../../contract/ledger.ts';
import { planHashOf, type Action } from '../../contract/plan.ts';
import { journalKey, type Permit } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { Precondition } from '../drivers/driver.ts';
import { approvedEffect } from './approved-effect.ts';
import type { ApprovedEffect } from './approved-effect.ts';
import { originOf, plannedCall } from './planned-call.ts';

/**
 * What people approved, re-derived from the incident's ledger and compared with the permit field by field. The harness
 * asks; it is not believed. Pure.
 */
export interface Proof {
  readonly context: IncidentContext;
  readonly autonomy: Autonomy;
  readonly action: Action;
  readonly precondition: Precondition;
  /** For an action that follows its canary: the effect that the canary must have had. */
  readonly after_canary: string | null;
  readonly plan: PlanPayload;
  /** By change id, as in `ApprovedEffect`. */
  readonly approved: ApprovedEffect['approved'];
  /** Distinct people whose approval counts. */
  readonly approvals: number;
  readonly people_required: number;
  readonly denied: boolean;
}

export interface ProofInput {
  readonly entries: readonly LedgerEntry[];
  readonly permit: Permit;
  readonly policy_digest: string;
  readonly tool_definitions_digest: string;
  readonly now_ms: number;
  readonly people: PeopleNow;
}

/** What is known of people at this moment, which no ledger entry of the incident can say. */
export interface PeopleNow {
  /** By principal: roles in the incident's team and environment today, from the identity map. */
  readonly roles: ReadonlyMap<string, readonly string[]>;
  /** Who took part in the same effect through another incident, with that incident. */
  readonly elsewhere: ReadonlyMap<string, string>;
  /** Tokens of decisions from outside Slack that do not count any more. */
  readonly distrusted: ReadonlySet<string>;
}

export function proveApproval(input: ProofInput): Proof | Refusal {
  const forged = permitProblem(input);
  if (forged !== null) return forged;
  const incident = incidentOf(input.entries);
  if (isRefusal(incident)) return incident;
  if (incident.autonomy !== 'approve' && incident.autonomy !== 'limited')
    return refuse(
      'autonomy-forbids',
      `The incident runs with autonomy ${incident.autonomy}: Aegis proposes, people act.`,
      'Run the planned change by hand.',
    );
  const plan = planOf(input);
  if (isRefusal(plan)) return plan;
  const action = plan.plan.actions.find((candidate) => candidate.change_id === input.permit.change_id);
  if (action === undefined)
    return refuse(
      'permit-mismatch',
      `The approved plan has no change ${input.permit.change_id}.`,
      'Plan again.',
    );
  const wrong = actionMismatch(action, input.permit);
  if (wrong !== null) return wrong;
  const effect = approvedEffect(input.entries, input.permit, plan);
  if (isRefusal(effect)) return effect;
  const tally = approvalOf(input, plan, { ...incident, involved: involvedBy(input, incident) });
  if (isRefusal(tally)) return tally;
  const { context, autonomy } = incident;
  const origin = originOf(input.entries, input.permit);
  const { precondition, after_canary, approved } = effect;
  return {
    context,
    autonomy,
    action,
    precondition: { ...precondition, origin },
    after_canary,
    plan,
    approved,
    ...tally,
  };
}

const Minted = z.looseObject({ permit: z.looseObject({ permit_id: z.string() }) });
const Consumed = z.looseObject({ phase: z.literal('before'), permit_id: z.string() });

/** The row of a permit proves nothing by itself: it must stand in the chain as it was minted, and not as consumed. */
function permitProblem({ entries, permit }: ProofInput): Refusal | null {
  let minted: unknown = null;
  for (const entry of entries) {
    if (entry.kind === 'permit') {
      const parsed = Minted.safeParse(entry.payload);
      if (parsed.success && parsed.data.permit.permit_id === permit.permit_id) minted = parsed.data.permit;
    } else if (entry.kind === 'call') {
      const parsed = Consumed.safeParse(entry.payload);
      if (parsed.success && parsed.data.permit_id === permit.permit_id)
        return refuse(
          'permit-used',
          `The permit for ${permit.change_id} was used before.`,
          'Each call needs its own permit.',
        );
    }
  }
  if (minted !== null && hashOf(minted) === hashOf(permit)) return null;
  return refuse(
    'permit-altered',
    minted === null
      ? `The ledger of ${permit.incident_id} never minted the permit that was shown.`
      : `The permit for ${permit.change_id} is not the one that the ledger minted.`,
    'Run `aegis ledger verify` and look at who can write to the database; the gates mint a fresh permit.',
  );
}

export interface IncidentFacts {
  readonly context: IncidentContext;
  readonly autonomy: Autonomy;
  readonly involved: ReadonlySet<string>;
}

/** Events by which a person takes part in the change, and can therefore not approve it (DESIGN section 4). */
const INVOLVING = new Set(['activated', 'resumed', 'plan_again', 'asked', 'edited']);
const LaterEvent = z.looseObject({
  type: z.string(),
  by: PrincipalId.optional(),
  involved: z.array(Involved).optional(),
  autonomy: Autonomy.optional(),
});

/** What the opening and later events of a verified chain say. */
export function incidentOf(entries: readonly LedgerEntry[]): IncidentFacts | Refusal {
  const events = entries.filter((entry) => entry.kind === 'event');
  const opened = z
    .looseObject({ type: z.literal('opened'), context: IncidentContext })
    .safeParse(events[0]?.payload);
  if (!opened.success)
    return refuse(
      'incident-unknown',
      'The ledger does not begin with the opening of an incident.',
      'Run `aegis ledger verify`.',
    );
  const { context } = opened.data;
  const involved = new Set(context.involved.map((person) => person.principal));
  let autonomy = context.autonomy;
  for (const entry of events.slice(1)) {
    const event = LaterEvent.safeParse(entry.payload);
    if (!event.success)
      return refuse(
        'incident-unknown',
        `Ledger entry ${entry.seq} is not an event.`,
        'Run `aegis ledger verify`.',
      );
    for (const person of event.data.involved ?? []) involved.add(person.principal);
    if (event.data.by !== undefined && INVOLVING.has(event.data.type)) involved.add(event.data.by);
    const level = event.data.autonomy;
    if (level !== undefined && AUTONOMY_LEVELS.indexOf(level) < AUTONOMY_LEVELS.indexOf(autonomy))
      autonomy = level;
  }
  return { context, autonomy, involved };
}

const Applied = z.looseObject({
  phase: z.literal('before'),
  door: z.literal('execute'),
  journal_key: z.string(),
});

/**
 * Who was involved when the change was made. The undo rests on the approvals of its change, which stood then: an approver
 * who resumed the checks afterwards did not approve an act of their own.
 */
function involvedBy({ entries, permit }: ProofInput, incident: IncidentFacts): ReadonlySet<string> {
  if (permit.phase !== 'undo') return incident.involved;
  const keys = (['canary', 'apply'] as const).map((phase) =>
    journalKey(permit.incident_id, permit.change_id, phase),
  );
  const at = entries.findLastIndex((entry) => {
    const parsed = entry.kind === 'call' ? Applied.safeParse(entry.payload) : null;
    return parsed?.success === true && keys.includes(parsed.data.journal_key);
  });
  const before = at === -1 ? incident : incidentOf(entries.slice(0, at));
  return isRefusal(before) ? incident.involved : before.involved;
}

function planOf({
  entries,
  permit,
  policy_digest,
  tool_definitions_digest,
}: ProofInput): PlanPayload | Refusal {
  const again = 'Plan again; approvals bind to exactly one plan.';
  let plan: PlanPayload | null = null;
  for (const entry of entries) {
    if (entry.kind !== 'plan') continue;
    const parsed = PlanPayload.safeParse(entry.payload);
    if (parsed.success && parsed.data.plan.revision === permit.revision) plan = parsed.data;
  }
  if (plan === null || plan.plan.incident_id !== permit.incident_id)
    return refuse('plan-missing', `The ledger holds no plan of revision ${permit.revision}.`, again);
  const recomputed = planHashOf({
    plan: plan.plan,
    risk: plan.risk,
    approval_rule: plan.rule,
    policy_digest: plan.policy_digest,
    tool_definitions_digest: plan.tool_definitions_digest,
  });
  if (recomputed !== permit.plan_hash || plan.plan_hash !== recomputed)
    return refuse(
      'plan-hash-mismatch',
      'The plan in the ledger is not the one that the permit names.',
      again,
    );
  if (plan.policy_digest !== policy_digest)
    return refuse('policy-changed', 'The policies changed since the plan was approved.', again);
  if (plan.tool_definitions_digest !== tool_definitions_digest)
    return refuse('tools-changed', 'The tool definitions changed since the plan was approved.', again);
  return plan;
}

/** Tool, target and arguments of the permit must be those of the planned action in its phase. */
function actionMismatch(action: Action, permit: Permit): Refusal | null {
  const planned = plannedCall(action, permit);
  const same =
    planned !== null &&
    planned.tool === permit.tool &&
    action.target === permit.target &&
    (planned.params === null || hashOf(planned.params) === permit.args_hash);
  return same
    ? null
    : refuse(
        'permit-mismatch',
        `The permit asks for something else than ${permit.change_id} of the approved plan.`,
        'Plan again.',
      );
}

function approvalOf(
  { entries, permit, now_ms, people: now }: ProofInput,
  plan: PlanPayload,
  incident: IncidentFacts,
): Pick<Proof, 'approvals' | 'people_required' | 'denied'> | Refusal {
  const people_required = plan.rule.people;
  const missing = (reason: string): Refusal =>
    refuse('approval-missing', reason, 'Ask for approval; the card shows who may give it.');
  const approval_id = lastApprovalId(entries, permit);
  const approval = approval_id === null ? null : approvalFromLedger(entries, approval_id);
  if (approval === null) return missing('Nobody was asked to approve this plan.');
  if (approval.effect_hash !== plan.effect_hash || hashOf(approval.rule) !== hashOf(plan.rule))
    return missing('The approval is for another effect or another rule.');
  if (people_required === 0 && !asksNobody(plan.rule, incident.autonomy) && permit.phase !== 'undo')
    return missing(`The plan asks nobody, and the incident runs with autonomy ${incident.autonomy}.`);
  const expires_at_ms = Date.parse(approval.expires_at);
  if (['denied', 'expired', 'void'].includes(approval.status))
    return missing(`The approval is ${approval.status}.`);
  if (approval.status === 'open' && now_ms > expires_at_ms) return missing('The approval has expired.');
  // An undo rests on the approvals of its change as they stood then: whoever lost a role since must not leave a failed
  // change in force.
  const obstacle = permit.phase === 'undo' ? () => null : (d: Decision) => obstacleToday(d, now);
  const counted = approval.decisions.filter((d) => d.decision !== 'approve' || obstacle(d) === null);
  const tally = tallyDecisions(plan.rule, counted, incident.involved, expires_at_ms);
  if (!tally.satisfied) {
    if (tally.denied !== null) return missing(`${tally.denied.principal} denied the plan.`);
    const obstacles = approval.decisions.flatMap((d) =>
      d.decision === 'approve' ? (obstacle(d) ?? []) : [],
    );
    const why = obstacles.length === 0 ? 'involved people never do' : [...new Set(obstacles)].join(', ');
    return missing(`${tally.approvals.length} of ${people_required} approvals count; ${why}.`);
  }
  return { approvals: tally.approvals.length, people_required, denied: tally.denied !== null };
}

/** Why an approval that was good when it was given does not count any more, or null. */
function obstacleToday(
  { principal, role, token }: Decision,
  { roles, elsewhere, distrusted }: PeopleNow,
): string | null {
  if (token !== undefined && distrusted.has(token.token_id))
    return `the token that ${principal} used was revoked`;
  if (roles.get(principal)?.includes(role) !== true) return `${principal} no longer is ${role}`;
  const incident_id = elsewhere.get(principal);
  return incident_id === undefined
    ? null
    : `${principal} took part in the same change through ${incident_id}`;
}

function lastApprovalId(entries: readonly LedgerEntry[], permit: Permit): string | null {
  let id: string | null = null;
  for (const entry of entries) {
    if (entry.kind !== 'approval') continue;
    const payload = ApprovalPayload.parse(entry.payload);
    if (
      payload.type === 'opened' &&
      payload.request.plan_hash === permit.plan_hash &&
      payload.request.revision === permit.revision
    )
      id = payload.request.approval_id;
  }
  return id;
}
