/**
 * The Spark operator of the world: submits new SparkApplications, and invalidates and reruns one whose specification
 * changed. States and event texts follow the kubeflow operator (v1beta2).
 */
import type { Cluster } from './cluster.ts';
import { isPast } from './cluster.ts';
import type { SparkBehaviour } from './definition.ts';
import type { KubeObject } from './kube-object.ts';
import { kubeTime, numberAt, sameJson, stringAt } from './kube-object.ts';
import { startSparkRun } from './spark-run.ts';
import { OPERATOR_WRITER, appEvent, currentApp, writeAppStatus } from './spark-status.ts';

export interface SparkOperatorOptions {
  cluster: Cluster;
  behaviourOf: (app: KubeObject) => SparkBehaviour;
  /** Length of a run after the start of the world. */
  live_run_ms: number;
}

export function runSparkOperator(options: SparkOperatorOptions): void {
  const { cluster } = options;
  cluster.store.subscribe((change) => {
    if (change.object.kind === 'Pod' && change.type === 'DELETED') noticeLostDriver(cluster, change.object);
    if (change.object.kind !== 'SparkApplication' || change.type === 'DELETED') return;
    const app = change.object;
    if (change.type === 'ADDED') {
      if (stringAt(app, 'status', 'applicationState', 'state') === '') submitLater(options, app, 50);
      return;
    }
    if (!sameJson(change.previous?.spec, app.spec)) invalidate(options, app);
  });
}

/** A changed specification ends what runs, clears the status and submits again. */
function invalidate(options: SparkOperatorOptions, app: KubeObject): void {
  const { cluster, live_run_ms } = options;
  const step_ms = Math.min(400, Math.max(20, live_run_ms * 0.04));
  const { name } = app.metadata;
  cluster.timeline.after(step_ms, () => {
    if (writeAppStatus(cluster, app, { applicationState: { state: 'INVALIDATING' } }) === undefined) return;
    appEvent(
      cluster,
      app,
      'SparkApplicationSpecUpdateProcessed',
      `Successfully processed spec update for SparkApplication ${name}`,
    );
  });
  cluster.timeline.after(2 * step_ms, () => {
    const current = currentApp(cluster, app);
    if (current === undefined) return;
    const driver = stringAt(current, 'status', 'driverInfo', 'podName');
    if (driver !== '') cluster.store.remove('Pod', current.metadata.namespace, driver);
    const cleared = { ...current, status: { applicationState: { state: 'PENDING_RERUN' } } };
    cluster.store.update(cleared, OPERATOR_WRITER);
    appEvent(
      cluster,
      app,
      'SparkApplicationPendingRerun',
      `SparkApplication ${name} is pending rerun`,
      'Warning',
    );
  });
  submitLater(options, app, 4 * step_ms);
}

function submitLater(options: SparkOperatorOptions, app: KubeObject, delay_ms: number): void {
  const { cluster } = options;
  cluster.timeline.after(delay_ms, () => {
    const current = currentApp(cluster, app);
    if (current !== undefined) submit(options, current);
  });
}

function submit(options: SparkOperatorOptions, app: KubeObject): void {
  const { cluster } = options;
  const behaviour = options.behaviourOf(app);
  const run = {
    app_id: `spark-${cluster.random.hex(32)}`,
    submission_id: cluster.random.uuid(),
  };
  const attempts = {
    lastSubmissionAttemptTime: kubeTime(cluster.timeline.now()),
    submissionAttempts: numberAt(app, 'status', 'submissionAttempts') + 1,
    submissionID: run.submission_id,
    terminationTime: null,
  };
  const started = startSparkRun({
    cluster,
    app,
    behaviour,
    run,
    length_ms: isPast(cluster) ? behaviour.past_run_ms : options.live_run_ms,
  });
  if ('refused' in started) {
    const message =
      `failed to run spark-submit for SparkApplication ${app.metadata.namespace}/${app.metadata.name}: ` +
      started.refused;
    writeAppStatus(cluster, app, {
      ...attempts,
      applicationState: { state: 'SUBMISSION_FAILED', errorMessage: message },
    });
    appEvent(
      cluster,
      app,
      'SparkApplicationSubmissionFailed',
      `failed to submit SparkApplication ${app.metadata.name}: ${started.refused}`,
      'Warning',
    );
    cluster.timeline.after(200, () => failSubmission(cluster, app, message));
    return;
  }
  writeAppStatus(cluster, app, {
    ...attempts,
    applicationState: { state: 'SUBMITTED' },
    sparkApplicationId: run.app_id,
    executionAttempts: numberAt(app, 'status', 'executionAttempts') + 1,
    driverInfo: {
      podName: started.pod.metadata.name,
      webUIServiceName: `${app.metadata.name}-ui-svc`,
      webUIPort: 4040,
      webUIAddress: `10.43.${cluster.random.int(1, 200)}.${cluster.random.int(2, 250)}:4040`,
    },
  });
  const text = `SparkApplication ${app.metadata.name} was submitted successfully`;
  appEvent(cluster, app, 'SparkApplicationSubmitted', text);
}

function failSubmission(cluster: Cluster, app: KubeObject, message: string): void {
  const failed = writeAppStatus(cluster, app, {
    applicationState: { state: 'FAILED', errorMessage: message },
    terminationTime: kubeTime(cluster.timeline.now()),
  });
  if (failed === undefined) return;
  const text = `SparkApplication ${app.metadata.name} failed: ${message}`;
  appEvent(cluster, app, 'SparkApplicationFailed', text, 'Warning');
}

/** A driver pod that somebody deleted under a running application fails it. */
function noticeLostDriver(cluster: Cluster, pod: KubeObject): void {
  const name = pod.metadata.labels?.['sparkoperator.k8s.io/app-name'] ?? '';
  const app = cluster.store.get('SparkApplication', pod.metadata.namespace, name);
  if (app === undefined || stringAt(app, 'status', 'driverInfo', 'podName') !== pod.metadata.name) return;
  if (!['SUBMITTED', 'RUNNING'].includes(stringAt(app, 'status', 'applicationState', 'state'))) return;
  const errorMessage = 'driver pod not found';
  writeAppStatus(cluster, app, {
    applicationState: { state: 'FAILED', errorMessage },
    terminationTime: kubeTime(cluster.timeline.now()),
  });
  appEvent(
    cluster,
    app,
    'SparkApplicationFailed',
    `SparkApplication ${name} failed: ${errorMessage}`,
    'Warning',
  );
}
