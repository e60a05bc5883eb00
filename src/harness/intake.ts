import { z } from 'zod';
import { hashOf } from '../contract/canonical.ts';
import { Alert, Severity } from '../contract/incident.ts';
import { DENY_REASON, DenyBecause, SignedDecision, statementHash } from '../contract/person-token.ts';
import { Name } from '../contract/scope.ts';
import { Refusal } from '../contract/verdict.ts';
import type { InboxStore } from '../store/store.ts';

/**
 * The front door of the harness. Whatever people, alerts and timers say becomes one durable inbox row; the caller may
 * acknowledge once the promise resolves. Nothing is decided here: the machine decides when the row is taken in.
 */
export const SlackAccount = z.strictObject({
  workspace: z.string(),
  user: z.string(),
  /** Facts from Slack (`users.info`), gathered by the listener; anything unknown is refused later. */
  is_bot: z.boolean(),
  is_guest: z.boolean(),
  is_deactivated: z.boolean(),
});
export type SlackAccount = z.infer<typeof SlackAccount>;

const Origin = z.strictObject({
  account: SlackAccount,
  channel: z.string(),
  /** Thread that the act belongs to, when it has one: refusals answer there. */
  thread_ts: z.string().nullable(),
});

const DecisionFields = {
  origin: Origin,
  incident_id: z.string(),
  approval_id: z.string(),
  /** What the person saw; compared with the store when the act is taken in. */
  revision: z.int(),
  plan_hash: z.string(),
};

/** What a person can do through Slack. */
export const PersonAct = z.discriminatedUnion('act', [
  /** Press Activate, `@aegis investigate` in a thread. */
  z.strictObject({ act: z.literal('activate'), origin: Origin, incident_id: z.string() }),
  /** `/aegis investigate <text>` or `@aegis investigate <text>` outside a thread: opens an incident in the channel's tenant. */
  z.strictObject({ act: z.literal('investigate'), origin: Origin, text: z.string().max(3000) }),
  z.strictObject({ act: z.literal('approve'), ...DecisionFields }),
  z.strictObject({
    act: z.literal('deny'),
    ...DecisionFields,
    reason: z.string().min(DENY_REASON.chars_min).max(DENY_REASON.chars_max),
    because: DenyBecause,
  }),
  z.strictObject({ act: z.literal('withdraw'), ...DecisionFields }),
  z.strictObject({
    act: z.literal('stop'),
    origin: Origin,
    incident_id: z.string(),
    reason: z.string().max(500),
  }),
  z.strictObject({ act: z.literal('plan_again'), origin: Origin, incident_id: z.string() }),
  z.strictObject({ act: z.literal('resume'), origin: Origin, incident_id: z.string() }),
  z.strictObject({ act: z.literal('hand_over'), origin: Origin, incident_id: z.string() }),
  /** `/aegis did <INC> <text>`, `@aegis did <text>` in a thread: what a person did by hand. */
  z.strictObject({
    act: z.literal('did'),
    origin: Origin,
    incident_id: z.string(),
    text: z.string().min(1).max(500),
  }),
  /** `/aegis raise <team/env/service>`: one of two people who let the ladder go up again. */
  z.strictObject({ act: z.literal('raise'), origin: Origin, place: z.string().min(1).max(300) }),
]);
export type PersonAct = z.infer<typeof PersonAct>;

/** A press that its listener refused before it could become an act: an old card, a dialog that is not ours, bytes sent twice. */
export const RefusedPress = z.strictObject({
  origin: Origin,
  approval_id: z.string().nullable(),
  about: z.string().max(100),
  refusal: Refusal,
  /** Whether the person still has to be told: a dialog says it itself. */
  tell: z.boolean(),
});
export type RefusedPress = z.infer<typeof RefusedPress>;

/** One alert group inside one scope, as a trigger has understood it. */
export const AlertBatch = z.strictObject({
  trigger: z.string(),
  /** Delivered status of the group. */
  status: z.enum(['firing', 'resolved']),
  group_key: z.string().max(2000),
  url: z.string().max(4000).optional(),
  title: z.string().min(1).max(300),
  severity: Severity,
  /** Chosen by the trigger's configuration; labels only selected inside it. */
  place: z.strictObject({
    team: Name,
    env: Name,
    cluster: Name.optional(),
    namespace: Name.optional(),
    service: Name.optional(),
  }),
  labels: z.record(z.string(), z.string()),
  alerts: z.array(Alert).min(1).max(500),
});
export type AlertBatch = z.infer<typeof AlertBatch>;

export interface Intake {
  /** Durable when it resolves. `dedup_key` must be stable over redeliveries of the same act. */
  person(act: PersonAct, dedup_key: string): Promise<{ inbox_id: string; duplicate: boolean }>;
  /** Leaves the refusal to the runner, which writes it into the ledger. The same key is written down once. */
  refused(press: RefusedPress, dedup_key: string): Promise<void>;
  /** All batches of one delivery in one transaction. Duplicates by (fingerprint, startsAt, status) change nothing. */
  alerts(batches: readonly AlertBatch[]): Promise<readonly { inbox_id: string; duplicate: boolean }[]>;
}

/** The intake over an inbox. Duplicates answer as the first one did. */
export function createIntake(inbox: Pick<InboxStore, 'append' | 'appendAll'>, wake: () => void): Intake {
  return {
    async person(act, dedup_key) {
      const incident_id = 'incident_id' in act ? act.incident_id : null;
      const answer = await inbox.append({
        source: 'slack',
        dedup_key: `person:${dedup_key}`,
        incident_id,
        kind: 'person',
        payload: PersonAct.parse(act),
      });
      wake();
      return answer;
    },
    async refused(press, dedup_key) {
      await inbox.append({
        source: 'slack',
        dedup_key: `refused:${dedup_key}`,
        incident_id: null,
        kind: 'refused',
        payload: RefusedPress.parse(press),
      });
      wake();
    },
    async alerts(batches) {
      const rows = batches.map((batch) => ({
        source: 'alertmanager' as const,
        dedup_key: `alerts:${alertsKey(batch)}`,
        incident_id: null,
        kind: 'alerts',
        payload: AlertBatch.parse(batch),
      }));
      const answers = await inbox.appendAll(rows);
      wake();
      return answers;
    },
  };
}

/** How a decision that was signed with a person's own token went. */
export type SignedAnswer =
  | { readonly state: 'pending' }
  | { readonly state: 'counted' }
  | { readonly state: 'refused'; readonly why: string };

export interface SignedIntake {
  /** Durable when it resolves. */
  put(decision: SignedDecision): Promise<{ inbox_id: string }>;
  answer(inbox_id: string): Promise<SignedAnswer>;
}

/** The door for decisions from outside Slack: the command line, and the page of the step-up. */
export function createSignedIntake(
  inbox: Pick<InboxStore, 'append' | 'ended'>,
  wake: () => void,
): SignedIntake {
  return {
    async put(decision) {
      const { inbox_id } = await inbox.append({
        source: decision.statement.via,
        dedup_key: signedKey(decision),
        incident_id: decision.statement.incident_id,
        kind: 'signed',
        payload: SignedDecision.parse(decision),
      });
      wake();
      return { inbox_id };
    },
    async answer(inbox_id) {
      const ended = await inbox.ended(inbox_id);
      if (ended?.state === 'pending') return { state: 'pending' };
      if (ended?.state === 'consumed' && ended.note === null) return { state: 'counted' };
      const why = ended?.note ?? 'It could not be taken in; look at the log of Aegis.';
      return { state: 'refused', why: why.replace(/^refused \([a-z0-9-]+\): /, '') };
    },
  };
}

/** The key follows from what was signed, so the same decision cannot be put in twice under another name. */
export function signedKey({ statement }: SignedDecision): string {
  return `signed:${statementHash(statement)}`;
}

/** A delivery says the same again when place, group and every alert's (fingerprint, startsAt, status) are the same. */
function alertsKey(batch: AlertBatch): string {
  const alerts = batch.alerts.map((a) => `${a.fingerprint} ${a.starts_at} ${a.status}`).toSorted();
  return hashOf([batch.trigger, batch.group_key, batch.place, batch.status, alerts]);
}
