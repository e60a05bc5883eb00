import type { Driver } from './driver.ts';
import { K8S_AUDIT_LOG } from './kubernetes/audit-log.ts';
import { K8S_CHANGES } from './kubernetes/changes.ts';
import { K8S_EVENTS, K8S_GET, K8S_LIST, K8S_LOGS } from './kubernetes/read-tools.ts';
import { K8S_CORDON, K8S_UNCORDON } from './kubernetes/cordon.ts';
import { K8S_DRAIN } from './kubernetes/drain.ts';
import { K8S_ROLLOUT_UNDO } from './kubernetes/rollout-undo.ts';
import { K8S_WATCH } from './kubernetes/watch.ts';
import { JOB_UPDATE_SPEC, K8S_PATCH, K8S_ROLLOUT_RESTART, K8S_SCALE } from './kubernetes/write-tools.ts';

/** `mcp://k8s/<cluster>/<namespace>/<kind>/<name>`: the Kubernetes API. */
export const KUBERNETES_DRIVER: Driver = {
  system: 'k8s',
  tools: [
    K8S_GET,
    K8S_LIST,
    K8S_EVENTS,
    K8S_LOGS,
    K8S_CHANGES,
    K8S_AUDIT_LOG,
    K8S_WATCH,
    JOB_UPDATE_SPEC,
    K8S_PATCH,
    K8S_SCALE,
    K8S_ROLLOUT_RESTART,
    K8S_ROLLOUT_UNDO,
    K8S_CORDON,
    K8S_UNCORDON,
    K8S_DRAIN,
  ],
};
