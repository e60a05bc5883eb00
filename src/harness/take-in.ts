import { isoTime } from '../contract/ports.ts';
import { rolesOf } from '../contract/settings.ts';
import type { Identity } from '../contract/settings.ts';
import { isRefusal, refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { IncidentRow, InboxRow } from '../store/store.ts';
import { identityOf } from './commit-of.ts';
import type { HarnessDeps } from './deps.ts';
import { HarnessEvent } from './events.ts';
import { requireMember, resolveAccount } from './identity.ts';
import { AlertBatch, PersonAct, RefusedPress } from './intake.ts';
import { followEffect, roleFor } from './decided.ts';
import { openFromAlerts, openFromPerson } from './open-incident.ts';
import { parseSnapshot } from './machine.ts';
import { splitBecause } from './shadow/cause.ts';
import { underLadder } from './shadow/ladder-facts.ts';
import { voteRaise } from './shadow/raise.ts';
import { takeSigned } from './take-signed.ts';

/** What an inbox row means: an event of an incident, or a refusal for the person who acted. */
export type TakenIn =
  | {
      readonly kind: 'event';
      readonly incident_id: string;
      readonly row: IncidentRow | null;
      readonly event: HarnessEvent;
      readonly actor: string;
      readonly origin: Origin | null;
    }
  | {
      readonly kind: 'refused';
      readonly incident_id: string | null;
      readonly refusal: Refusal;
      readonly by: string | null;
      readonly about: string;
      readonly origin: Origin | null;
    }
  /** Done outside of any incident; the sentence is for the person who acted. */
  | { readonly kind: 'told'; readonly note: string; readonly origin: Origin }
  | { readonly kind: 'nothing'; readonly note: string };

export type Origin = PersonAct['origin'];

/** Turns a durable row into an event. Reads configuration and store, decides nothing about the incident's course. */
export async function takeIn(deps: HarnessDeps, row: InboxRow): Promise<TakenIn> {
  if (!row.genuine) return forged('inbox row');
  if (row.kind === 'signed') return takeSigned(deps, row);
  if (row.kind === 'alerts') return takeAlerts(deps, AlertBatch.parse(row.payload), row.received_at_ms);
  if (row.kind === 'person') return takePerson(deps, PersonAct.parse(row.payload), row.received_at_ms);
  if (row.kind === 'refused') return takeRefused(deps, RefusedPress.parse(row.payload));
  const event = HarnessEvent.parse(row.payload);
  // What people decide is worked out here, from who they are; it never comes ready-made.
  if (event.type === 'decided') return forged(`${event.decision} ${event.approval_id}`);
  const incident = row.incident_id === null ? null : await deps.store.incidents.get(row.incident_id);
  if (incident === null) return { kind: 'nothing', note: `no incident ${row.incident_id}` };
  return {
    kind: 'event',
    incident_id: incident.incident_id,
    row: incident,
    event,
    actor: `aegis:${row.source}`,
    origin: null,
  };
}

function forged(about: string): TakenIn {
  const refusal = refuse(
    'forged-row',
    'A row of the inbox was written or changed by something that is not Aegis; it counts for nothing.',
    'Find out who can write to AEGIS_HOME, and compare the database with a backup.',
  );
  return { kind: 'refused', incident_id: null, refusal, by: null, about, origin: null };
}

async function takeAlerts(deps: HarnessDeps, batch: AlertBatch, at_ms: number): Promise<TakenIn> {
  const identity = identityOf({ trigger: batch.trigger, group_key: batch.group_key }, batch.place);
  const open = await deps.store.incidents.findOpen(identity);
  const actor = `system:${batch.trigger}`;
  if (open !== null)
    return {
      kind: 'event',
      incident_id: open.incident_id,
      row: open,
      event: { type: 'alerts', at: isoTime(at_ms), status: batch.status, alerts: batch.alerts },
      actor,
      origin: null,
    };
  if (batch.status === 'resolved')
    return { kind: 'nothing', note: 'resolved, and no incident is open for it' };
  const latest = await deps.store.incidents.findLatest(identity);
  const incident_id = await deps.store.incidents.allocateId(at_ms);
  const context = await underLadder(
    deps,
    openFromAlerts(deps.settings, batch, incident_id, at_ms, latest?.incident_id ?? null),
  );
  const channel = channelOf(deps, batch.place);
  return {
    kind: 'event',
    incident_id,
    row: null,
    event: { type: 'opened', at: isoTime(at_ms), context, channel },
    actor,
    origin: null,
  };
}

async function takePerson(deps: HarnessDeps, act: PersonAct, at_ms: number): Promise<TakenIn> {
  const identity = resolveAccount(deps.settings.identity, deps.settings.slack.workspace, act.origin.account);
  const incident_id = 'incident_id' in act ? act.incident_id : null;
  if (isRefusal(identity))
    return { kind: 'refused', incident_id, refusal: identity, by: null, about: act.act, origin: act.origin };
  if (act.act === 'investigate') return takeInvestigate(deps, act, identity, at_ms);
  if (act.act === 'raise') return takeRaise(deps, act, identity);
  const row = await deps.store.incidents.get(act.incident_id);
  const missing = refuse(
    'no-such-incident',
    `There is no incident ${act.incident_id} that you can see.`,
    'Check the id with /aegis status.',
  );
  if (row === null || rolesOf(identity, row.team, row.env).length === 0)
    return {
      kind: 'refused',
      incident_id: row?.incident_id ?? null,
      refusal: missing,
      by: identity.principal,
      about: act.act,
      origin: act.origin,
    };
  const event = await followEffect(deps, row, eventOf(act, identity, row, isoTime(at_ms)));
  return {
    kind: 'event',
    incident_id: row.incident_id,
    row,
    event,
    actor: `person:${identity.principal}`,
    origin: act.origin,
  };
}

async function takeRefused(deps: HarnessDeps, press: RefusedPress): Promise<TakenIn> {
  const { origin, approval_id, about, refusal, tell } = press;
  const identity = resolveAccount(deps.settings.identity, deps.settings.slack.workspace, origin.account);
  const approval = approval_id === null ? null : await deps.store.approvals.get(approval_id);
  return {
    kind: 'refused',
    incident_id: approval?.incident_id ?? null,
    refusal,
    by: isRefusal(identity) ? null : identity.principal,
    about: approval_id === null ? about : `${about} ${approval_id}`,
    origin: tell ? origin : null,
  };
}

async function takeInvestigate(
  deps: HarnessDeps,
  act: Extract<PersonAct, { act: 'investigate' }>,
  identity: Identity,
  at_ms: number,
): Promise<TakenIn> {
  const by = identity.principal;
  const place = placeOfChannel(deps, act.origin.channel);
  const refusal =
    place === null
      ? refuse(
          'no-tenant',
          'This channel belongs to no team and environment.',
          'Ask in the channel of a service.',
        )
      : requireMember(identity, place.team, place.env);
  if (place === null || refusal !== null)
    return {
      kind: 'refused',
      incident_id: null,
      refusal: refusal as Refusal,
      by,
      about: 'investigate',
      origin: act.origin,
    };
  const incident_id = await deps.store.incidents.allocateId(at_ms);
  const asked = { place, text: act.text, by, incident_id, now_ms: at_ms };
  const context = await underLadder(deps, openFromPerson(deps.settings, asked));
  // Asking is activating: nobody has to press a button after having asked.
  const event: HarnessEvent = {
    type: 'opened',
    at: isoTime(at_ms),
    context: { ...context, activation: 'auto' },
    channel: channelOf(deps, place),
  };
  return { kind: 'event', incident_id, row: null, event, actor: `person:${by}`, origin: act.origin };
}

async function takeRaise(
  deps: HarnessDeps,
  act: Extract<PersonAct, { act: 'raise' }>,
  identity: Identity,
): Promise<TakenIn> {
  const answer = await voteRaise(deps, identity, act.place);
  if (typeof answer === 'string') return { kind: 'told', note: answer, origin: act.origin };
  const about = `raise ${act.place.slice(0, 100)}`;
  const { principal } = identity;
  return { kind: 'refused', incident_id: null, refusal: answer, by: principal, about, origin: act.origin };
}

function eventOf(
  act: Exclude<PersonAct, { act: 'investigate' | 'raise' }>,
  identity: Identity,
  row: IncidentRow,
  at: string,
): HarnessEvent {
  const by = identity.principal;
  switch (act.act) {
    case 'activate':
      return { type: 'activated', at, by };
    case 'stop':
      return { type: 'stopped', at, by, reason: act.reason };
    case 'plan_again':
      return { type: 'plan_again', at, by };
    case 'resume':
      return { type: 'resumed', at, by, recounts: true };
    case 'hand_over':
      return { type: 'handed_over', at, by };
    case 'did':
      return { type: 'did', at, by, ...splitBecause(act.text) };
    case 'approve':
    case 'deny':
    case 'withdraw': {
      const { approval_id, revision, plan_hash } = act;
      const role = roleFor(parseSnapshot(row.snapshot), rolesOf(identity, row.team, row.env));
      const because = act.act === 'deny' ? act.because : null;
      const reason = act.act === 'deny' ? act.reason : '';
      return {
        type: 'decided',
        at,
        by,
        approval_id,
        revision,
        plan_hash,
        decision: act.act,
        via: 'slack',
        role,
        reason,
        because,
      };
    }
  }
}

function channelOf(deps: HarnessDeps, place: { team: string; env: string }): string {
  return (
    deps.settings.teams[place.team]?.environments[place.env]?.channel ?? deps.settings.slack.fallback_channel
  );
}

function placeOfChannel(deps: HarnessDeps, channel: string): { team: string; env: string } | null {
  for (const [team, { environments }] of Object.entries(deps.settings.teams))
    for (const [env, environment] of Object.entries(environments))
      if (environment.channel === channel) return { team, env };
  return null;
}
