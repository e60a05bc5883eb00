import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { HttpRequest, HttpResponse, HttpRoute } from '../contract/http.ts';
import type { Alert } from '../contract/incident.ts';
import { parseJsonText } from '../contract/parse.ts';
import type { Log } from '../contract/ports.ts';
import type { Secret } from '../contract/secret.ts';
import type { AlertmanagerTrigger } from '../contract/settings.ts';
import type { AlertBatch, Intake } from '../harness/intake.ts';
import { placeAlert } from './place.ts';

/**
 * `POST /hooks/alertmanager`: Alertmanager's webhook, version 4. Its bearer secret names the sender and with it the
 * scopes that it may speak for; labels only select inside them. 200 is answered after the alert is durable, 400 with a
 * reason for what is not a webhook, 401 for a wrong secret, 503 when it could not be stored (Alertmanager sends again).
 */
const Labels = z.record(z.string().max(200), z.string().max(4000));

/** The wire format as recorded from Alertmanager 0.25 and documented for newer ones: unknown members are ignored. */
const Webhook = z.object({
  version: z.literal('4'),
  groupKey: z.string().min(1).max(2000),
  status: z.enum(['firing', 'resolved']),
  receiver: z.string().max(200),
  groupLabels: Labels,
  commonLabels: Labels,
  commonAnnotations: Labels,
  externalURL: z.string().max(2000),
  truncatedAlerts: z.number().int().min(0).default(0),
  alerts: z
    .array(
      z.object({
        status: z.enum(['firing', 'resolved']),
        labels: Labels,
        annotations: Labels,
        startsAt: z.iso.datetime({ offset: true }),
        endsAt: z.iso.datetime({ offset: true }),
        generatorURL: z.string().max(4000).default(''),
        fingerprint: z.string().min(1).max(128),
      }),
    )
    .min(1)
    .max(500),
});
type Webhook = z.infer<typeof Webhook>;

/** Largest body that is read. Alertmanager's own `max_alerts` keeps it far smaller. */
const BODY_BYTES_MAX = 2_000_000;

export interface AlertmanagerSender {
  readonly settings: AlertmanagerTrigger;
  readonly secret: Secret;
}

export function alertmanagerRoute(
  senders: readonly AlertmanagerSender[],
  intake: Intake,
  log: Log,
): HttpRoute {
  return {
    method: 'POST',
    path: '/hooks/alertmanager',
    body_bytes_max: BODY_BYTES_MAX,
    async handle(request) {
      const sender = senders.find((s) => bearerEquals(request, s.secret));
      if (sender === undefined)
        return answer(
          401,
          'the Authorization header carries no secret that aegis.yaml knows; set `http_config.authorization` in Alertmanager',
        );
      const parsed = parseWebhook(request.body);
      if (typeof parsed === 'string') return answer(400, parsed);
      const { batches, refused } = batchesOf(parsed, sender.settings);
      for (const reason of refused) log.warn({ trigger: sender.settings.name, reason }, 'alert refused');
      if (batches.length === 0) return answer(403, refused[0] ?? 'no alert lies in a scope of this sender');
      try {
        const stored = await intake.alerts(batches);
        return {
          status: 200,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            stored: stored.filter((s) => !s.duplicate).length,
            duplicates: stored.filter((s) => s.duplicate).length,
            refused,
          }),
        };
      } catch (error) {
        log.error({ trigger: sender.settings.name, error: String(error) }, 'alert could not be stored');
        return answer(503, 'the alert could not be stored; send it again');
      }
    },
  };
}

/** Compares digests, so that neither length nor prefix of the secret can be measured. */
function bearerEquals(request: HttpRequest, secret: Secret): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(request.headers['authorization'] ?? ''), digest(`Bearer ${secret.reveal()}`));
}

function parseWebhook(body: Buffer): Webhook | string {
  const json = parseJsonText(body.toString('utf8'), {
    bytes_max: BODY_BYTES_MAX,
    depth_max: 8,
    keys_max: 100_000,
  });
  if (!json.ok) return `the body is ${json.reason}`;
  const webhook = Webhook.safeParse(json.value);
  if (webhook.success) return webhook.data;
  const issue = webhook.error.issues[0];
  return `not an Alertmanager webhook of version 4: ${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'invalid'}`;
}

/** Splits a group by the place of its alerts: a group with mixed scopes becomes several incidents. */
function batchesOf(
  webhook: Webhook,
  settings: AlertmanagerTrigger,
): { batches: AlertBatch[]; refused: string[] } {
  const groups = new Map<string, { place: AlertBatch['place']; alerts: Alert[] }>();
  const refused: string[] = [];
  for (const raw of webhook.alerts) {
    const place = placeAlert(raw.labels, settings);
    if (typeof place === 'string') {
      refused.push(`alert ${raw.fingerprint}: ${place}`);
      continue;
    }
    const key = JSON.stringify([place.team, place.env, place.cluster ?? null, place.namespace ?? null]);
    const group = groups.get(key) ?? { place, alerts: [] };
    group.alerts.push(alertOf(raw));
    groups.set(key, group);
  }
  const batches = [...groups.values()].map(({ place, alerts }): AlertBatch => {
    const labels = webhook.commonLabels;
    return {
      trigger: settings.name,
      status: alerts.every((a) => a.status === 'resolved') ? 'resolved' : 'firing',
      group_key: webhook.groupKey,
      url: webhook.externalURL,
      title: titleOf(webhook, alerts[0]),
      severity: settings.severity[labels['severity'] ?? ''] ?? 'sev3',
      place,
      labels: webhook.groupLabels,
      alerts,
    };
  });
  return { batches, refused };
}

function titleOf(webhook: Webhook, first: Alert | undefined): string {
  const name = first?.name ?? webhook.commonLabels['alertname'] ?? 'Alert';
  const summary = first?.annotations['summary'] ?? webhook.commonAnnotations['summary'] ?? '';
  const title = summary === '' ? name : `${name}: ${summary}`;
  return title.replaceAll(/\s+/g, ' ').slice(0, 300);
}

function alertOf(raw: Webhook['alerts'][number]): Alert {
  const ends = new Date(raw.endsAt);
  return {
    name: raw.labels['alertname']?.slice(0, 200) || 'Alert',
    status: raw.status,
    fingerprint: raw.fingerprint,
    starts_at: new Date(raw.startsAt).toISOString(),
    // While it fires Alertmanager sends year 1.
    ...(ends.getUTCFullYear() <= 1 ? {} : { ends_at: ends.toISOString() }),
    labels: raw.labels,
    annotations: raw.annotations,
    ...(raw.generatorURL === '' ? {} : { generator_url: raw.generatorURL }),
  };
}

function answer(status: number, error: string): HttpResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ error }) };
}
