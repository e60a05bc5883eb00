/** Schemas of the kinds that can be written. SparkApplication follows the kubeflow CRD; built-ins are closed at the top. */
import type { Schema } from './schema.ts';
import { ANY, BOOLEAN, STRING, STRING_MAP, integer, listOf, object } from './schema.ts';

const JVM_MEMORY: Schema = { type: 'string', pattern: '^[0-9]+([kKmMgGtTpP][bB]?)?$' };
const OPEN: Schema = { type: 'object' };

const sparkPod = {
  affinity: OPEN,
  annotations: STRING_MAP,
  configMaps: listOf(OPEN),
  coreLimit: STRING,
  cores: integer(1),
  dnsConfig: OPEN,
  env: listOf(OPEN),
  envFrom: listOf(OPEN),
  envSecretKeyRefs: OPEN,
  envVars: STRING_MAP,
  gpu: OPEN,
  hostAliases: listOf(OPEN),
  hostNetwork: BOOLEAN,
  image: STRING,
  initContainers: listOf(OPEN),
  javaOptions: STRING,
  labels: STRING_MAP,
  lifecycle: OPEN,
  memory: JVM_MEMORY,
  memoryOverhead: JVM_MEMORY,
  nodeSelector: STRING_MAP,
  podSecurityContext: OPEN,
  ports: listOf(OPEN),
  priorityClassName: STRING,
  schedulerName: STRING,
  secrets: listOf(OPEN),
  securityContext: OPEN,
  serviceAccount: STRING,
  shareProcessNamespace: BOOLEAN,
  sidecars: listOf(OPEN),
  template: OPEN,
  terminationGracePeriodSeconds: integer(),
  tolerations: listOf(OPEN),
  volumeMounts: listOf(OPEN),
};

const sparkSpec = object(
  {
    arguments: listOf(STRING),
    batchScheduler: STRING,
    batchSchedulerOptions: OPEN,
    deps: OPEN,
    driver: object({
      ...sparkPod,
      coreRequest: STRING,
      kubernetesMaster: STRING,
      podName: {
        type: 'string',
        pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
      },
      serviceAnnotations: STRING_MAP,
      serviceLabels: STRING_MAP,
    }),
    driverIngressOptions: listOf(OPEN),
    dynamicAllocation: OPEN,
    executor: object({
      ...sparkPod,
      coreRequest: STRING,
      deleteOnTermination: BOOLEAN,
      instances: integer(1),
    }),
    failureRetries: integer(),
    hadoopConf: STRING_MAP,
    hadoopConfigMap: STRING,
    image: STRING,
    imagePullPolicy: STRING,
    imagePullSecrets: listOf(STRING),
    mainApplicationFile: STRING,
    mainClass: STRING,
    memoryOverheadFactor: STRING,
    mode: { type: 'string', options: ['cluster', 'client'] },
    monitoring: OPEN,
    nodeSelector: STRING_MAP,
    proxyUser: STRING,
    pythonVersion: { type: 'string', options: ['2', '3'] },
    restartPolicy: object({
      onFailureRetries: integer(0),
      onFailureRetryInterval: integer(1),
      onSubmissionFailureRetries: integer(0),
      onSubmissionFailureRetryInterval: integer(1),
      type: { type: 'string', options: ['Never', 'Always', 'OnFailure'] },
    }),
    retryInterval: integer(),
    sparkConf: STRING_MAP,
    sparkConfigMap: STRING,
    sparkUIOptions: OPEN,
    sparkVersion: STRING,
    timeToLiveSeconds: integer(),
    type: { type: 'string', options: ['Java', 'Python', 'Scala', 'R'] },
    volumes: listOf(OPEN),
  },
  ['driver', 'executor', 'sparkVersion', 'type'],
);

const META = { apiVersion: STRING, kind: STRING, metadata: ANY };
const RULES = listOf(OPEN);

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  SparkApplication: object({ ...META, spec: sparkSpec, status: OPEN }, ['spec']),
  Deployment: object({
    ...META,
    spec: object(
      {
        minReadySeconds: integer(),
        paused: BOOLEAN,
        progressDeadlineSeconds: integer(),
        replicas: integer(0),
        revisionHistoryLimit: integer(),
        selector: OPEN,
        strategy: OPEN,
        template: object({ metadata: ANY, spec: OPEN }),
      },
      ['selector', 'template'],
    ),
    status: OPEN,
  }),
  ConfigMap: object({ ...META, binaryData: STRING_MAP, data: STRING_MAP, immutable: BOOLEAN }),
  Secret: object({ ...META, data: STRING_MAP, immutable: BOOLEAN, stringData: STRING_MAP, type: STRING }),
  ServiceAccount: object({
    ...META,
    automountServiceAccountToken: BOOLEAN,
    imagePullSecrets: listOf(OPEN),
    secrets: listOf(OPEN),
  }),
  ResourceQuota: object({
    ...META,
    spec: object({ hard: OPEN, scopeSelector: OPEN, scopes: listOf(STRING) }),
    status: OPEN,
  }),
  Role: object({ ...META, rules: RULES }),
  ClusterRole: object({ ...META, aggregationRule: OPEN, rules: RULES }),
  RoleBinding: object({ ...META, roleRef: OPEN, subjects: listOf(OPEN) }, ['roleRef']),
  ClusterRoleBinding: object({ ...META, roleRef: OPEN, subjects: listOf(OPEN) }, ['roleRef']),
};
