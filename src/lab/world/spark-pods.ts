/** Driver and executor pods as Spark on Kubernetes builds them from a SparkApplication. */
import type { JsonObject, KubeObject } from './kube-object.ts';
import { numberAt, objectAt, ownerReferenceTo, stringAt } from './kube-object.ts';
import { formatBytes, parseJvmMemory, sparkContainerBytes } from './quantity.ts';

const DRIVER_CONTAINER = 'spark-kubernetes-driver';
const EXECUTOR_CONTAINER = 'spark-kubernetes-executor';

export interface SubmittedRun {
  app_id: string;
  submission_id: string;
}

/** Heap and container limit of the driver (role `driver`) or of one executor; undefined: the memory text is bad. */
export function podMemory(
  app: KubeObject,
  role: 'driver' | 'executor',
): { heap_bytes: number; limit_bytes: number } | undefined {
  const heap_bytes = parseJvmMemory(stringAt(app, 'spec', role, 'memory') || '1g');
  if (heap_bytes === undefined) return undefined;
  const explicit = stringAt(app, 'spec', role, 'memoryOverhead');
  const factor = Number(stringAt(app, 'spec', 'memoryOverheadFactor') || '0.1');
  const overhead = explicit === '' ? { factor } : { bytes: parseJvmMemory(explicit) ?? 0 };
  return { heap_bytes, limit_bytes: sparkContainerBytes(heap_bytes, overhead) };
}

export function executorCount(app: KubeObject): number {
  return numberAt(app, 'spec', 'executor', 'instances') || 1;
}

function driverName(app: KubeObject): string {
  return stringAt(app, 'spec', 'driver', 'podName') || `${app.metadata.name}-driver`;
}

export function driverPod(app: KubeObject, run: SubmittedRun): KubeObject {
  const name = driverName(app);
  return podOf(app, run, {
    name,
    role: 'driver',
    container: DRIVER_CONTAINER,
    owner: app,
    args: [
      'driver',
      '--properties-file',
      '/opt/spark/conf/spark.properties',
      '--class',
      stringAt(app, 'spec', 'mainClass'),
      stringAt(app, 'spec', 'mainApplicationFile'),
    ],
    ports: [
      { name: 'driver-rpc-port', containerPort: 7078, protocol: 'TCP' },
      { name: 'blockmanager', containerPort: 7079, protocol: 'TCP' },
      { name: 'spark-ui', containerPort: 4040, protocol: 'TCP' },
    ],
  });
}

export function executorPod(
  app: KubeObject,
  run: SubmittedRun,
  driver: KubeObject,
  number: number,
  prefix: string,
): KubeObject {
  return podOf(app, run, {
    name: `${prefix}-exec-${number}`,
    role: 'executor',
    container: EXECUTOR_CONTAINER,
    owner: driver,
    args: ['executor'],
    ports: [{ name: 'blockmanager', containerPort: 7079, protocol: 'TCP' }],
    labels: { 'spark-exec-id': String(number) },
  });
}

interface PodShape {
  name: string;
  role: 'driver' | 'executor';
  container: string;
  owner: KubeObject;
  args: string[];
  ports: JsonObject[];
  labels?: Record<string, string>;
}

function podOf(app: KubeObject, run: SubmittedRun, shape: PodShape): KubeObject {
  const memory = formatBytes(podMemory(app, shape.role)?.limit_bytes ?? 0);
  const cores = String(numberAt(app, 'spec', shape.role, 'cores') || 1);
  const coreLimit = stringAt(app, 'spec', shape.role, 'coreLimit');
  const labels: Record<string, string> = {
    ...(objectAt(app, 'spec', shape.role, 'labels') as Record<string, string>),
    ...shape.labels,
    'spark-app-name': app.metadata.name,
    'spark-app-selector': run.app_id,
    'spark-role': shape.role,
    'spark-version': stringAt(app, 'spec', 'sparkVersion'),
    'sparkoperator.k8s.io/app-name': app.metadata.name,
    'sparkoperator.k8s.io/launched-by-spark-operator': 'true',
    'sparkoperator.k8s.io/submission-id': run.submission_id,
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: shape.name,
      namespace: app.metadata.namespace ?? 'default',
      labels,
      ownerReferences: [ownerReferenceTo(shape.owner)],
    },
    spec: {
      containers: [
        {
          name: shape.container,
          image: stringAt(app, 'spec', 'image'),
          imagePullPolicy: 'IfNotPresent',
          args: shape.args,
          env: [
            { name: 'SPARK_USER', value: 'spark' },
            { name: 'SPARK_APPLICATION_ID', value: run.app_id },
            { name: 'SPARK_CONF_DIR', value: '/opt/spark/conf' },
          ],
          ports: shape.ports,
          resources: {
            limits: { ...(coreLimit === '' ? {} : { cpu: coreLimit }), memory },
            requests: { cpu: cores, memory },
          },
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
          volumeMounts: [{ name: 'spark-local-dir-1', mountPath: '/var/data/spark-local' }],
        },
      ],
      volumes: [{ name: 'spark-local-dir-1', emptyDir: {} }],
      ...podDefaults(stringAt(app, 'spec', shape.role, 'serviceAccount') || 'default'),
      restartPolicy: 'Never',
    },
  };
}

/** What the API server's defaulting and admission add to every pod. */
export function podDefaults(serviceAccount: string): JsonObject {
  const toleration = (key: string) => ({
    key,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds: 300,
  });
  return {
    dnsPolicy: 'ClusterFirst',
    enableServiceLinks: true,
    preemptionPolicy: 'PreemptLowerPriority',
    priority: 0,
    schedulerName: 'default-scheduler',
    securityContext: {},
    serviceAccount,
    serviceAccountName: serviceAccount,
    terminationGracePeriodSeconds: 30,
    tolerations: [toleration('node.kubernetes.io/not-ready'), toleration('node.kubernetes.io/unreachable')],
  };
}
