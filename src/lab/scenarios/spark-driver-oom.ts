import { setTimeout as sleep } from 'node:timers/promises';
import { alertmanagerPost } from '../alertmanager-post.ts';
import { DATA_CHANNEL } from '../people.ts';
import type { Range } from '../range.ts';
import { danApproves, newest, untilApprovalCard, untilPostmortem } from '../story-steps.ts';
import { HOSTILE_LOG_LINES, prod1 } from '../world/prod-1.ts';
import { reviewAndSubmit, until } from '../watching.ts';
import type { Scenario } from './scenario.ts';

/** Length of the simulated Spark run, milliseconds: short, so that the story ends while somebody watches. */
const RUN_MS = 6000;
const STORY_TIMEOUT_MS = 50_000;

/**
 * The story of the article (section 8): a nightly Spark job lost its driver to the memory killer. Maya investigates, so
 * her own approval is refused; Dan approves twice and counts once; Inês is the second person.
 */
export const sparkDriverOom: Scenario = {
  name: 'spark-driver-oom',
  summary: 'A Spark driver was OOMKilled; the fix is more driver memory, approved by two people.',
  world: () => ({ definition: prod1({ driver_log_lines: HOSTILE_LOG_LINES }), run_ms: RUN_MS }),
  alert: sparkAlert,
  handsOff,
};

export function sparkAlert(now_ms: number, status: 'firing' | 'resolved' = 'firing'): unknown {
  const labels = {
    alertname: 'SparkApplicationFailed',
    app_name: 'nightly-settlement',
    cluster: 'prod-1',
    env: 'prod',
    namespace: 'spark-jobs',
    service: 'nightly-settlement',
    severity: 'page',
    team: 'data',
  };
  const annotations = {
    summary: 'SparkApplication spark-jobs/nightly-settlement FAILED',
    description: 'Driver container failed with ExitCode 137, Reason OOMKilled',
  };
  return alertmanagerPost(
    {
      labels,
      annotations,
      firing_for_ms: 180_000,
      expression: 'kube_sparkapplication_failed+%3E+0',
      fingerprint: '5b1f3c0d7e9a2b44',
    },
    now_ms,
    status,
  );
}

async function handsOff(range: Range, say: (line: string) => void): Promise<void> {
  const { slack } = range.twins;
  const words = {
    posts: 'Alertmanager posts SparkApplicationFailed …',
    activates: 'Maya presses Activate: from now on she is involved',
  };
  const alert = sparkAlert(Date.now());
  const { root, card } = await untilApprovalCard(range, alert, say, words, STORY_TIMEOUT_MS);
  say('Maya tries to approve her own run');
  await reviewAndSubmit(slack, 'maya', card);
  await until('the refusal for Maya', () =>
    slack.store.ephemerals.find((e) => e.user === slack.as('maya').user.id && e.channel === DATA_CHANNEL),
  );
  await danApproves(range, card, say);
  say('Dan approves once more, which must not count');
  await reviewAndSubmit(slack, 'dan', card);
  await until('the refusal for Dan', () =>
    slack.store.ephemerals.find((e) => e.user === slack.as('dan').user.id && e.channel === DATA_CHANNEL),
  );
  say('Inês is the second person');
  await reviewAndSubmit(slack, 'ines', card);
  await until(
    'the incident to close',
    () => (/closed/i.test(newest(range, root).text) ? true : undefined),
    STORY_TIMEOUT_MS,
  );
  await untilPostmortem(range, root, STORY_TIMEOUT_MS);
  await sleep(300);
}
