import { EFFECT_MEMORY_MS } from '../../contract/approval.ts';
import { selectRule } from '../../contract/approval-rule.ts';
import { hashOf } from '../../contract/canonical.ts';
import { SCORES_MAX, standingOf } from '../../contract/ladder.ts';
import { ApprovalPayload, type LedgerEntry } from '../../contract/ledger.ts';
import type { Permit } from '../../contract/tool.ts';
import {
  attendedEntries,
  judgeUnattended,
  levelProblem,
  pastChanges,
  saidNo,
  unattendedEntries,
  type UnattendedLimits,
  type UnattendedPlan,
} from '../../contract/unattended.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import type { Attendance } from '../../store/authority.ts';
import type { Admission } from './admit.ts';
import type { GatewayCore } from './core.ts';
import { otherChains } from './other-chains.ts';
import type { Proof } from './prove-approval.ts';
import { readVerifiedChain } from './verified-chain.ts';

const ASK_PEOPLE = 'Press Plan again: the new plan asks people.';

/**
 * May this change run although nobody was asked? The level is looked up anew in configuration and on the ladder, the rule
 * is chosen anew from the policies in force, and what ran alone so far comes from the verified SYSTEM chain; the
 * harness is believed in none of it. The answer is judged once more in the transaction that consumes the permit.
 *
 * @returns what that transaction has to ask; undefined for an undo, which never waits for room under a cap.
 */
export async function proveAttendance(
  core: GatewayCore,
  admission: Admission,
  permit: Permit,
  proof: Proof,
  entries: readonly LedgerEntry[],
): Promise<Attendance | Refusal | undefined> {
  if (permit.phase === 'undo') return undefined;
  const { incident_id, change_id, target } = permit;
  if (proof.people_required > 0) return (past) => attendedEntries({ incident_id, change_id, target }, past);
  const limits = admission.policy.guardrails.limited;
  if (limits === undefined || !isChosenRule(admission, proof))
    return refuse(
      'approval-missing',
      'The plan asks nobody, and no rule of the policies in force allows that for it.',
      ASK_PEOPLE,
    );
  const plan = planOf(proof);
  if (!wasShown(entries, permit, limits.announce_s, core.clock.now()))
    return refuse(
      'not-shown-yet',
      `A plan that asks nobody is shown for ${limits.announce_s} s before it runs, and this one was not.`,
      'Wait until then; the plan’s card says when.',
    );
  const level = await levelNow(core, plan, proof);
  if (level !== null) return refuse('autonomy-forbids', level, ASK_PEOPLE);
  const no = await anybodysNo(core, entries, incident_id, proof.plan.plan.actions);
  if (no !== null) return isRefusal(no) ? no : refuse('person-said-no', no, ASK_PEOPLE);
  const system = await readVerifiedChain(core.store.ledger, 'SYSTEM');
  if (isRefusal(system)) return system;
  const verdict = judgeUnattended(limits, plan, pastChanges(system), core.clock.now());
  return verdict.may ? attendanceOf(core, limits, plan) : exceeded(verdict.words);
}

function attendanceOf(
  { clock }: Pick<GatewayCore, 'clock'>,
  limits: UnattendedLimits,
  plan: UnattendedPlan,
): Attendance {
  return (past) => {
    const verdict = judgeUnattended(limits, plan, past, clock.now());
    return verdict.may ? unattendedEntries(plan, past) : exceeded(verdict.words);
  };
}

/**
 * The row of `guardrails.yaml` that the plan names is the one that would be chosen today, for the tier of today and the
 * class that this call really has.
 */
function isChosenRule({ policy, tier, action_class }: Admission, { context, plan, action }: Proof): boolean {
  const { approval_policy, scope } = context;
  const place = { approval_policy, scope: { ...scope, tier } };
  const called = { tool: action.tool, action_class };
  const chosen = selectRule(policy.guardrails, place, plan.risk, [...plan.plan.actions, called], true);
  return !isRefusal(chosen) && hashOf(chosen) === hashOf(plan.rule);
}

/** Ledger times are those of the store; what a request says of itself may be this much earlier, and no more. */
const COMMIT_DELAY_MAX_MS = 60_000;

/** People had the time that the policies give them to deny the plan or press Stop. */
function wasShown(
  entries: readonly LedgerEntry[],
  { plan_hash, revision }: Permit,
  announce_s: number,
  now_ms: number,
): boolean {
  return entries.some((entry) => {
    const parsed = entry.kind === 'approval' ? ApprovalPayload.safeParse(entry.payload) : null;
    if (parsed?.data?.type !== 'opened') return false;
    const { request } = parsed.data;
    if (request.plan_hash !== plan_hash || request.revision !== revision) return false;
    const shown_ms = Math.max(Date.parse(request.opened_at), Date.parse(entry.at) - COMMIT_DELAY_MAX_MS);
    return now_ms >= shown_ms + announce_s * 1000;
  });
}

async function levelNow(
  { store, settings }: Pick<GatewayCore, 'store' | 'settings'>,
  { team, env, service }: UnattendedPlan,
  { autonomy }: Proof,
): Promise<string | null> {
  const place = { team, env, service };
  const standing = standingOf(await store.ladder.scores(place, SCORES_MAX), await store.ladder.raises(place));
  return levelProblem(place, {
    incident: autonomy,
    configured: settings.teams[team]?.environments[env]?.autonomy ?? 'read_only',
    earned: standing.cap,
    lowered: standing.lowered?.why ?? null,
  });
}

/** In this incident at any time, and in others that planned the same change within a day; from verified chains. */
async function anybodysNo(
  core: Pick<GatewayCore, 'store' | 'clock'>,
  entries: readonly LedgerEntry[],
  own_id: string,
  actions: readonly { readonly tool: string; readonly target: string }[],
): Promise<string | Refusal | null> {
  const own = saidNo(own_id, entries, 0);
  if (own !== null) return own;
  const too_many = 'planned the same change, too many to tell whether a person said no';
  const others = await otherChains(core, own_id, actions, too_many);
  if (isRefusal(others)) return others;
  for (const [other_id, chain] of others) {
    const no = saidNo(other_id, chain, core.clock.now() - EFFECT_MEMORY_MS);
    if (no !== null) return no;
  }
  return null;
}

function planOf({ context, plan, approved }: Proof): UnattendedPlan {
  const { incident_id, scope } = context;
  return {
    incident_id,
    team: scope.team,
    env: scope.env,
    service: scope.service ?? '-',
    actions: plan.plan.actions.map(({ change_id, target }) => ({
      change_id,
      target,
      changes: approved.get(change_id)?.changes ?? [],
    })),
  };
}

function exceeded(words: string): Refusal {
  return refuse('unattended-limit', words, ASK_PEOPLE);
}
