import { setTimeout as sleep } from 'node:timers/promises';
import { DATA_CHANNEL } from '../people.ts';
import type { Range } from '../range.ts';
import type { StoredMessage } from '../slack/store.ts';
import { HOSTILE_LOG_LINES, prod1 } from '../world/prod-1.ts';
import { approvalCard, pressWhenThere, reviewAndSubmit, rootCard, until } from '../watching.ts';
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
  const starts_at = new Date(now_ms - 180_000).toISOString();
  return {
    version: '4',
    receiver: 'aegis',
    status,
    groupKey: '{}:{alertname="SparkApplicationFailed", namespace="spark-jobs"}',
    truncatedAlerts: 0,
    groupLabels: { alertname: labels.alertname, namespace: labels.namespace },
    commonLabels: labels,
    commonAnnotations: annotations,
    externalURL: 'http://alertmanager.example:9093',
    alerts: [
      {
        status,
        labels,
        annotations,
        startsAt: starts_at,
        endsAt: status === 'firing' ? '0001-01-01T00:00:00Z' : new Date(now_ms).toISOString(),
        generatorURL: 'http://prometheus.example:9090/graph?g0.expr=kube_sparkapplication_failed+%3E+0',
        fingerprint: '5b1f3c0d7e9a2b44',
      },
    ],
  };
}

async function handsOff(range: Range, say: (line: string) => void): Promise<void> {
  const { slack } = range.twins;
  say('Alertmanager posts SparkApplicationFailed …');
  const posted = await range.webhook(sparkAlert(Date.now()));
  if (posted.status !== 200) throw new Error(`the webhook was answered ${posted.status}: ${posted.body}`);
  const root = await until('the root card', () => rootCard(slack, DATA_CHANNEL));
  say('Maya presses Activate: from now on she is involved');
  await pressWhenThere(slack, 'maya', root, 'incident.activate');
  const card = await until(
    'the approval card',
    () => approvalCard(slack, DATA_CHANNEL, root.ts),
    STORY_TIMEOUT_MS,
  );
  say('Maya tries to approve her own run');
  await reviewAndSubmit(slack, 'maya', card);
  await until('the refusal for Maya', () =>
    slack.store.ephemerals.find((e) => e.user === slack.as('maya').user.id && e.channel === DATA_CHANNEL),
  );
  say('Dan reads the diff and approves');
  await reviewAndSubmit(slack, 'dan', card);
  await until('one approval on the card', () =>
    slack.plainText(latest(slack, card)).includes('1 of 2') ? true : undefined,
  );
  say('Dan approves once more, which must not count');
  await reviewAndSubmit(slack, 'dan', card);
  await until('the refusal for Dan', () =>
    slack.store.ephemerals.find((e) => e.user === slack.as('dan').user.id && e.channel === DATA_CHANNEL),
  );
  say('Inês is the second person');
  await reviewAndSubmit(slack, 'ines', card);
  await until(
    'the incident to close',
    () => (/closed/i.test(stateLine(slack, root)) ? true : undefined),
    STORY_TIMEOUT_MS,
  );
  await until(
    'the postmortem',
    () => slack.store.thread(DATA_CHANNEL, root.ts).find((m) => /postmortem/i.test(m.text)),
    STORY_TIMEOUT_MS,
  );
  await sleep(300);
}

function latest(slack: Range['twins']['slack'], message: StoredMessage): StoredMessage {
  return slack.store.get(message.channel, message.ts) ?? message;
}

function stateLine(slack: Range['twins']['slack'], root: StoredMessage): string {
  return latest(slack, root).text;
}
