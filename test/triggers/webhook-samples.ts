import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HttpRequest } from '../../src/contract/http.ts';
import type { Log } from '../../src/contract/ports.ts';
import { Secret } from '../../src/contract/secret.ts';
import { AlertmanagerTrigger } from '../../src/contract/settings.ts';
import type { AlertBatch, Intake } from '../../src/harness/intake.ts';
import type { AlertmanagerSender } from '../../src/triggers/alertmanager.ts';

/** Bodies as a real Alertmanager 0.25 sent them, recorded; a copy each time, so that a test may change it. */
export type Recorded = 'firing_single' | 'firing_grouped' | 'firing_flag' | 'resolved';

export interface Body {
  status: string;
  groupKey: string;
  alerts: {
    status: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
    startsAt: string;
    endsAt: string;
    generatorURL: string;
    fingerprint: string;
  }[];
  groupLabels: Record<string, string>;
  commonLabels: Record<string, string>;
  externalURL: string;
  version: string;
  [key: string]: unknown;
}

const FILE = join(import.meta.dirname, '..', 'fixtures', 'recorded', 'alertmanager-webhook.json');

export function recorded(name: Recorded): Body {
  const all = JSON.parse(readFileSync(FILE, 'utf8')) as Record<Recorded, { body: Body }>;
  return all[name].body;
}

/** Senders as aegis.yaml would name them: one for payments, one for fraud's staging. */
export function sender(
  name: string,
  secret: string,
  scopes: unknown,
  more: Record<string, unknown> = {},
): AlertmanagerSender {
  const settings = AlertmanagerTrigger.parse({
    kind: 'alertmanager',
    name,
    secret: { env: 'X' },
    scopes,
    ...more,
  });
  return { settings, secret: new Secret(secret) };
}

export const PAYMENTS = sender('payments-alerts', 'payments-secret', [
  { team: 'payments', env: 'prod', cluster: 'demo', namespaces: ['checkout', 'ledger'] },
]);
export const FRAUD = sender('fraud-alerts', 'fraud-secret', [
  { team: 'fraud', env: 'staging', cluster: 'demo' },
]);

export function post(body: unknown, secret: string | null = 'payments-secret'): HttpRequest {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    method: 'POST',
    path: '/hooks/alertmanager',
    headers: secret === null ? {} : { authorization: `Bearer ${secret}` },
    body: Buffer.from(text),
  };
}

/** An intake that keeps what it is given; the real one stands in other tests. */
export function keepingIntake(): Intake & { readonly batches: AlertBatch[] } {
  const batches: AlertBatch[] = [];
  return {
    batches,
    person: () => Promise.reject(new Error('no person here')),
    refused: () => Promise.reject(new Error('no person here')),
    alerts(given) {
      batches.push(...given);
      return Promise.resolve(given.map((_, n) => ({ inbox_id: `in_${n + 1}`, duplicate: false })));
    },
  };
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
