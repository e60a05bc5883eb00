import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSkillIndex, printSkillIndex } from '../../src/cognition/skill-index.ts';
import type { RequestFacts } from '../../src/lab/kubernetes/faults.ts';
import type { Range } from '../../src/lab/range.ts';
import { badDeployNoWayBack } from '../../src/lab/scenarios/bad-deploy.ts';
import type { Scenario } from '../../src/lab/scenarios/scenario.ts';
import type { CrashStory } from './crash-story.ts';
import type { KubeObject } from '../../src/lab/world/kube-object.ts';
import { objectAt } from '../../src/lab/world/kube-object.ts';
import { expect } from 'vitest';
import { until } from '../../src/lab/watching.ts';
import { duplicateCards, ledgerOf, replayed, standing } from './looking-in.ts';
import { startStory } from './range-for-test.ts';

const SKILLS = fileURLToPath(new URL('../../skills', import.meta.url));
const SKILL = join('k8s', 'bad_deploy.skill.yaml');

/** The skill library as it is, with less patience in its checks: a story waits for seconds instead of a minute. */
export function impatientSkills(edit: (text: string) => string = (text) => text): string {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-skills-'));
  cpSync(SKILLS, dir, { recursive: true });
  const text = readFileSync(join(dir, SKILL), 'utf8')
    .replaceAll('stable_s=20', 'stable_s=5')
    .replaceAll('stable_s=10', 'stable_s=2')
    .replace('bake_s: 15', 'bake_s: 4')
    .replace('bake_s: 25', 'bake_s: 7')
    .replace('within_s: 240', 'within_s: 30')
    .replace('--since 20s', '--since 5s')
    .replace('within_s: 600', 'within_s: 60')
    .replace('within_s: 660', 'within_s: 9');
  writeFileSync(join(dir, SKILL), edit(text));
  const files = (readdirSync(dir, { recursive: true }) as string[])
    .filter((path) => path.endsWith('.skill.yaml'))
    .map((path) => ({ path, text: readFileSync(join(dir, path), 'utf8') }));
  const built = buildSkillIndex(files);
  if (!built.ok) throw new Error(JSON.stringify(built.problems));
  writeFileSync(join(dir, '_index.json'), printSkillIndex(built.index));
  return dir;
}

/** As above, and the canary must also be seen in the log. */
export function skillsWithCanaryLog(): string {
  return impatientSkills((text) =>
    text.replace(
      /( +)checks:\n/,
      (line, indent: string) =>
        `${line}${indent}  - { title: It logs, read: tail -n 50 /teams/$team/$env/logs/$app.log --since 20s, expect: { pattern: INFO, op: some, fresh_lines: true }, within_s: 6, every_s: 1 }\n`,
    ),
  );
}

/** A range whose product checks with less patience. */
export async function startDeployStory(scenario: Scenario): Promise<Range> {
  const skills_dir = impatientSkills();
  const range = await startStory({ skills_dir }, scenario);
  return {
    ...range,
    async close() {
      await range.close();
      rmSync(skills_dir, { recursive: true, force: true });
    },
  };
}

/** Calls `act` once, when the dry run of the undo arrives: the change is in, and nothing is put back yet. */
export function atTheUndo(range: Range, act: () => void): void {
  let done = false;
  range.twins.kubernetes.faults.delay({
    ms: 0,
    match: (request: RequestFacts) => {
      const is_undo =
        request.method === 'PATCH' && request.dry_run && range.twins.kubernetes.mutations().length === 1;
      if (!is_undo || done) return false;
      done = true;
      act();
      return false;
    },
  });
}

/** The story whose change is put back, for power cuts: it ends when everything is, or when a person must look. */
export function rollbackStory(skills_dir: string): CrashStory {
  return {
    scenario: badDeployNoWayBack,
    skills_dir,
    ends_with: /Everything was put back|The rollback stopped/,
  };
}

/** Somebody releases another version of the story's service, past Aegis. */
export function release(range: Range, tag: string): void {
  const edit = (deployment: KubeObject): void => {
    const { containers } = objectAt(deployment, 'spec', 'template', 'spec') as {
      containers?: { image: string }[];
    };
    for (const container of containers ?? []) container.image = container.image.replace(/:[^:]*$/, `:${tag}`);
  };
  range.twins.world.change('Deployment', 'spark-jobs', 'settlement-api', edit, {
    manager: 'argocd-controller',
  });
}

/** How the Deployment of the story replaces its pods now. */
export function paceNow(range: Range): Record<string, unknown> {
  const spec = range.twins.world.store.get('Deployment', 'spark-jobs', 'settlement-api')?.spec;
  const { rollingUpdate } = (spec?.['strategy'] ?? {}) as { rollingUpdate?: Record<string, unknown> };
  return {
    min_ready_s: spec?.['minReadySeconds'],
    surge: rollingUpdate?.['maxSurge'],
    unavailable: rollingUpdate?.['maxUnavailable'],
  };
}

/** The image that the Deployment of the story runs. */
export function imageNow(range: Range): string {
  const deployment = range.twins.world.store.get('Deployment', 'spark-jobs', 'settlement-api');
  const spec = deployment?.spec as
    { template?: { spec?: { containers?: { image?: string }[] } } } | undefined;
  return spec?.template?.spec?.containers?.[0]?.image?.split(':')[1] ?? '';
}

/** The undo went through the same door as the change, under a permit and a journal key of its own. */
export async function oncePerPhase(range: Range, incident_id: string): Promise<void> {
  const ledger = await ledgerOf(range, incident_id);
  const done = ledger.filter((e) => e.kind === 'outcome').map((e) => e.payload);
  expect(done).toMatchObject([
    { phase: 'canary', outcome: { status: 'done' } },
    { phase: 'undo', outcome: { status: 'done' } },
  ]);
  const keys = ledger.flatMap((e) =>
    e.kind === 'call' && e.payload['door'] === 'execute' ? [e.payload['journal_key']] : [],
  );
  expect([...new Set(keys)]).toEqual([`${incident_id}#CHG-1#canary`, `${incident_id}#CHG-1#undo`]);
  const permits = ledger.flatMap((e) => (e.kind === 'permit' ? [e.payload['permit']] : []));
  expect(permits.filter((p) => (p as { phase: string }).phase === 'undo').length).toBeGreaterThan(0);
}

/** Nothing leased, nothing posted twice, and the ledger tells every state by itself. */
export async function cleanEnd(range: Range): Promise<void> {
  await until('leases to be given back', () =>
    range.twins.vault.outstanding().leases.length === 0 ? true : undefined,
  );
  expect(duplicateCards(range)).toEqual([]);
  expect(range.twins.slack.store.troubles).toEqual([]);
  const { incident_id } = await standing(range);
  expect(await replayed(range, incident_id)).toMatchObject({ equal: true });
}
