import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSkillIndex, printSkillIndex } from '../../src/cognition/skill-index.ts';
import type { Scenario } from '../../src/lab/scenarios/scenario.ts';
import { sparkDriverOom } from '../../src/lab/scenarios/spark-driver-oom.ts';
import type { CrashStory } from '../scenarios/crash-story.ts';

/**
 * The story of the Spark job with a plan of two writes on two targets: more memory for the driver, and one more pod of
 * the service beside it. Its checks answer at once, so that many lives fit into a minute.
 */
const SKILLS = fileURLToPath(new URL('../../skills', import.meta.url));
const SKILL = join('spark', 'spark_driver_oom.skill.yaml');
const RUN_MS = 1500;
/** Half a dozen lives on a machine that has other things to do. */
const PATIENCE_MS = 300_000;

const SECOND_ACTION = `
      - tool: k8s.scale
        target: mcp://k8s/$cluster/$namespace/deployment/settlement-api
        params: { changes: [{ path: /spec/replicas, value: 3 }] }
        intent: Run a third pod of settlement-api while $job catches up
        rollback: { from: before_image }
        timeout_s: 60
`;
const CHECKS = `    verify:
      - title: The job has the memory that was asked for
        read: read /teams/$team/$env/jobs/$namespace.$job/spec.yaml
        expect: { select: spec.driver.memory, op: eq, value: $new_memory }
        within_s: 30
        every_s: 1
      - title: The service has three pods
        read: read /teams/$team/$env/k8s/clusters/$cluster/namespaces/$namespace/deployments/settlement-api/spec.yaml
        expect: { select: spec.replicas, op: eq, value: 3 }
        within_s: 30
        every_s: 1
`;

/** The skill library with the second write in it, in a folder of its own. */
export function twoWriteSkills(): string {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-two-writes-'));
  cpSync(SKILLS, dir, { recursive: true });
  const text = readFileSync(join(dir, SKILL), 'utf8');
  const actions_end = text.indexOf('    verify:');
  const checks_end = text.indexOf('\nguardrails:');
  writeFileSync(
    join(dir, SKILL),
    `${text.slice(0, actions_end).trimEnd()}${SECOND_ACTION}${CHECKS}${text.slice(checks_end)}`,
  );
  const files = (readdirSync(dir, { recursive: true }) as string[])
    .filter((path) => path.endsWith('.skill.yaml'))
    .map((path) => ({ path, text: readFileSync(join(dir, path), 'utf8') }));
  const built = buildSkillIndex(files);
  if (!built.ok) throw new Error(JSON.stringify(built.problems));
  writeFileSync(join(dir, '_index.json'), printSkillIndex(built.index));
  return dir;
}

export function twoWritesStory(skills_dir: string): CrashStory {
  const scenario: Scenario = {
    ...sparkDriverOom,
    name: 'two-writes',
    world: () => ({ ...sparkDriverOom.world(), run_ms: RUN_MS }),
  };
  return { scenario, skills_dir, patience_ms: PATIENCE_MS };
}
