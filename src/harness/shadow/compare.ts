import { canonicalJson } from '../../contract/canonical.ts';
import { WATCHED_KINDS } from '../../contract/shadow.ts';
import type {
  ComparedAction,
  ComparedPlan,
  SaidAct,
  SeenChange,
  ShadowRow,
  ShadowScore,
  ShadowVerdict,
  Unseen,
} from '../../contract/shadow.ts';
import { parseTarget } from '../../contract/tool.ts';
import { causeAgreement } from './cause.ts';
import {
  appliedCommits,
  isBlindRepository,
  judgeCommit,
  hasReached,
  wordsOf,
  type Judged,
} from './compare-commits.ts';
import { changeWords } from './people.ts';

/**
 * The diff engine: what the plan wanted against what people did. End states are compared, not commands: whoever brings
 * the object to where the plan would have brought it has done the plan's work. Pure.
 */
export interface ShadowFacts {
  readonly plan: ComparedPlan | null;
  readonly seen: readonly SeenChange[];
  readonly said: readonly SaidAct[];
  readonly unseen: readonly Unseen[];
  /** When the trouble was over; null while it is not. */
  readonly resolved_at: string | null;
  /** Whose commits were looked for; incidents of earlier versions looked for none. */
  readonly repositories?: readonly string[];
}

/** A plan that is this sure and still not what helped is the most dangerous kind of wrong. */
export const CONFIDENT_MIN = 0.8;

const ROWS_MAX = 30;
const TEMPLATE = '/spec/template';
/** A restart is a new time in this note of the template: another time is the same act. */
const RESTARTED_AT = 'kubectl.kubernetes.io~1restartedAt';

/** Field managers under which the usual command does the same as our tool (kubectl's own defaults). */
const SAME_ACT: Readonly<Record<string, readonly string[]>> = {
  'k8s.rollout_undo': ['kubectl', 'kubectl-rollout'],
  'k8s.rollout_restart': ['kubectl-rollout'],
  'k8s.scale': ['kubectl', 'kubectl-scale'],
  'k8s.patch': ['kubectl-patch', 'kubectl-edit'],
  'job.update_spec': ['kubectl-patch', 'kubectl-edit'],
};

export function scoreShadow(facts: ShadowFacts): ShadowScore {
  const people = facts.seen.filter((change) => !change.robot);
  const judged = (facts.plan?.actions ?? []).map((action) => judgeAction(action, facts));
  const used = new Set(judged.flatMap((each) => each.used));
  const weighed = people.filter((change) => used.has(change.key) || isWeighed(change, facts));
  const told = onceEach(people.filter((change) => !weighed.includes(change)));
  const misses = [...onceEach(weighed.filter((change) => !used.has(change.key))), ...told].map(missRow);
  const rows = [...judged.map((each) => each.row), ...misses.slice(0, ROWS_MAX), ...facts.said.map(saidRow)];
  const verdict = verdictOf(facts, judged, weighed.length > 0, told.length > 0);
  const matched = judged.flatMap(({ row }) => (row.at === null ? [] : [row.at])).toSorted();
  const acts = [...weighed.map((change) => change.at), ...facts.said.map((act) => act.at)].toSorted();
  const { plan, resolved_at } = facts;
  const helped = acts.some((at) => resolved_at !== null && at <= resolved_at);
  const compared_at = matched[0] ?? acts[0];
  return {
    verdict,
    rows: rows.slice(0, 2 * ROWS_MAX),
    cause: causeAgreement(plan?.hypothesis ?? null, facts.said),
    wrong_and_confident: verdict === 'missed' && (plan?.confidence ?? 0) >= CONFIDENT_MIN && helped,
    lead_ms: plan === null || compared_at === undefined ? null : leadMs(plan.posted_at, compared_at),
    gaps: gapsOf(facts, told.length),
  };
}

/** Servers write whole seconds, so nothing finer is known: within one second both came at the same time. */
function leadMs(posted_at: string, acted_at: string): number {
  const seconds = (at: string) => Math.floor(Date.parse(at) / 1000);
  return (seconds(acted_at) - seconds(posted_at)) * 1000;
}

/**
 * A repository also gets the day's ordinary work. A commit that did nothing of the plan and reached nothing that the
 * plan is about is shown, and says nothing for or against the plan: it must not take trust away, nor hide that it was
 * there.
 */
function isWeighed(change: SeenChange, { plan, seen }: ShadowFacts): boolean {
  const actions = plan?.actions ?? [];
  return change.commit === undefined || actions.some(({ target }) => hasReached(change, target, seen));
}

/** A commit that came to two branches is one row. */
function onceEach(changes: readonly SeenChange[]): readonly SeenChange[] {
  return changes.filter(
    ({ commit, uid }, n) => commit === undefined || changes.findIndex((other) => other.uid === uid) === n,
  );
}

function verdictOf(
  facts: ShadowFacts,
  judged: readonly Judged[],
  acted_on_it: boolean,
  told: boolean,
): ShadowVerdict {
  const acted = facts.said.length > 0 || acted_on_it;
  if (facts.resolved_at === null) return 'unknown';
  if (!acted) return told || isAllBlind(facts) ? 'unknown' : 'nobody_acted';
  if (facts.plan === null) return 'no_plan';
  const marks = judged.map((each) => each.row.mark).filter((mark) => mark !== 'unknown');
  const done = marks.filter((mark) => mark === 'hit' || mark === 'equivalent').length;
  // Somebody may have done it: neither all of it is shown, nor that none of it was.
  const perhaps = judged.some(({ row }) => row.mark === 'unknown' && row.people !== null);
  if (marks.length === 0 || (done === 0 && perhaps)) return 'unknown';
  if (done === marks.length && !perhaps) return 'hit';
  return done > 0 ? 'partial' : 'missed';
}

function judgeAction(action: ComparedAction, facts: ShadowFacts): Judged {
  if (parseTarget(action.target).system === 'git') return judgeCommit(action, facts);
  const on_target = facts.seen.filter((change) => change.target === action.target && touches(change, action));
  const people = on_target.filter((change) => !change.robot);
  const plan = `${action.change_id} ${action.intent}`.slice(0, 400);
  if (people.length > 0 && shows(people, action)) {
    const first = people.toSorted((a, b) => (a.at < b.at ? -1 : 1))[0] as SeenChange;
    const same = people.some(
      (change) => SAME_ACT[action.tool]?.includes(change.client ?? change.manager) === true,
    );
    const words = wordsOf(people);
    const mark = same ? 'hit' : 'equivalent';
    return { row: { mark, plan, people: words, at: first.at }, used: people.map((change) => change.key) };
  }
  const robots = on_target.filter((change) => change.robot && change.manager !== 'aegis');
  // Whoever reverts a commit lets a controller do the writing: a person's word, or the commit itself, and the end state
  // together count.
  if (robots.length > 0 && shows(robots, action)) {
    const word = facts.said[0];
    const { commits, used, named } = appliedCommits(action, robots, facts.seen);
    const by_word = word === undefined ? [] : [`${word.by} said: ${word.text}`];
    const people = [...by_word, ...[...commits, ...robots].map(changeWords)].join('; ').slice(0, 600);
    if (word !== undefined) return { row: { mark: 'equivalent', plan, people, at: word.at }, used };
    if (named) return { row: { mark: 'equivalent', plan, people, at: commits[0]?.at ?? null }, used };
    if (commits.length > 0) return { row: { mark: 'unknown', plan, people, at: null }, used };
  }
  const blind = isBlind(action, facts);
  return { row: { mark: blind ? 'unknown' : 'extra', plan, people: null, at: null }, used: [] };
}

function touches(change: SeenChange, action: ComparedAction): boolean {
  return action.changes.some(({ path }) => change.fields.some((field) => within(field, path)));
}

/** Every field of the action stands where the plan wanted it. */
function shows(changes: readonly SeenChange[], action: ComparedAction): boolean {
  return action.changes.every(({ path, after }) => {
    if (path === TEMPLATE) return changes.some((change) => change.template === after);
    if (path.endsWith(RESTARTED_AT)) return changes.some((change) => change.fields.includes(path));
    return changes.some((change) => Object.hasOwn(change.values, path) && same(change.values[path], after));
  });
}

/** Nothing at all could be looked at, or not what the plan is about: then nobody can say that nobody acted. */
function isAllBlind(facts: ShadowFacts): boolean {
  const whole = facts.unseen.some(({ place }) => place.endsWith('*'));
  return whole || (facts.plan?.actions ?? []).some((action) => isBlind(action, facts));
}

/** Whether this action's object could be looked at: only some systems and kinds are. */
function isBlind(action: ComparedAction, facts: ShadowFacts): boolean {
  const { system, cluster, namespace, kind } = parseTarget(action.target);
  if (system === 'git') return isBlindRepository(action.target, facts);
  if (system !== 'k8s') return true;
  return facts.unseen.some(
    ({ place }) =>
      place === '*' || place === `${cluster}/${namespace}/*` || place === `${cluster}/${namespace}/${kind}`,
  );
}

function isWatchedKind(word: string): boolean {
  return (WATCHED_KINDS as readonly string[]).includes(word);
}

function within(field: string, path: string): boolean {
  return field === path || field.startsWith(`${path}/`) || path.startsWith(`${field}/`);
}

function same(a: unknown, b: unknown): boolean {
  return canonicalJson(a ?? null) === canonicalJson(b ?? null);
}

function missRow(change: SeenChange): ShadowRow {
  return { mark: 'miss', plan: null, people: changeWords(change).slice(0, 600), at: change.at };
}

function saidRow(act: SaidAct): ShadowRow {
  return { mark: 'said', plan: null, people: `${act.by} said: ${act.text}`.slice(0, 600), at: act.at };
}

function gapsOf(facts: ShadowFacts, told: number): string[] {
  const gaps = facts.unseen
    .filter(({ place }) => place.endsWith('*'))
    .map(({ place, why }) => `${place === '*' ? 'everything' : place.slice(0, -2)}: ${why}`.slice(0, 300));
  const kinds = new Map<string, string[]>();
  for (const { place, why } of facts.unseen.filter((each) => !each.place.endsWith('*'))) {
    const cut = place.lastIndexOf('/');
    if (!isWatchedKind(place.slice(cut + 1))) {
      gaps.push(`${place.slice(cut + 1)} of ${place.slice(0, cut)}: ${why}`.slice(0, 300));
      continue;
    }
    kinds.set(place.slice(0, cut), [...(kinds.get(place.slice(0, cut)) ?? []), place.slice(cut + 1)]);
  }
  for (const [place, names] of kinds)
    gaps.push(`${names.join(', ')} in ${place}, which the read role may not list`.slice(0, 300));
  if (told > 0)
    gaps.push(
      `whether ${told === 1 ? 'one commit' : `${told} commits`} had to do with this incident: shown, and not scored`,
    );
  const watched = ({ target }: ComparedAction): boolean => {
    const { system, cluster } = parseTarget(target);
    return system === 'k8s' || (system === 'git' && facts.repositories?.includes(cluster) === true);
  };
  const systems = new Set(
    (facts.plan?.actions ?? []).filter((a) => !watched(a)).map((a) => parseTarget(a.target).system),
  );
  for (const system of systems) gaps.push(`Aegis does not watch what people do in ${system}`);
  return [...new Set(gaps)].slice(0, 20);
}
