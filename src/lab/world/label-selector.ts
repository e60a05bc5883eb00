/** `metav1.LabelSelector`: how controllers and budgets name their pods. An empty one matches everything. */
import type { JsonObject, KubeObject } from './kube-object.ts';
import { listAt, objectAt, stringAt } from './kube-object.ts';

export function selectsLabels(selector: JsonObject, object: KubeObject): boolean {
  const labels = object.metadata.labels ?? {};
  const wanted = Object.entries(objectAt(selector, 'matchLabels'));
  return (
    wanted.every(([key, value]) => labels[key] === value) &&
    listAt(selector, 'matchExpressions').every((expression) => meets(expression, labels))
  );
}

function meets(expression: unknown, labels: Readonly<Record<string, string>>): boolean {
  const value = labels[stringAt(expression, 'key')];
  const values = listAt(expression, 'values');
  switch (stringAt(expression, 'operator')) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}
