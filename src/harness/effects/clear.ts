import type { GateLine } from '../../contract/notice.ts';
import { isRefusal } from '../../contract/verdict.ts';
import type { HarnessDeps } from '../deps.ts';
import { changedEvidence } from '../changed-lines.ts';
import type { EventOf } from '../events.ts';
import { gatherFacts, holdsAll, previewAll } from '../gate-facts.ts';
import { checkGates } from '../gates/index.ts';
import { incidentOf } from '../state.ts';
import type { PreparedPlan } from '../state.ts';
import { readUnattended } from '../unattended-facts.ts';
import { isOutage, withWorld } from '../world-session.ts';
import type { Effect } from './effect.ts';
import { failed } from './effect.ts';

/**
 * After the approvals, before anything runs: every gate once more, against the world as it is now. Changed evidence is
 * collected again; a changed object is a conflict; anything else waits for a person.
 */
export const clearEffect: Effect = (input) =>
  withWorld(input.deps, input.context, { purpose: 'verify' }, async (read) => {
    const { deps, context } = input;
    const { payload } = context.plan as PreparedPlan;
    const broken = await brokenRecord(deps, incidentOf(context).incident_id);
    if (broken !== null)
      return decide({ type: 'cleared', at: input.at(), effect_id: input.running.effect_id }, [broken]);
    const previews = await previewAll(deps, payload.plan, read.session.token, input.signal);
    const outage = [...previews.values()].find((p) => isRefusal(p) && isOutage(p.code));
    if (outage !== undefined && isRefusal(outage)) return failed(input, outage.reason);
    const holds = await holdsAll(read, payload.plan);
    const unreachable = [...holds.values()].find((h) => h.status === 'unreachable');
    if (unreachable !== undefined) return failed(input, unreachable.detail);
    const { plan, rule } = payload;
    const limited = deps.gateway.guardrails()?.limited;
    const unattended = await readUnattended(deps, context, limited, plan, previews);
    const facts = await gatherFacts(deps, context, {
      phase: 'clear',
      plan,
      risk: payload.risk,
      approval: context.approval,
      rule,
      unattended,
      previews,
      holds,
      digests_of_plan: { policy: payload.policy_digest, tools: payload.tool_definitions_digest },
    });
    const base = { type: 'cleared' as const, at: input.at(), effect_id: input.running.effect_id };
    if (isRefusal(facts))
      return { ...base, verdict: 'refused', gates: [], reason: facts.reason, remedy: facts.remedy };
    const event = decide(base, checkGates(facts));
    const changed = changedEvidence(payload.plan, holds);
    return event.verdict === 'evidence_changed' && changed.length > 0 ? { ...event, changed } : event;
  });

/**
 * A plan is only as good as the record behind it: every row of the incident and every sealed file is hashed again. The
 * gateway checks the rows once more on its own; the files are checked here.
 */
async function brokenRecord(deps: Pick<HarnessDeps, 'store'>, incident_id: string): Promise<GateLine | null> {
  const { problems } = await deps.store.ledger.verify({ chain: incident_id });
  const [first] = problems;
  if (first === undefined) return null;
  const row = first.seq === null ? '' : ` entry ${first.seq}`;
  return {
    gate: 'record-intact',
    title: 'Ledger and evidence are untouched',
    status: 'refused',
    reason: `The ledger of this incident does not verify: ${first.chain}${row}: ${first.what}.`,
    remedy:
      'Keep the files as they are, run "aegis ledger verify --witness" and compare with a backup. Nothing runs for this incident while it is broken.',
  };
}

function decide(
  base: { type: 'cleared'; at: string; effect_id: string },
  gates: ReturnType<typeof checkGates>,
): EventOf<'cleared'> {
  const bad = gates.filter((g) => g.status === 'refused');
  const first = bad[0];
  if (first === undefined) return { ...base, verdict: 'passed', gates, reason: '', remedy: '' };
  // A changed object also changes the evidence about it: the conflict is the more precise sentence, so it goes first.
  const conflict = bad.find((g) => g.gate === 'previewed');
  const evidence = bad.find((g) => g.gate === 'evidence-current' || g.gate === 'evidence-present');
  const told = conflict ?? evidence ?? first;
  const verdict =
    conflict !== undefined ? 'conflict' : evidence !== undefined ? 'evidence_changed' : 'refused';
  return {
    ...base,
    verdict,
    gates,
    reason: `${told.title}: ${told.reason}`.slice(0, 1000),
    remedy: told.remedy,
  };
}
