import type { ComparedPlan, LadderRaise, SaidAct, Score, SeenChange } from '../../src/contract/shadow.ts';
import type { ShadowFacts } from '../../src/harness/shadow/compare.ts';
import { at } from './fixtures.ts';

/** One valid value of everything that shadow mode compares, so that tests only say what is special about them. */
export const API = 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api';
export const OLD_TEMPLATE = `sha256:${'a'.repeat(64)}`;
export const NEW_TEMPLATE = `sha256:${'b'.repeat(64)}`;
const IMAGE = '/spec/template/spec/containers/settlement-api/image';

export function comparedPlan(change: Partial<ComparedPlan> = {}): ComparedPlan {
  return {
    revision: 1,
    posted_at: at(100),
    hypothesis: 'Revision 2 of settlement-api crashes again and again since it was rolled out',
    confidence: 0.88,
    skill: 'bad_deploy',
    actions: [rollback()],
    ...change,
  };
}

export function rollback(): ComparedPlan['actions'][number] {
  return {
    change_id: 'CHG-1',
    tool: 'k8s.rollout_undo',
    target: API,
    intent: 'Roll settlement-api back from revision 2 to revision 1',
    uid: 'u1',
    changes: [{ path: '/spec/template', before: NEW_TEMPLATE, after: OLD_TEMPLATE }],
  };
}

export function scaling(replicas: number): ComparedPlan['actions'][number] {
  return {
    change_id: 'CHG-2',
    tool: 'k8s.scale',
    target: API,
    intent: `Scale settlement-api to ${replicas}`,
    uid: 'u1',
    changes: [{ path: '/spec/replicas', before: 2, after: replicas }],
  };
}

/** A person's rollback, as the API server books it. */
export function seen(change: Partial<SeenChange> = {}): SeenChange {
  return {
    key: 'k1',
    target: API,
    uid: 'u1',
    manager: 'kubectl',
    operation: 'Update',
    at: at(160),
    generation: 3,
    fields: [IMAGE],
    more_fields: 0,
    values: { [IMAGE]: 'registry.example.com/data/settlement-api:2.14.0' },
    template: OLD_TEMPLATE,
    robot: false,
    ...change,
  };
}

export function said(text: string, cause: string | null = null, offset_s = 150): SaidAct {
  return { at: at(offset_s), by: 'dan', text, cause };
}

export function facts(change: Partial<ShadowFacts> = {}): ShadowFacts {
  return { plan: comparedPlan(), seen: [seen()], said: [], unseen: [], resolved_at: at(300), ...change };
}

export function score(n: number, change: Partial<Score> = {}): Score {
  return {
    incident_id: `INC-2026-1123-${String(n).padStart(3, '0')}`,
    step: 9,
    kind: 'shadow',
    team: 'data',
    env: 'prod',
    service: 'settlement-api',
    skill: 'bad_deploy',
    autonomy: 'suggest',
    verdict: 'hit',
    wrong_and_confident: false,
    lead_ms: 120_000,
    at: at(n * 1000),
    ...change,
  };
}

export function scores(count: number, change: Partial<Score> = {}, first = 1): Score[] {
  return Array.from({ length: count }, (_, n) => score(first + n, change));
}

export function raise(to: LadderRaise['to'], offset_s: number): LadderRaise {
  return {
    team: 'data',
    env: 'prod',
    service: 'settlement-api',
    to,
    by: ['dan', 'ines'],
    at: at(offset_s),
  };
}
