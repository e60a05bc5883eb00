/** What the API server makes of a written object by itself: no empty maps in metadata, quantities in canonical form. */
import type { JsonObject, KubeObject } from '../world/kube-object.ts';
import { isObject } from '../world/kube-object.ts';
import { canonicalQuantity } from './canonical-quantity.ts';

export function asStored(object: KubeObject): KubeObject {
  const next: KubeObject = { ...object, metadata: bareMeta(object.metadata) };
  // `omitempty`: a node that may be scheduled to has no such field.
  if (next.kind === 'Node' && next.spec?.['unschedulable'] === false) {
    const { unschedulable: _default, ...spec } = next.spec;
    return { ...next, spec };
  }
  const template = next.spec?.['template'];
  if (!isObject(template)) return next;
  return { ...next, spec: { ...next.spec, template: storedTemplate(template) } };
}

function storedTemplate(template: JsonObject): JsonObject {
  const { metadata, spec } = template;
  const stored: JsonObject = { ...template };
  if (isObject(metadata)) stored['metadata'] = bareMeta(metadata);
  if (isObject(spec) && Array.isArray(spec['containers']))
    stored['spec'] = { ...spec, containers: spec['containers'].map(storedContainer) };
  return stored;
}

function storedContainer(container: unknown): unknown {
  if (!isObject(container) || !isObject(container['resources'])) return container;
  const resources = Object.entries(container['resources']).map(([part, amounts]) => [
    part,
    isObject(amounts)
      ? Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, canonicalQuantity(amount)]))
      : amounts,
  ]);
  return { ...container, resources: Object.fromEntries(resources) as JsonObject };
}

/** ObjectMeta's maps are `omitempty`: removing the last annotation of a template removes the map as well. */
function bareMeta<Meta extends object>(metadata: Meta): Meta {
  const isEmptyMap = (value: unknown): boolean => isObject(value) && Object.keys(value).length === 0;
  return Object.fromEntries(
    Object.entries(metadata).filter(
      ([key, value]) => !(['annotations', 'labels'].includes(key) && isEmptyMap(value)),
    ),
  ) as Meta;
}
