import {
  ApprovalPayload,
  OutcomePayload,
  PlanPayload,
  RefusalPayload,
  TransitionPayload,
  VerifyPayload,
  type LedgerEntry,
} from '../contract/ledger.ts';
import { IncidentContext } from '../contract/incident.ts';
import { Findings } from '../contract/plan.ts';
import { code, plain } from './markdown.ts';

/** One line of the timeline: finished Markdown cells. */
export interface TimelineRow {
  readonly at: string;
  readonly who: string;
  readonly what: string;
}

export type Names = Readonly<Record<string, string>>;

const ROWS_MAX = 80;

/** What people and Aegis did, in the order of the ledger; reads and calls are counted elsewhere. */
export function timelineOf(entries: readonly LedgerEntry[], names: Names): TimelineRow[] {
  const rows = entries.flatMap((entry) => {
    const what = DESCRIBE[entry.kind]?.(entry.payload, names) ?? null;
    return what === null ? [] : [{ at: entry.at, who: whoIs(entry.actor, names), what }];
  });
  const first_alert = firstAlert(entries);
  const all = first_alert === null ? rows : [first_alert, ...rows];
  if (all.length <= ROWS_MAX) return all;
  const left_out = { at: '', who: '', what: `${all.length - ROWS_MAX} more entries: see the ledger` };
  return [...all.slice(0, ROWS_MAX / 2), left_out, ...all.slice(-ROWS_MAX / 2)];
}

/** `person:maria` -> the name in the identity map; `aegis:harness` -> Aegis. */
export function whoIs(actor: string, names: Names): string {
  const [kind, name = ''] = actor.split(/:(.*)/s);
  if (kind === 'person') return plain(Object.hasOwn(names, name) ? (names[name] as string) : name, 80);
  return kind === 'aegis' ? 'Aegis' : plain(actor, 80);
}

/** `2026-11-23T13:20:05.123Z` -> `2026-11-23 13:20:05`; anything else stays as it is, escaped. */
export function utc(at: string): string {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(at)
    ? `${at.slice(0, 10)} ${at.slice(11, 19)}`
    : plain(at, 40);
}

function firstAlert(entries: readonly LedgerEntry[]): TimelineRow | null {
  const opened = entries.find((entry) => entry.kind === 'event' && entry.payload['type'] === 'opened');
  const context = IncidentContext.safeParse(opened?.payload['context']);
  const alert = context.success
    ? context.data.alerts.toSorted((a, b) => (a.starts_at < b.starts_at ? -1 : 1))[0]
    : undefined;
  if (alert === undefined) return null;
  return { at: alert.starts_at, who: 'Monitoring', what: `Alert ${plain(alert.name, 100)} began` };
}

type Describe = (payload: Readonly<Record<string, unknown>>, names: Names) => string | null;

/** How each kind that a reader wants to see is told; other kinds are counted elsewhere. */
const DESCRIBE: Partial<Record<LedgerEntry['kind'], Describe>> = {
  event: describeEvent,
  transition: describeTransition,
  plan: describePlan,
  approval: describeApproval,
  refusal: describeRefusal,
  outcome: describeOutcome,
  verify: describeCheck,
};

function describeOutcome(payload: Readonly<Record<string, unknown>>): string | null {
  const parsed = OutcomePayload.safeParse(payload);
  if (!parsed.success) return null;
  const { change_id, phase, outcome } = parsed.data;
  return `${change_id} ${phase}: **${words(outcome.status)}**, ${plain(outcome.summary)}`;
}

function describeCheck(payload: Readonly<Record<string, unknown>>): string | null {
  const parsed = VerifyPayload.safeParse(payload);
  if (!parsed.success) return null;
  return `Check ${plain(parsed.data.title)}: **${parsed.data.status}** (${plain(parsed.data.found, 100)})`;
}

const BY_PERSON: Readonly<Record<string, string>> = {
  activated: 'Asked Aegis to investigate',
  stopped: 'Stopped it',
  resumed: 'Let it go on',
  plan_again: 'Asked for a new plan',
  handed_over: 'Took it over by hand',
};

function describeEvent(payload: Readonly<Record<string, unknown>>): string | null {
  const type = payload['type'];
  if (typeof type !== 'string') return null;
  if (Object.hasOwn(BY_PERSON, type)) {
    const reason =
      typeof payload['reason'] === 'string' && payload['reason'] !== ''
        ? `: ${plain(payload['reason'])}`
        : '';
    return `${BY_PERSON[type]}${reason}`;
  }
  if (type === 'opened') {
    const context = IncidentContext.safeParse(payload['context']);
    return context.success ? `Incident opened: ${plain(context.data.title)}` : 'Incident opened';
  }
  if (type === 'alerts')
    return payload['status'] === 'resolved' ? 'The alert resolved' : 'The alert fired again';
  if (type === 'effect_failed' && typeof payload['reason'] === 'string')
    return `Could not go on: ${plain(payload['reason'])}`;
  if (type !== 'investigated') return null;
  const findings = Findings.safeParse(payload['findings']);
  if (!findings.success || !findings.data.conclusive) return 'Investigated: no cause could be shown';
  return `Cause found: ${plain(findings.data.cause ?? '')}`;
}

function describeTransition(payload: Readonly<Record<string, unknown>>): string | null {
  const parsed = TransitionPayload.safeParse(payload);
  if (
    !parsed.success ||
    !['HALTED', 'CLOSED', 'EXECUTING', 'ROLLING_BACK', 'OBSERVING'].includes(parsed.data.to)
  )
    return null;
  return `**${words(parsed.data.to)}** (${plain(words(parsed.data.reason), 200)})`;
}

function describePlan(payload: Readonly<Record<string, unknown>>): string | null {
  const parsed = PlanPayload.safeParse(payload);
  if (!parsed.success) return null;
  const { plan, plan_hash, risk } = parsed.data;
  const intents = plan.actions.map((action) => plain(action.intent, 150)).join('; ');
  return `Plan ${plan.revision} ${code(plan_hash.slice(0, 12))}: ${intents}; blast radius ${risk.blast_radius_score}`;
}

function describeApproval(payload: Readonly<Record<string, unknown>>, names: Names): string | null {
  const parsed = ApprovalPayload.safeParse(payload);
  if (!parsed.success) return null;
  const data = parsed.data;
  if (data.type === 'opened')
    return `${data.request.approval_id} opened: ${neededWords(data.request.rule.people)}`;
  if (data.type === 'status') return `${data.approval_id} is **${data.status}**`;
  const { principal, role, decision, reason } = data.decision;
  const verb = { approve: 'approved', deny: 'denied', withdraw: 'withdrew from' }[decision];
  return `${whoIs(`person:${principal}`, names)} (${plain(role, 40)}) **${verb}** ${data.approval_id}${reason === '' ? '' : `: ${plain(reason)}`}`;
}

function neededWords(people: number): string {
  if (people === 0) return 'nobody is asked, under autonomy limited';
  return `${people} approval${people === 1 ? '' : 's'} needed`;
}

function describeRefusal(payload: Readonly<Record<string, unknown>>, names: Names): string | null {
  const parsed = RefusalPayload.safeParse(payload);
  if (!parsed.success) return null;
  const { by, about, reason } = parsed.data;
  const whose = by === null ? '' : ` to ${whoIs(`person:${by}`, names)}`;
  return `**Refused**${whose} (${plain(about, 80)}): ${plain(reason)}`;
}

function words(text: string): string {
  return text.toLowerCase().replaceAll('_', ' ');
}
