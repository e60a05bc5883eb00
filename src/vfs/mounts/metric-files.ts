/** The metrics files: what each shows, as PromQL over the series of one namespace (the gateway adds its matcher). */
export interface MetricFile {
  readonly name: string;
  readonly unit: string;
  /** Name of the value and, where there is one, of its limit. */
  readonly value: string;
  readonly limit: string | null;
  readonly value_metric: string;
  readonly limit_metric: string | null;
  /** Label matchers of value and limit besides the pod or resource. */
  readonly value_matchers: readonly string[];
  readonly limit_matchers: readonly string[];
  /** A counter is shown as its rate per second. */
  readonly counter: boolean;
}

const REAL_CONTAINER = ['container!=""', 'container!="POD"'];

export const POD_FILES: readonly MetricFile[] = [
  {
    name: 'memory.prom',
    unit: 'bytes',
    value: 'working_set_bytes',
    limit: 'limit_bytes',
    value_metric: 'container_memory_working_set_bytes',
    limit_metric: 'container_spec_memory_limit_bytes',
    value_matchers: REAL_CONTAINER,
    limit_matchers: REAL_CONTAINER,
    counter: false,
  },
  {
    name: 'cpu.prom',
    unit: 'cores',
    value: 'cores',
    limit: 'limit_cores',
    value_metric: 'container_cpu_usage_seconds_total',
    limit_metric: 'kube_pod_container_resource_limits',
    value_matchers: REAL_CONTAINER,
    limit_matchers: ['resource="cpu"'],
    counter: true,
  },
  {
    name: 'restarts.prom',
    unit: 'restarts',
    value: 'restarts',
    limit: null,
    value_metric: 'kube_pod_container_status_restarts_total',
    limit_metric: null,
    value_matchers: [],
    limit_matchers: [],
    counter: false,
  },
];

export const QUOTA_FILE: MetricFile = {
  name: 'quota.prom',
  unit: 'bytes, cores or objects',
  value: 'used',
  limit: 'hard',
  value_metric: 'kube_resourcequota',
  limit_metric: 'kube_resourcequota',
  value_matchers: ['type="used"'],
  limit_matchers: ['type="hard"'],
  counter: false,
};
