/** Label and field selectors of list, watch and deletecollection. */
import type { KubeObject } from '../world/kube-object.ts';
import { stringAt } from '../world/kube-object.ts';
import type { Kind } from './kinds.ts';
import { groupVersion } from './kinds.ts';
import { badRequest } from './status.ts';

export type Matcher = (object: KubeObject) => boolean;

const KEY = String.raw`[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?`;
const VALUE = String.raw`(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?`;
const EQUALITY = new RegExp(`^(${KEY})\\s*(=|==|!=)\\s*(${VALUE})$`);
const MEMBERSHIP = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const EXISTENCE = new RegExp(`^(!?)\\s*(${KEY})$`);

export function labelMatcher(text: string | null): Matcher {
  if (text === null || text.trim() === '') return () => true;
  const parts = splitOutsideParentheses(text).map(labelRequirement);
  return (object) => parts.every((matches) => matches(object.metadata.labels ?? {}));
}

function labelRequirement(part: string): (labels: Record<string, string>) => boolean {
  const equality = EQUALITY.exec(part);
  if (equality !== null) {
    const [, key = '', operator, value = ''] = equality;
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const membership = MEMBERSHIP.exec(part);
  if (membership !== null) {
    const [, key = '', operator, list = ''] = membership;
    const values = list.split(',').map((value) => value.trim());
    const isIn = (labels: Record<string, string>) =>
      labels[key] !== undefined && values.includes(labels[key]);
    return operator === 'in' ? isIn : (labels) => !isIn(labels);
  }
  const existence = EXISTENCE.exec(part);
  if (existence !== null) {
    const [, negation, key = ''] = existence;
    return (labels) => (labels[key] !== undefined) === (negation === '');
  }
  throw badRequest(`unable to parse requirement: couldn't parse the selector string "${part}"`);
}

function splitOutsideParentheses(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

const POD_FIELDS = [
  'spec.nodeName',
  'spec.restartPolicy',
  'spec.schedulerName',
  'spec.serviceAccountName',
  'status.phase',
  'status.podIP',
];
const EVENT_FIELDS = [
  'involvedObject.kind',
  'involvedObject.namespace',
  'involvedObject.name',
  'involvedObject.uid',
  'involvedObject.apiVersion',
  'involvedObject.resourceVersion',
  'involvedObject.fieldPath',
  'reason',
  'reportingComponent',
  'type',
];
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  Pod: POD_FIELDS,
  Event: [...EVENT_FIELDS, 'source'],
  Secret: ['type'],
  Namespace: ['status.phase'],
  Node: ['spec.unschedulable'],
  ReplicaSet: ['status.replicas'],
};

/** Field selectors know few fields, as on the real server: metadata.name, metadata.namespace and some per kind. */
export function fieldMatcher(kind: Kind, text: string | null): Matcher {
  if (text === null || text.trim() === '') return () => true;
  const known = ['metadata.name', 'metadata.namespace', ...(FIELDS[kind.kind] ?? [])];
  const parts = text.split(',').map((part) => {
    const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(part.trim());
    if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${part}'`);
    const [, field = '', operator, value = ''] = match;
    if (!known.includes(field)) {
      throw badRequest(
        `Unable to find "${groupVersion(kind)}, Resource=${kind.plural}" that match label selector "", field selector "${text}": field label not supported: ${field}`,
      );
    }
    const path = field === 'source' ? ['source', 'component'] : field.split('.');
    const unescaped = value.replaceAll(/\\([,=\\])/g, '$1');
    return (object: KubeObject) => (stringAt(object, ...path) === unescaped) === (operator !== '!=');
  });
  return (object) => parts.every((matches) => matches(object));
}
