import { SLACK_TRIGGER } from '../contract/budgets.ts';
import type { IncidentContext } from '../contract/incident.ts';
import { isoTime } from '../contract/ports.ts';
import type { Service, Settings } from '../contract/settings.ts';
import { environmentOf } from './deps.ts';
import type { AlertBatch } from './intake.ts';

/**
 * An alert group or a person's request as an IncidentContext. Pure: scope, autonomy, budget and approval policy come
 * from configuration and are frozen here; of the alert only words are kept.
 */
export function openFromAlerts(
  settings: Settings,
  batch: AlertBatch,
  incident_id: string,
  now_ms: number,
  recurrence_of: string | null,
): IncidentContext {
  const { place } = batch;
  const first = batch.alerts[0];
  return {
    ...frame(settings, place, incident_id, now_ms),
    source: {
      trigger: batch.trigger,
      fingerprint: first?.fingerprint ?? '',
      group_key: batch.group_key,
      ...(batch.url === undefined ? {} : { url: batch.url }),
    },
    title: batch.title,
    severity: batch.severity,
    scope: scopeOf(settings, place, batch.labels),
    involved: [],
    alerts: batch.alerts,
    recurrence_of,
  };
}

export function openFromPerson(
  settings: Settings,
  input: {
    readonly place: { team: string; env: string };
    readonly text: string;
    readonly by: string;
    readonly incident_id: string;
    readonly now_ms: number;
  },
): IncidentContext {
  return {
    ...frame(settings, input.place, input.incident_id, input.now_ms),
    source: { trigger: SLACK_TRIGGER, fingerprint: '', group_key: input.incident_id },
    title: input.text.replaceAll(/\s+/g, ' ').trim().slice(0, 300) || 'Investigation',
    severity: 'sev3',
    scope: scopeOf(settings, input.place, {}),
    involved: [{ principal: input.by, role: 'starter' }],
    alerts: [],
    recurrence_of: null,
  };
}

type Frame = Omit<
  IncidentContext,
  'source' | 'title' | 'severity' | 'scope' | 'involved' | 'alerts' | 'recurrence_of'
>;

function frame(
  settings: Settings,
  place: { team: string; env: string; service?: string | undefined },
  incident_id: string,
  now_ms: number,
): Frame {
  const environment = environmentOf(settings, place);
  const slo = serviceOf(settings, place)?.slo;
  return {
    v: 1,
    incident_id,
    ...(slo === undefined ? {} : { slo }),
    on_call: environment.on_call,
    change_window: environment.change_window,
    freeze: null,
    budget: environment.budget,
    approval_policy: environment.approval_policy,
    autonomy: environment.autonomy,
    activation: environment.activation,
    opened_at: isoTime(now_ms),
  };
}

function scopeOf(
  settings: Settings,
  place: AlertBatch['place'],
  labels: Record<string, string>,
): IncidentContext['scope'] {
  const environment = environmentOf(settings, place);
  const service = serviceOf(settings, place);
  const cluster = place.cluster ?? service?.cluster;
  const namespace = place.namespace ?? service?.namespace;
  return {
    team: place.team,
    env: place.env,
    tier: service?.tier ?? environment.tier,
    ...(environment.region === undefined ? {} : { region: environment.region }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(place.service === undefined ? {} : { service: place.service }),
    labels: Object.fromEntries(
      Object.entries(labels)
        .slice(0, 50)
        .map(([k, v]) => [k.slice(0, 200), v.slice(0, 1000)]),
    ),
  };
}

function serviceOf(
  settings: Settings,
  place: { team: string; env: string; service?: string | undefined },
): Service | undefined {
  return settings.services.find(
    (s) => s.team === place.team && s.env === place.env && s.name === place.service,
  );
}
