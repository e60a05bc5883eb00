import type { IncidentContext } from '../contract/incident.ts';
import { PlanDraft, type Findings } from '../contract/plan.ts';
import type { Skill, SkillCheck } from '../contract/skill.ts';
import { refuse, type Refusal } from '../contract/verdict.ts';
import type { World } from '../contract/world.ts';
import {
  bindExpectation,
  bindParams,
  bindReadText,
  bindTarget,
  fillSentence,
  type Bound,
} from './skill-binding.ts';
import { resolveVars, type Vars } from './skill-vars.ts';
import { loadIndex, loadSkill, type SkillResult } from './skills.ts';

export type PlanResult =
  { readonly ok: true; readonly draft: PlanDraft } | { readonly ok: false; readonly refusal: Refusal };

type SkillPlan = Skill['plans'][number];

/**
 * Turns findings into a draft: the skill's plan for the proven cause, with typed values in its templates. The draft has
 * no ids, classes or approvals; how sure the findings are changes a sentence on the card and nothing else.
 */
export async function plan(
  world: World,
  incident: IncidentContext,
  findings: Findings,
  signal?: AbortSignal,
): Promise<PlanResult> {
  const cause = findings.hypotheses
    .filter((h) => h.status === 'supported')
    .sort((a, b) => b.confidence - a.confidence)[0];
  if (!findings.conclusive || cause === undefined || findings.skill === null)
    return refused(
      'no-proven-cause',
      'There is no proven cause to plan against.',
      'Look by hand, or investigate again when the gaps can be seen.',
    );
  const loaded = await skillOf(world, findings.skill, signal);
  if (!loaded.ok) return loaded;
  const { skill } = loaded;
  const template = skill.plans.find((candidate) => candidate.hypothesis === cause.id);
  if (template === undefined)
    return refused(
      'diagnosis-only',
      `Skill ${skill.skill} diagnoses this cause but has no plan for it.`,
      'Act by hand with the runbook of the skill.',
    );
  const { vars } = resolveVars(skill.vars, {
    incident,
    readOf: () => 'absent',
    facts: readFacts(skill, findings),
  });
  return draftOf({ skill, template, findings, cause, vars });
}

async function skillOf(
  world: World,
  wanted: { name: string; version: number },
  signal?: AbortSignal,
): Promise<SkillResult> {
  const loaded = await loadIndex(world, signal);
  if (!loaded.ok) return loaded;
  const entry = loaded.index.skills.find((candidate) => candidate.skill === wanted.name);
  if (entry?.version === wanted.version) return loadSkill(world, entry, signal);
  return refused(
    'skill-changed',
    `Skill ${wanted.name} is no longer the version that the findings rest on.`,
    'Investigate again.',
  );
}

/** Only what reads found comes from the findings; labels, scope and computations are resolved afresh. */
function readFacts(skill: Skill, findings: Findings): Record<string, unknown> {
  const from_reads = new Set(skill.vars.flatMap((entry) => ('read' in entry.from ? [entry.name] : [])));
  return Object.fromEntries(Object.entries(findings.facts).filter(([name]) => from_reads.has(name)));
}

interface DraftParts {
  readonly skill: Skill;
  readonly template: SkillPlan;
  readonly findings: Findings;
  readonly cause: Findings['hypotheses'][number];
  readonly vars: Vars;
}

function draftOf(parts: DraftParts): PlanResult {
  const { skill, template, findings, cause, vars } = parts;
  const rivals = findings.hypotheses.filter((h) => h.id !== cause.id);
  const cited = new Set([...cause.evidence_for, ...rivals.flatMap((h) => h.evidence_against)]);
  const evidence = findings.evidence.filter((e) => cited.has(e.id));
  const preconditions = evidence
    .filter((e) => e.role === 'precondition' && cause.evidence_for.includes(e.id))
    .map((e) => e.id);
  if (preconditions.length === 0)
    return refused(
      'no-control-plane-fact',
      'Nothing from the control plane supports this cause; logs and labels alone never suffice for a change.',
      'Investigate again when the cluster can be read.',
    );
  const actions: unknown[] = [];
  for (const action of template.actions) {
    const bound = bindAction(action, vars, preconditions);
    if (!bound.ok) return unbound(skill, bound.reason);
    actions.push(bound.value);
  }
  const verify = bindChecks(template.verify, vars);
  if (!verify.ok) return unbound(skill, verify.reason);
  const draft = PlanDraft.safeParse({
    hypothesis: cause.text,
    confidence: findings.confidence,
    alternatives: rivals.slice(0, 10).map(alternative),
    gaps: findings.gaps,
    evidence,
    actions,
    verify: verify.value,
    ...(template.bake_s === undefined ? {} : { bake_s: template.bake_s }),
    skill: { name: skill.skill, version: skill.version },
  });
  if (draft.success) return { ok: true, draft: draft.data };
  const issue = draft.error.issues[0];
  return unbound(skill, `${issue?.path.join('.')}: ${issue?.message}`);
}

function bindAction(
  action: SkillPlan['actions'][number],
  vars: Vars,
  preconditions: readonly string[],
): Bound<unknown> {
  const target = bindTarget(action.target, vars);
  if (!target.ok) return target;
  const params = bindParams(action.params, vars);
  if (!params.ok) return params;
  const undo = 'tool' in action.rollback ? bindParams(action.rollback.params, vars) : null;
  if (undo !== null && !undo.ok) return undo;
  const rollback = undo === null ? action.rollback : { ...action.rollback, params: undo.value };
  const canary = bindCanary(action.canary, vars);
  if (!canary.ok) return canary;
  const { tool, timeout_s } = action;
  const intent = fillSentence(action.intent, vars, 300);
  const call = { tool, target: target.value, params: params.value };
  return { ok: true, value: { ...call, intent, preconditions, rollback, ...canary.value, timeout_s } };
}

function bindCanary(canary: SkillPlan['actions'][number]['canary'], vars: Vars): Bound<object> {
  if (canary === undefined) return { ok: true, value: {} };
  const params = bindParams(canary.params, vars);
  if (!params.ok) return params;
  const checks = bindChecks(canary.checks, vars);
  if (!checks.ok) return checks;
  const { bake_s } = canary;
  const intent = fillSentence(canary.intent, vars, 300);
  return { ok: true, value: { canary: { params: params.value, intent, bake_s, checks: checks.value } } };
}

function bindChecks(checks: readonly SkillCheck[], vars: Vars): Bound<unknown[]> {
  const bound: unknown[] = [];
  for (const check of checks) {
    const one = bindCheck(check, vars);
    if (!one.ok) return one;
    bound.push(one.value);
  }
  return { ok: true, value: bound };
}

function bindCheck(check: SkillCheck, vars: Vars): Bound<unknown> {
  const read = bindReadText(check.read, vars);
  if (!read.ok) return read;
  const expect = bindExpectation(check.expect, vars);
  if (!expect.ok) return expect;
  const { within_s, every_s } = check;
  return {
    ok: true,
    value: {
      title: fillSentence(check.title, vars, 150),
      read: read.value,
      expect: expect.value,
      within_s,
      every_s,
    },
  };
}

function alternative(rival: Findings['hypotheses'][number]): PlanDraft['alternatives'][number] {
  const why_not = {
    refuted: 'What was read speaks against it.',
    open: 'It could not be excluded: something needed to judge it was not seen.',
    supported: 'It also fits, with less confidence.',
  }[rival.status];
  return { hypothesis: rival.text, evidence_against: rival.evidence_against, why_not };
}

function refused(code: string, reason: string, remedy: string): { ok: false; refusal: Refusal } {
  return { ok: false, refusal: refuse(code, reason, remedy) };
}

function unbound(skill: Skill, reason: string): PlanResult {
  return refused(
    'plan-not-bound',
    `The plan of skill ${skill.skill} cannot be filled in: ${reason}.`,
    'Look by hand; the skill or the facts it needs are incomplete.',
  );
}
