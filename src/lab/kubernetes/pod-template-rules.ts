/** What the API server checks of the containers of a pod template: no request above its limit. */
import type { KubeObject } from '../world/kube-object.ts';
import { listAt, objectAt } from '../world/kube-object.ts';
import { parseQuantity } from '../world/quantity.ts';
import type { StatusCause } from './status.ts';

export function podTemplateCauses(object: KubeObject): StatusCause[] {
  return listAt(object, 'spec', 'template', 'spec', 'containers').flatMap((container, index) => {
    const field = `spec.template.spec.containers[${index}].resources`;
    const limits = objectAt(container, 'resources', 'limits');
    const requests = objectAt(container, 'resources', 'requests');
    return Object.entries(requests).flatMap(([name, amount]) => {
      const asked = parseQuantity(amount);
      const limit = parseQuantity(limits[name]);
      if (asked === undefined || limit === undefined || asked <= limit) return [];
      const message = `Invalid value: ${JSON.stringify(amount)}: must be less than or equal to ${name} limit of ${String(limits[name])}`;
      return [{ reason: 'FieldValueInvalid', message, field: `${field}.requests` }];
    });
  });
}
