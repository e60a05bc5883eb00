import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { HttpRequest, HttpResponse, HttpRoute } from '../contract/http.ts';
import type { Alert, Severity } from '../contract/incident.ts';
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
const Labels = z.record(z.string(), z.string());

/** Alerts of one delivery that are read, and that one incident keeps. A mass outage is not a reason to refuse it. */
const ALERTS_READ_MAX = 20_000;
const ALERTS_KEPT_MAX = 500;
/** Longest texts that an incident keeps of an alert, characters; longer ones are marked as cut. */
const TEXT_CHARS_MAX = 4000;
const NAME_CHARS_MAX = 200;
const GROUP_KEY_CHARS_MAX = 2000;
/** Reasons that one answer and one log line repeat. */
const REASONS_MAX = 10;

/** The wire format as recorded from Alertmanager 0.25 and documented for newer ones: unknown members are ignored. */
const Webhook = z.object({
  version: z.literal('4'),
  groupKey: z.string().min(1),
  status: z.enum(['firing', 'resolved']),
  receiver: z.string(),
  groupLabels: Labels,
  commonLabels: Labels,
  commonAnnotations: Labels,
  externalURL: z.string(),
  truncatedAlerts: z.number().int().min(0).default(0),
  alerts: z
    .array(
      z.object({
        status: z.enum(['firing', 'resolved']),
        labels: Labels,
        annotations: Labels,
        startsAt: z.iso.datetime({ offset: true }),
        endsAt: z.iso.datetime({ offset: true }),
        generatorURL: z.string().default(''),
        fingerprint: z.string().min(1).max(128),
      }),
    )
    .min(1)
    .max(ALERTS_READ_MAX),
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
      const reasons = refused.slice(0, REASONS_MAX);
      if (refused.length > 0)
        log.warn({ trigger: sender.settings.name, refused: refused.length, reasons }, 'alerts refused');
      if (batches.length === 0) return answer(403, refused[0] ?? 'no alert lies in a scope of this sender');
      try {
        const stored = await intake.alerts(batches);
        const duplicates = stored.filter((s) => s.duplicate).length;
        return json(200, { stored: stored.length - duplicates, duplicates, refused: reasons });
      } catch (error) {
        if (error instanceof z.ZodError)
          return answer(400, `not an alert: ${error.issues[0]?.message ?? ''}`);
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
  const groups = new Map<string, { place: AlertBatch['place']; alerts: RawAlert[] }>();
  const refused: string[] = [];
  for (const raw of webhook.alerts) {
    const place = placeAlert(raw.labels, settings);
    if (typeof place === 'string') {
      refused.push(`alert ${raw.fingerprint}: ${place}`);
      continue;
    }
    const key = JSON.stringify([place.team, place.env, place.cluster ?? null, place.namespace ?? null]);
    const group = groups.get(key) ?? { place, alerts: [] };
    group.alerts.push(raw);
    groups.set(key, group);
  }
  const batches = [...groups.values()].map(({ place, alerts }): AlertBatch => {
    const firing = alerts.filter((a) => a.status === 'firing');
    // What still fires comes first, so that it is not what a limit cuts off.
    const kept = [...firing, ...alerts.filter((a) => a.status === 'resolved')].slice(0, ALERTS_KEPT_MAX);
    const url = webhook.externalURL;
    return {
      trigger: settings.name,
      status: firing.length === 0 ? 'resolved' : 'firing',
      group_key: groupKeyOf(webhook.groupKey),
      ...(url === '' || url.length > TEXT_CHARS_MAX ? {} : { url }),
      title: titleOf(kept[0] as RawAlert),
      severity: worstSeverity(firing.length === 0 ? alerts : firing, settings),
      place,
      labels: clipped(webhook.groupLabels),
      alerts: kept.map(alertOf),
    };
  });
  return { batches, refused };
}

type RawAlert = Webhook['alerts'][number];

/** Long keys stay different keys: the tail is replaced by the hash of all of it. */
function groupKeyOf(key: string): string {
  if (key.length <= GROUP_KEY_CHARS_MAX) return key;
  return `${key.slice(0, GROUP_KEY_CHARS_MAX - 80)} sha256:${createHash('sha256').update(key).digest('hex')}`;
}

/** Of the alerts' own severities, the worst; a word that the configuration does not list is sev3. */
function worstSeverity(alerts: readonly RawAlert[], settings: AlertmanagerTrigger): Severity {
  const known = new Map(Object.entries(settings.severity));
  const found = alerts.map((a) => known.get(a.labels['severity'] ?? '') ?? 'sev3');
  return found.toSorted()[0] ?? 'sev3';
}

function titleOf(first: RawAlert): string {
  const summary = first.annotations['summary'] ?? '';
  const title = summary === '' ? nameOf(first) : `${nameOf(first)}: ${summary}`;
  return clip(title.replaceAll(/\s+/g, ' ').trim(), 300) || 'Alert';
}

const nameOf = (raw: RawAlert): string => clip(raw.labels['alertname'] ?? '', NAME_CHARS_MAX) || 'Alert';

function alertOf(raw: RawAlert): Alert {
  const ends = new Date(raw.endsAt);
  const url = raw.generatorURL;
  return {
    name: nameOf(raw),
    status: raw.status,
    fingerprint: raw.fingerprint,
    starts_at: new Date(raw.startsAt).toISOString(),
    // While it fires Alertmanager sends year 1.
    ...(ends.getUTCFullYear() <= 1 ? {} : { ends_at: ends.toISOString() }),
    labels: clipped(raw.labels),
    annotations: clipped(raw.annotations),
    ...(url === '' || url.length > TEXT_CHARS_MAX ? {} : { generator_url: url }),
  };
}

function clipped(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).map(([key, value]) => [clip(key, NAME_CHARS_MAX), clip(value, TEXT_CHARS_MAX)]),
  );
}

const clip = (text: string, max: number): string =>
  text.length <= max ? text : `${text.slice(0, max - 1)}…`;

function json(status: number, body: unknown): HttpResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

const answer = (status: number, error: string): HttpResponse => json(status, { error });
