import { matchesNode } from '../../contract/node-pattern.ts';
import { parseTarget } from '../../contract/tool.ts';
import type { Gate } from './gate.ts';
import { passed, refused } from './gate.ts';

/** Every target lies in a namespace that configuration mounts for the incident's team and environment. */
export const targetScopeGate: Gate = {
  gate: 'target-scope',
  title: 'Targets belong to this team',
  check({ plan, mounts, incident }) {
    for (const action of plan.actions) {
      const target = parseTarget(action.target);
      const owned = mounts.some(
        (m) =>
          'cluster' in m &&
          m.cluster === target.cluster &&
          (target.kind === 'node'
            ? m.kind === 'kubernetes' && (m.nodes ?? []).some((pattern) => matchesNode(pattern, target.name))
            : m.namespaces.includes(target.namespace)),
      );
      if (!owned)
        return refused(
          `${action.target} is outside ${incident.scope.team}/${incident.scope.env}.`,
          'Only namespaces and nodes that a mount of this team and environment names can be changed from its incidents.',
        );
    }
    return passed(`${incident.scope.team}/${incident.scope.env}`);
  },
};
