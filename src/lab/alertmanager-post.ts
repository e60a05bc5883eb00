/** What a world's Alertmanager posts for one alert: its webhook of version 4, grouped by name and namespace. */
export interface ToldAlert {
  readonly labels: Readonly<Record<string, string>> & {
    readonly alertname: string;
    readonly namespace: string;
  };
  readonly annotations: Readonly<Record<string, string>>;
  /** The alert has been firing for this long when it is posted. */
  readonly firing_for_ms: number;
  readonly expression: string;
  readonly fingerprint: string;
}

export function alertmanagerPost(alert: ToldAlert, now_ms: number, status: 'firing' | 'resolved'): unknown {
  const { labels, annotations, firing_for_ms, expression, fingerprint } = alert;
  const { alertname, namespace } = labels;
  return {
    version: '4',
    receiver: 'aegis',
    status,
    groupKey: `{}:{alertname="${alertname}", namespace="${namespace}"}`,
    truncatedAlerts: 0,
    groupLabels: { alertname, namespace },
    commonLabels: labels,
    commonAnnotations: annotations,
    externalURL: 'http://alertmanager.example:9093',
    alerts: [
      {
        status,
        labels,
        annotations,
        startsAt: new Date(now_ms - firing_for_ms).toISOString(),
        endsAt: status === 'firing' ? '0001-01-01T00:00:00Z' : new Date(now_ms).toISOString(),
        generatorURL: `http://prometheus.example:9090/graph?g0.expr=${expression}`,
        fingerprint,
      },
    ],
  };
}
