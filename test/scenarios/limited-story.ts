import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { badDeploy, crashLoopAlert } from '../../src/lab/scenarios/bad-deploy.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { objectAt } from '../../src/lab/world/kube-object.ts';
import { rootCard, until } from '../../src/lab/watching.ts';
import { impatientSkills } from './deploy-story.ts';
import type { ledgerOf } from './looking-in.ts';
import { startStory } from './range-for-test.ts';

/** Stories under autonomy `limited`, with one unattended change a day instead of two. */
export const PATIENCE_MS = 90_000;

/** Alertmanager posts; the root card that is not `before`. */
export async function alerted(range: Range, before?: StoredMessage): Promise<StoredMessage> {
  const posted = await range.webhook(crashLoopAlert(Date.now()));
  expect(posted.status).toBe(200);
  return until('the root card', () => {
    const root = rootCard(range.twins.slack, DATA_CHANNEL);
    return root?.ts === before?.ts ? undefined : root;
  });
}

/** A container of the release has ended at least twice: the alert is not ahead of what it is about. */
export function crashes(range: Range): boolean {
  return range.twins.world.store
    .list('Pod', 'spark-jobs')
    .filter((pod) => pod.metadata.name.startsWith('settlement-api'))
    .some((pod) => Number(objectAt(pod, 'status', 'containerStatuses', 0)['restartCount']) >= 2);
}

export function unattended(system: Awaited<ReturnType<typeof ledgerOf>>): unknown[] {
  return system.flatMap(({ kind, payload }) => (kind === 'permit' ? [payload['incident_id']] : []));
}

/** A range with such policies and less patience in its checks; its folders are gone after `close`. */
export async function startLimited(announce_s: number): Promise<Range> {
  const [skills_dir, policies_dir] = [impatientSkills(), policiesWith(announce_s)];
  const range = await startStory({ skills_dir, policies_dir, autonomy: 'limited' }, badDeploy);
  return {
    ...range,
    async close() {
      await range.close();
      for (const dir of [skills_dir, policies_dir]) rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The policies that Aegis brings along, with one unattended change a day and another time in which it is shown. */
function policiesWith(announce_s: number): string {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-limited-policies-'));
  cpSync(join(import.meta.dirname, '../../policies'), dir, { recursive: true });
  const file = join(dir, 'guardrails.yaml');
  const text = readFileSync(file, 'utf8');
  const edited = text
    .replace('per_target_day_max: 2', 'per_target_day_max: 1')
    .replace('announce_s: 30', `announce_s: ${announce_s}`);
  expect(edited).not.toBe(text);
  writeFileSync(file, edited);
  return dir;
}
