import type { IncidentContext } from '../contract/incident.ts';
import type { Plan } from '../contract/plan.ts';
import type { RequiredGate, RiskEnvelope } from '../contract/risk.ts';
import type { Service } from '../contract/settings.ts';
import { ACTION_CLASSES, parseTarget, type ActionClass, type Preview } from '../contract/tool.ts';
import { failureLikelihood, type Likelihood } from './beta.ts';
import { blastRadius, TIER_WEIGHT, type BlastRadius, type ResourceShare } from './blast-radius.ts';
import { resourcesOf, type QuotaFacts, type ResourceChange } from './resources.ts';
import { halfStep } from './step-down.ts';
import { buildTopology, serviceOfTarget, transitiveDependants, type Dependant } from './topology.ts';

/**
 * L3, risk: what a frozen plan may do to everything around it, as numbers with their reasons. Pure code over the frozen
 * plan, its previews and the catalog; it may not read the world, and a plan's own confidence never enters, because
 * who proposes a change must not be able to talk its risk down. The harness runs it; cognition never sees it.
 */
export interface RiskInput {
  readonly plan: Plan;
  /** Forced dry runs of the plan's actions, in action order. */
  readonly previews: readonly Preview[];
  /** The catalog: every service of the configuration. */
  readonly services: readonly Service[];
  readonly incident: IncidentContext;
  /** The namespace's quota as read, or null when there is none or it could not be read. */
  readonly quota: QuotaFacts | null;
  /** Earlier changes of the same skill and tool. */
  readonly history: { readonly succeeded: number; readonly failed: number };
}

export type { QuotaFacts };

/** At or above this score one person more is asked for, and then a second channel. */
const TWO_PEOPLE_SCORE = 0.4;
const STEP_UP_SCORE = 0.7;

export function assessRisk(input: RiskInput): RiskEnvelope {
  const facts = gather(input);
  const { dependants, blast, likelihood, targets } = facts;
  const { scope } = input.incident;
  const impact = [
    `${scope.team}/${scope.env}`,
    ...(scope.cluster === undefined ? [] : [`cluster ${scope.cluster}`]),
    ...new Set(input.plan.actions.map((action) => action.target)),
    ...dependants.map((d) => d.service.name),
  ];
  return {
    v: 1,
    blast_radius_score: blast.score,
    impact_scope: impact.slice(0, 100).map((text) => text.slice(0, 200)),
    confidence: confidenceOf(facts, input),
    required_gates: gatesFor(facts),
    counterfactual_impact: {
      affected_services: [...targets.map((s) => s.name), ...dependants.map((d) => d.service.name)].slice(
        0,
        100,
      ),
      estimated_downtime_sec: downtime(facts),
      failure_likelihood: likelihood,
    },
    if_not_applied: ifNotApplied(targets, input.incident),
    why: reasons(facts, input)
      .map((text) => text.slice(0, 300))
      .slice(0, 20),
    safe_alternatives: alternatives(input, facts).slice(0, 10),
  };
}

interface RiskFacts {
  /** Catalog entries of the targets that the catalog knows. */
  readonly targets: readonly Service[];
  readonly unknown_targets: readonly string[];
  readonly dependants: readonly Dependant[];
  readonly action_class: ActionClass;
  readonly tier: Service['tier'];
  readonly resources: ResourceChange;
  readonly blast: BlastRadius;
  readonly likelihood: Likelihood;
}

function gather(input: RiskInput): RiskFacts {
  const uris = [...new Set(input.plan.actions.map((action) => action.target))];
  const found = uris.map((uri) => ({ uri, service: serviceOfTarget(input.services, uri) }));
  const targets = found.flatMap(({ service }) => (service === null ? [] : [service]));
  const unknown_targets = found.filter(({ service }) => service === null).map(({ uri }) => uri);
  const dependants = transitiveDependants(buildTopology(input.services), targets);
  const action_class = highest(input.plan.actions.map((action) => action.action_class));
  const tiers = [
    ...targets.map((s) => s.tier),
    ...(unknown_targets.length > 0 ? ['tier1' as const] : []),
    input.incident.scope.tier,
  ];
  const tier = tiers.sort((a, b) => TIER_WEIGHT[b] - TIER_WEIGHT[a])[0] as Service['tier'];
  const resources = resourcesOf(input.previews, input.quota);
  const blast = blastRadius({
    action_class,
    tier,
    dependants,
    catalog: input.services,
    resources: resources.share,
  });
  return {
    targets,
    unknown_targets,
    dependants,
    action_class,
    tier,
    resources,
    blast,
    likelihood: failureLikelihood(input.history),
  };
}

function highest(classes: readonly ActionClass[]): ActionClass {
  return ACTION_CLASSES[Math.max(...classes.map((c) => ACTION_CLASSES.indexOf(c)))] as ActionClass;
}

/** Which gates this much risk asks for. More risk only ever adds gates. */
function gatesFor({ action_class, blast, tier }: RiskFacts): RequiredGate[] {
  if (action_class === 'read') return [];
  const severe = action_class === 'destroy' || action_class === 'privileged';
  const gates: RequiredGate[] = ['dry_run_required', 'human_approval_required'];
  if (severe || tier === 'tier1' || blast.score >= TWO_PEOPLE_SCORE)
    gates.push('two_person_approval_required');
  if (action_class === 'privileged' || blast.score >= STEP_UP_SCORE) gates.push('step_up_required');
  return gates;
}

/** How much of what the envelope needs was known; each missing input costs the share given here. */
function confidenceOf(
  { unknown_targets, resources, likelihood }: RiskFacts,
  { services }: RiskInput,
): number {
  const missing = [
    unknown_targets.length > 0 ? 0.25 : 0,
    services.every((s) => s.depends_on.length === 0) ? 0.15 : 0,
    resources.share.state === 'unknown' ? 0.15 : 0,
    resources.previews_without_resources > 0 ? 0.1 : 0,
    likelihood.n === 0 ? 0.1 : 0,
  ];
  return Math.round((0.95 - missing.reduce((sum, cost) => sum + cost, 0)) * 100) / 100;
}

/** Seconds without service while the change is rolled out; batch work has failed already and serves no request. */
const DISRUPTION_S: Readonly<Record<Service['kind'], number>> = {
  deployment: 30,
  sparkapplication: 0,
  cronjob: 0,
  database: 120,
  queue: 60,
  external: 0,
};
/** Seconds until a failed change of something that serves is undone by a person. */
const UNDO_S = 900;

/** Expected seconds: disruption of the rollout, and the undo as often as changes fail. */
function downtime({ targets, unknown_targets, likelihood, action_class }: RiskFacts): number {
  if (action_class === 'read') return 0;
  const batch = (s: Service) => s.kind === 'sparkapplication' || s.kind === 'cronjob';
  const serving = targets.filter((s) => !batch(s));
  if (serving.length === 0 && unknown_targets.length === 0) return 0;
  const rollout =
    serving.reduce((sum, s) => sum + DISRUPTION_S[s.kind], 0) +
    unknown_targets.length * DISRUPTION_S.deployment;
  return Math.round(rollout + likelihood.mean * UNDO_S);
}

function ifNotApplied(targets: readonly Service[], incident: IncidentContext): string {
  const known = targets.flatMap((s) =>
    s.if_down === undefined
      ? []
      : [
          `${s.if_down.text} (within ${minutes(s.if_down.within_min)}, from the catalog's entry of ${s.name})`,
        ],
  );
  if (known.length > 0) return known.join('; ').slice(0, 500);
  return `It stays as it is (${incident.severity}); the catalog does not say what follows from that.`;
}

function minutes(count: number): string {
  return count < 120 ? `${count} min` : `${Math.round(count / 6) / 10} h`;
}

function reasons(facts: RiskFacts, input: RiskInput): string[] {
  const { targets, unknown_targets, dependants, blast, likelihood, resources, tier, action_class } = facts;
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  const names = dependants
    .slice(0, 5)
    .map((d) => d.service.name)
    .join(', ');
  const kinds = [...new Set(input.plan.actions.map((a) => parseTarget(a.target).kind))].join(', ');
  const lines = [
    `${input.plan.actions.length} ${action_class} action${input.plan.actions.length === 1 ? '' : 's'} on ${kinds}, ${tier.replace('tier', 'tier ')}: ${percent(blast.change)} harm from the change itself`,
  ];
  if (unknown_targets.length > 0)
    lines.push(
      `not in the catalog, so counted as tier 1 with dependants unknown: ${unknown_targets.join(', ')}`,
    );
  if (targets.length > 0)
    lines.push(
      dependants.length === 0
        ? `nothing in the catalog depends on ${targets.map((s) => s.name).join(', ')}`
        : `${dependants.length} of ${input.services.length} services depend on it: ${names}${dependants.length > 5 ? ', …' : ''}`,
    );
  lines.push(...resources.why);
  lines.push(
    likelihood.n === 0
      ? `no earlier case of this change here: ${percent(likelihood.mean)} failures assumed (${percent(likelihood.low)} to ${percent(likelihood.high)})`
      : `${input.history.failed} of ${likelihood.n} earlier changes of this kind failed: ${percent(likelihood.mean)} expected (${percent(likelihood.low)} to ${percent(likelihood.high)})`,
  );
  return lines;
}

function alternatives(input: RiskInput, { resources }: RiskFacts): string[] {
  const steps = input.previews.flatMap((preview) =>
    preview.changes.flatMap(({ path, before, after }) => {
      const step = halfStep(before, after);
      return step === null
        ? []
        : [`Take half of the step first: ${path} ${String(before)} -> ${step} instead of ${String(after)}`];
    }),
  );
  const share: ResourceShare = resources.share;
  const crowded =
    share.state === 'known' && share.after > 0.9
      ? ['Free quota in the namespace first, or run it when its neighbours are idle']
      : [];
  const canary =
    input.plan.actions.some((a) => a.canary !== undefined) || steps.length > 0
      ? []
      : ['Try the change in a lower environment first'];
  return [...steps, ...crowded, ...canary].map((text) => text.slice(0, 300));
}
