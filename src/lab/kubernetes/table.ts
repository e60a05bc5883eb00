/** Server-side printing: the Table that kubectl shows, with the columns of the real server. */
import type { JsonObject, KubeObject } from '../world/kube-object.ts';
import { isObject, listAt, numberAt, objectAt, stringAt } from '../world/kube-object.ts';
import { podCells } from './pod-columns.ts';
import type { Kind } from './kinds.ts';

interface Column {
  name: string;
  /** 0 is always shown, 1 only with `-o wide`. */
  priority?: 0 | 1;
  type?: 'string' | 'integer' | 'date';
  description?: string;
}

interface Printer {
  columns: readonly Column[];
  cells: (object: KubeObject, now_ms: number) => unknown[];
}

export function tableOf(kind: Kind, objects: readonly KubeObject[], options: TableOptions): JsonObject {
  const printer = PRINTERS[kind.kind] ?? DEFAULT_PRINTER;
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: options.list_metadata,
    columnDefinitions: printer.columns.map(({ name, priority = 0, type = 'string', description = '' }) => ({
      name,
      type,
      format: name === 'Name' ? 'name' : '',
      description,
      priority,
    })),
    rows: objects.map((object) => ({
      cells: printer.cells(object, options.now_ms),
      object: includedObject(object, options.include_object),
    })),
  };
}

export interface TableOptions {
  now_ms: number;
  list_metadata: JsonObject;
  include_object: string;
}

function includedObject(object: KubeObject, include: string): JsonObject {
  if (include === 'Object') return object;
  if (include === 'None') return {};
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

/** `4m13s`, `26d`: the duration as kubectl's server-side columns write it (k8s.io/apimachinery duration.HumanDuration). */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  const [minutes, hours, days] = [
    Math.floor(seconds / 60),
    Math.floor(seconds / 3600),
    Math.floor(seconds / 86400),
  ];
  const pair = (big: number, bigUnit: string, rest: number, unit: string) =>
    rest === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${rest}${unit}`;
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (days < 8) return pair(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  return pair(Math.floor(days / 365), 'y', days % 365, 'd');
}

function age(time: unknown, now_ms: number): string {
  return typeof time === 'string' && time !== '' ? humanDuration(now_ms - Date.parse(time)) : '<unknown>';
}

function created(object: KubeObject, now_ms: number): string {
  return age(object.metadata.creationTimestamp, now_ms);
}

const NAME: Column = { name: 'Name' };
const AGE: Column = { name: 'Age' };
const wide = (name: string): Column => ({ name, priority: 1 });

const DEFAULT_PRINTER: Printer = {
  columns: [NAME, { name: 'Created At' }],
  cells: (object) => [object.metadata.name, object.metadata.creationTimestamp ?? ''],
};

function size(value: unknown): number {
  return isObject(value) ? Object.keys(value).length : 0;
}

function containersText(template: unknown, field: 'name' | 'image'): string {
  return listAt(template, 'spec', 'containers')
    .map((container) => stringAt(container, field))
    .join(',');
}

function labelsText(labels: JsonObject): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${String(value)}`);
  return pairs.length === 0 ? '<none>' : pairs.join(',');
}

function nodeCells(node: KubeObject, now_ms: number): unknown[] {
  const info = objectAt(node, 'status', 'nodeInfo');
  const ready = listAt(node, 'status', 'conditions').find((entry) => stringAt(entry, 'type') === 'Ready');
  const status = stringAt(ready, 'status') === 'True' ? 'Ready' : 'NotReady';
  return [
    node.metadata.name,
    node.spec?.['unschedulable'] === true ? `${status},SchedulingDisabled` : status,
    '<none>',
    created(node, now_ms),
    stringAt(info, 'kubeletVersion'),
    stringAt(node, 'status', 'addresses', 0, 'address'),
    '<none>',
    stringAt(info, 'osImage'),
    stringAt(info, 'kernelVersion'),
    stringAt(info, 'containerRuntimeVersion'),
  ];
}

function eventCells(event: KubeObject, now_ms: number): unknown[] {
  const first = age(event['firstTimestamp'], now_ms);
  const last = age(event['lastTimestamp'], now_ms);
  const count = numberAt(event, 'count');
  const involved = objectAt(event, 'involvedObject');
  const host = stringAt(event, 'source', 'host');
  const component = stringAt(event, 'source', 'component');
  return [
    count > 1 ? `${last} (x${count} over ${first})` : last,
    event['type'],
    event['reason'],
    `${stringAt(involved, 'kind').toLowerCase()}/${stringAt(involved, 'name')}`,
    stringAt(involved, 'fieldPath'),
    host === '' ? component : `${component}, ${host}`,
    stringAt(event, 'message').trim(),
    first,
    count,
    event.metadata.name,
  ];
}

function deploymentCells(deployment: KubeObject, now_ms: number): unknown[] {
  const { status } = deployment;
  const template = objectAt(deployment, 'spec', 'template');
  return [
    deployment.metadata.name,
    `${numberAt(status, 'readyReplicas')}/${numberAt(deployment, 'spec', 'replicas')}`,
    numberAt(status, 'updatedReplicas'),
    numberAt(status, 'availableReplicas'),
    created(deployment, now_ms),
    containersText(template, 'name'),
    containersText(template, 'image'),
    labelsText(objectAt(deployment, 'spec', 'selector', 'matchLabels')),
  ];
}

function quotaCells(quota: KubeObject, now_ms: number): unknown[] {
  const used = objectAt(quota, 'status', 'used') as Record<string, string>;
  const parts = Object.entries(objectAt(quota, 'status', 'hard')).map(
    ([resource, hard]) => [resource, `${resource}: ${used[resource] ?? '0'}/${String(hard)}`] as const,
  );
  const show = (isLimit: boolean) =>
    parts
      .filter(([resource]) => resource.startsWith('limits.') === isLimit)
      .map(([, text]) => text)
      .join(', ');
  return [quota.metadata.name, show(false), show(true), created(quota, now_ms)];
}

/** A number or a share in percent. */
function amountText(amount: unknown): string {
  return typeof amount === 'number' || typeof amount === 'string' ? String(amount) : 'N/A';
}

const PRINTERS: Readonly<Record<string, Printer>> = {
  Pod: {
    columns: [
      NAME,
      { name: 'Ready' },
      { name: 'Status' },
      { name: 'Restarts' },
      AGE,
      ...['IP', 'Node', 'Nominated Node', 'Readiness Gates'].map(wide),
    ],
    cells: (pod, now_ms) => podCells(pod, created(pod, now_ms), (time) => age(time, now_ms)),
  },
  Event: {
    columns: [
      { name: 'Last Seen' },
      { name: 'Type' },
      { name: 'Reason' },
      { name: 'Object' },
      wide('Subobject'),
      wide('Source'),
      { name: 'Message' },
      wide('First Seen'),
      { ...wide('Count'), type: 'integer' },
      wide('Name'),
    ],
    cells: eventCells,
  },
  Deployment: {
    columns: [
      NAME,
      { name: 'Ready' },
      { name: 'Up-to-date' },
      { name: 'Available' },
      AGE,
      ...['Containers', 'Images', 'Selector'].map(wide),
    ],
    cells: deploymentCells,
  },
  ReplicaSet: {
    columns: [
      NAME,
      { name: 'Desired', type: 'integer' },
      { name: 'Current', type: 'integer' },
      { name: 'Ready', type: 'integer' },
      AGE,
      ...['Containers', 'Images', 'Selector'].map(wide),
    ],
    cells: (set, now_ms) => [
      set.metadata.name,
      numberAt(set, 'spec', 'replicas'),
      numberAt(set, 'status', 'replicas'),
      numberAt(set, 'status', 'readyReplicas'),
      created(set, now_ms),
      containersText(objectAt(set, 'spec', 'template'), 'name'),
      containersText(objectAt(set, 'spec', 'template'), 'image'),
      labelsText(objectAt(set, 'spec', 'selector', 'matchLabels')),
    ],
  },
  ConfigMap: {
    columns: [NAME, { name: 'Data', type: 'integer' }, AGE],
    cells: (map, now_ms) => [
      map.metadata.name,
      size(map['data']) + size(map['binaryData']),
      created(map, now_ms),
    ],
  },
  Secret: {
    columns: [NAME, { name: 'Type' }, { name: 'Data', type: 'integer' }, AGE],
    cells: (secret, now_ms) => [
      secret.metadata.name,
      secret['type'],
      size(secret['data']),
      created(secret, now_ms),
    ],
  },
  ServiceAccount: {
    columns: [NAME, { name: 'Secrets', type: 'integer' }, AGE],
    cells: (account, now_ms) => [
      account.metadata.name,
      listAt(account, 'secrets').length,
      created(account, now_ms),
    ],
  },
  Namespace: {
    columns: [NAME, { name: 'Status' }, AGE],
    cells: (namespace, now_ms) => [
      namespace.metadata.name,
      stringAt(namespace, 'status', 'phase'),
      created(namespace, now_ms),
    ],
  },
  Node: {
    columns: [
      NAME,
      { name: 'Status' },
      { name: 'Roles' },
      AGE,
      { name: 'Version' },
      ...['Internal-IP', 'External-IP', 'OS-Image', 'Kernel-Version', 'Container-Runtime'].map(wide),
    ],
    cells: nodeCells,
  },
  PodDisruptionBudget: {
    columns: [
      NAME,
      { name: 'Min Available' },
      { name: 'Max Unavailable' },
      { name: 'Allowed Disruptions', type: 'integer' },
      AGE,
    ],
    cells: (budget, now_ms) => [
      budget.metadata.name,
      amountText(budget.spec?.['minAvailable']),
      amountText(budget.spec?.['maxUnavailable']),
      numberAt(budget, 'status', 'disruptionsAllowed'),
      created(budget, now_ms),
    ],
  },
  ResourceQuota: { columns: [NAME, { name: 'Request' }, { name: 'Limit' }, AGE], cells: quotaCells },
  RoleBinding: {
    columns: [NAME, { name: 'Role' }, AGE],
    cells: (binding, now_ms) => [
      binding.metadata.name,
      `${stringAt(binding, 'roleRef', 'kind')}/${stringAt(binding, 'roleRef', 'name')}`,
      created(binding, now_ms),
    ],
  },
  SparkApplication: {
    columns: [
      NAME,
      { name: 'Status' },
      { name: 'Attempts' },
      { name: 'Start' },
      { name: 'Finish' },
      { ...AGE, type: 'date' },
    ],
    cells: (app, now_ms) => [
      app.metadata.name,
      stringAt(app, 'status', 'applicationState', 'state'),
      app.status?.['executionAttempts'] === undefined
        ? ''
        : String(numberAt(app, 'status', 'executionAttempts')),
      stringAt(app, 'status', 'lastSubmissionAttemptTime'),
      stringAt(app, 'status', 'terminationTime') || '<no value>',
      created(app, now_ms),
    ],
  },
};
