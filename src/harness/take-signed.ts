import { isoTime } from '../contract/ports.ts';
import { provesDecision, SignedDecision, statementHash } from '../contract/person-token.ts';
import type { DecisionStatement } from '../contract/person-token.ts';
import { isRefusal, refuse } from '../contract/verdict.ts';
import type { Refusal } from '../contract/verdict.ts';
import type { InboxRow } from '../store/store.ts';
import { followEffect, roleFor } from './decided.ts';
import type { HarnessDeps } from './deps.ts';
import type { HarnessEvent } from './events.ts';
import { rolesOf } from '../contract/settings.ts';
import { signedKey } from './intake.ts';
import { parseSnapshot } from './machine.ts';
import type { TakenIn } from './take-in.ts';

/** Between signing a decision and writing it down; more means that an old one was put in again. */
const SIGNED_BEFORE_MS_MAX = 120_000;

/**
 * A decision from outside Slack. The row proves nothing by lying there: its token must be in force now, the signature
 * must be the token's over exactly this decision, and it must not have counted before. Then it is judged like a click.
 */
export async function takeSigned(deps: HarnessDeps, row: InboxRow): Promise<TakenIn> {
  const signed = SignedDecision.safeParse(row.payload);
  if (!signed.success) return refused(NOT_A_DECISION, null, null, 'decision');
  const { statement } = signed.data;
  const { decision, approval_id, via } = statement;
  const about = `${decision} ${approval_id} (${via})`;
  const grant = await deps.store.persons.byId(statement.token_id);
  // Before the signature has been checked nothing of the row is believed, not even which incident it is about.
  if (isRefusal(grant)) return refused(grant, null, null, about);
  if (!provesDecision(signed.data, grant.public_key)) return refused(NOT_SIGNED, null, null, about);
  const by = grant.principal;
  const incident = await deps.store.incidents.get(statement.incident_id);
  const identity = deps.settings.identity.find((i) => i.principal === by);
  const roles =
    incident === null || identity === undefined ? [] : rolesOf(identity, incident.team, incident.env);
  const incident_id = incident?.incident_id ?? null;
  if (identity === undefined) return refused(UNKNOWN_PERSON, incident_id, by, about);
  if (incident === null || roles.length === 0) return refused(NO_INCIDENT, incident_id, by, about);
  const snapshot = parseSnapshot(incident.snapshot);
  const again = replayProblem(signed.data, row, snapshot.context.approval);
  if (again !== null) return refused(again, incident_id, by, about);
  const role = roleFor(snapshot, roles);
  const event = await followEffect(
    deps,
    incident,
    decidedEvent(statement, by, role, isoTime(row.received_at_ms)),
  );
  return {
    kind: 'event',
    incident_id: incident.incident_id,
    row: incident,
    event,
    actor: `person:${by}`,
    origin: null,
  };
}

const NOT_A_DECISION = refuse(
  'not-a-decision',
  'What was written into the inbox is not a decision that Aegis knows.',
  'Use the aegis of the version that runs.',
);
const NOT_SIGNED = refuse(
  'forged-decision',
  'This decision was not made with the token that it names, or was changed afterwards.',
  'Find out who can write to AEGIS_HOME. Nothing was decided.',
);
const UNKNOWN_PERSON = refuse(
  'unknown-person',
  'The person of this token is no longer in Aegis’s identity map.',
  'Ask an admin to add them under `identity` in aegis.yaml.',
);
const NO_INCIDENT = refuse(
  'no-such-incident',
  'There is no such incident that this person can see.',
  'Check the id with /aegis status.',
);

function refused(refusal: Refusal, incident_id: string | null, by: string | null, about: string): TakenIn {
  return { kind: 'refused', incident_id, refusal, by, about, origin: null };
}

function replayProblem(
  signed: SignedDecision,
  row: InboxRow,
  approval: { effect_hash: string; decisions: readonly { token?: unknown }[] } | null,
): Refusal | null {
  const { statement } = signed;
  const hash = statementHash(statement);
  const counted = approval?.decisions.some(
    ({ token }) => (token as { statement_sha256: string } | undefined)?.statement_sha256 === hash,
  );
  const age_ms = row.received_at_ms - Date.parse(statement.at);
  if (counted === true || row.dedup_key !== signedKey(signed) || Math.abs(age_ms) > SIGNED_BEFORE_MS_MAX)
    return refuse(
      'received-before',
      'This very decision was made before; it counts once, and not again after it was withdrawn.',
      'Decide again if you mean it.',
    );
  if (approval !== null && approval.effect_hash !== statement.effect_hash)
    return refuse(
      'wrong-effect-hash',
      'This decision is about another effect than the one that waits for approval.',
      'Look at the newest plan and decide again.',
    );
  return null;
}

function decidedEvent(s: DecisionStatement, by: string, role: string, at: string): HarnessEvent {
  return {
    type: 'decided',
    at,
    by,
    approval_id: s.approval_id,
    revision: s.revision,
    plan_hash: s.plan_hash,
    decision: s.decision,
    via: s.via,
    role,
    reason: s.reason,
    because: s.because,
    token: { token_id: s.token_id, statement_sha256: statementHash(s) },
  };
}
