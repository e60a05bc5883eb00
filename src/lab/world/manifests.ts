/** Short constructors for the manifests of a world definition. */
import type { JsonObject, KubeObject } from './kube-object.ts';

export function namespaceManifest(name: string, labels: Record<string, string>): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  };
}

export function nodeManifest(name: string, address: string): KubeObject {
  const capacity = { cpu: '16', 'ephemeral-storage': '203056560Ki', memory: '65843120Ki', pods: '110' };
  const condition = (type: string, status: string, reason: string, message: string) => ({
    type,
    status,
    reason,
    message,
  });
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/arch': 'amd64',
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'topology.kubernetes.io/region': 'eu-central-1',
        'topology.kubernetes.io/zone': `eu-central-1${'abc'.charAt(Number(name.at(-1)) - 1)}`,
      },
    },
    spec: { podCIDR: `10.42.${name.at(-1)}.0/24`, providerID: `lab:///${name}` },
    status: {
      addresses: [
        { address, type: 'InternalIP' },
        { address: name, type: 'Hostname' },
      ],
      capacity,
      allocatable: { ...capacity, memory: '63178096Ki' },
      conditions: [
        condition(
          'MemoryPressure',
          'False',
          'KubeletHasSufficientMemory',
          'kubelet has sufficient memory available',
        ),
        condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
        condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
        condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
      ],
      nodeInfo: {
        architecture: 'amd64',
        bootID: '5c1f0e54-9d8b-4c0b-8b54-1c6b7e0a7d11',
        containerRuntimeVersion: 'containerd://1.7.24',
        kernelVersion: '6.1.0-28-amd64',
        kubeletVersion: 'v1.32.4',
        kubeProxyVersion: 'v1.32.4',
        machineID: '2f2d7c0c86a94d3c9b1e8f1a7b6c5d4e',
        operatingSystem: 'linux',
        osImage: 'Debian GNU/Linux 12 (bookworm)',
        systemUUID: 'ec2d7c0c-86a9-4d3c-9b1e-8f1a7b6c5d4e',
      },
    },
  };
}

export interface DeploymentShape {
  namespace: string;
  name: string;
  image: string;
  replicas: number;
  memory: string;
  cpu: string;
  labels: Record<string, string>;
}

export function deploymentManifest(shape: DeploymentShape): KubeObject {
  const labels = { app: shape.name, 'app.kubernetes.io/name': shape.name, ...shape.labels };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: shape.name, namespace: shape.namespace, labels },
    spec: {
      replicas: shape.replicas,
      selector: { matchLabels: { app: shape.name } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      template: {
        metadata: { labels },
        spec: {
          containers: [
            {
              name: shape.name,
              image: shape.image,
              imagePullPolicy: 'IfNotPresent',
              ports: [{ containerPort: 8080, name: 'http', protocol: 'TCP' }],
              resources: {
                limits: { cpu: shape.cpu, memory: shape.memory },
                requests: { cpu: shape.cpu, memory: shape.memory },
              },
              terminationMessagePath: '/dev/termination-log',
              terminationMessagePolicy: 'File',
            },
          ],
          restartPolicy: 'Always',
          dnsPolicy: 'ClusterFirst',
          schedulerName: 'default-scheduler',
          securityContext: {},
          terminationGracePeriodSeconds: 30,
        },
      },
    },
  };
}

export interface SparkShape {
  namespace: string;
  name: string;
  main_class: string;
  image: string;
  driver_memory: string;
  executor_memory: string;
  executors: number;
  labels: Record<string, string>;
  annotations?: Record<string, string>;
}

export function sparkManifest(shape: SparkShape): KubeObject {
  const pod = (memory: string, cores: number): JsonObject => ({
    cores,
    memory,
    labels: { version: '3.5.1' },
  });
  return {
    apiVersion: 'sparkoperator.k8s.io/v1beta2',
    kind: 'SparkApplication',
    metadata: {
      name: shape.name,
      namespace: shape.namespace,
      labels: shape.labels,
      ...(shape.annotations === undefined ? {} : { annotations: shape.annotations }),
    },
    spec: {
      type: 'Scala',
      mode: 'cluster',
      sparkVersion: '3.5.1',
      image: shape.image,
      imagePullPolicy: 'IfNotPresent',
      mainClass: shape.main_class,
      mainApplicationFile: `local:///opt/spark/jars/${shape.name}.jar`,
      restartPolicy: { type: 'Never' },
      sparkConf: { 'spark.sql.shuffle.partitions': '16', 'spark.driver.maxResultSize': '0' },
      driver: { ...pod(shape.driver_memory, 1), coreLimit: '1200m', serviceAccount: 'spark-driver' },
      executor: { ...pod(shape.executor_memory, 1), instances: shape.executors },
    },
  };
}

export function configMapManifest(namespace: string, name: string, data: Record<string, string>): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data };
}

/** Values are given as text and stored in base64, as the API shows them. */
export function secretManifest(namespace: string, name: string, data: Record<string, string>): KubeObject {
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type: 'Opaque',
    data: Object.fromEntries(encoded) as JsonObject,
  };
}

export function serviceAccountManifest(namespace: string, name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } };
}

export function resourceQuotaManifest(
  namespace: string,
  name: string,
  hard: Record<string, string>,
): KubeObject {
  return { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name, namespace }, spec: { hard } };
}
