// The root card: what, where in the state machine, facts, cause, buttons, foot. One per incident, edited in place.
import type { Button, KnownBlock } from '@slack/types';
import type { IncidentState } from '../../contract/incident.ts';
import type { IncidentNotice } from '../../contract/notice.ts';
import { cut, joinMrkdwn, mrkdwn, topText, type Mrkdwn } from '../block-limits.ts';
import { oneLine } from '../../contract/visible.ts';
import {
  actions,
  bold,
  button,
  context,
  fields,
  header,
  moment,
  paragraph,
  plain,
  richText,
  say,
  utc,
} from '../blocks.ts';
import { incidentValue } from '../button-values.ts';
import { personMarkup, SIMULATED, type Card, type CardContext } from './card.ts';

const STATE_WORDS: Readonly<Record<IncidentState, string>> = {
  IDLE: 'Waiting to be activated',
  TRIAGE: 'Triage',
  DIAGNOSING: 'Diagnosing',
  PLANNING: 'Planning',
  PENDING_APPROVAL: 'Pending approval',
  EXECUTING: 'Executing',
  VERIFYING: 'Verifying',
  ROLLING_BACK: 'Rolling back',
  OBSERVING: 'Observing what people do',
  HALTED: 'Halted',
  CLOSED: 'Closed',
};

const LIVE_PATH: readonly IncidentState[] = [
  'TRIAGE',
  'DIAGNOSING',
  'PLANNING',
  'PENDING_APPROVAL',
  'EXECUTING',
  'VERIFYING',
  'CLOSED',
];
const SHADOW_PATH: readonly IncidentState[] = ['TRIAGE', 'DIAGNOSING', 'PLANNING', 'OBSERVING', 'CLOSED'];

export function stateWords(state: IncidentState): string {
  return STATE_WORDS[state];
}

/** `cause` is a foreign sentence; 600 characters keep the card on one phone screen. */
const SENTENCE_MAX = 600;

export function incidentCard(notice: IncidentNotice, ctx: CardContext): Card {
  const id = (name: string): string => `inc.${name}.${ctx.revision}`;
  const blocks: KnownBlock[] = [
    header(id('hdr'), headline(notice)),
    context(id('fsm'), [statePath(notice)]),
    fields(id('facts'), facts(notice, ctx)),
  ];
  if (notice.cause !== null) {
    const lead = `Cause, confidence ${notice.cause.confidence.toFixed(2)}: `;
    blocks.push(
      richText(id('rca'), [paragraph([bold(lead), say(cut(oneLine(notice.cause.text), SENTENCE_MAX))])]),
    );
  }
  if (notice.halt !== null) {
    const sentence = say(`${cut(oneLine(notice.halt.text), SENTENCE_MAX)}\n`);
    const next = say(cut(oneLine(notice.halt.next_step), SENTENCE_MAX));
    blocks.push(richText(id('halt'), [paragraph([bold('⚠️ Halted: '), sentence, bold('Next: '), next])]));
  } else if (notice.outcome !== null) {
    blocks.push(
      richText(id('out'), [
        paragraph([bold('✅ Outcome: '), say(cut(oneLine(notice.outcome), SENTENCE_MAX))]),
      ]),
    );
  } else if (notice.waiting_for === null && oneLine(notice.doing) !== '') {
    blocks.push({
      type: 'context',
      block_id: id('doing'),
      elements: [plain(`⏳ ${notice.doing}`, SENTENCE_MAX)],
    });
  }
  const buttons = buttonsOf(notice, ctx);
  for (let at = 0; at < buttons.length; at += 4)
    blocks.push(actions(`${id('act')}.${at}`, buttons.slice(at, at + 4)));
  blocks.push(context(id('foot'), foot(notice, ctx)));
  return { text: summary(notice), blocks };
}

function headline(notice: IncidentNotice): string {
  const shadow = notice.shadow ? 'SHADOW · ' : '';
  return `${shadow}${notice.severity.toUpperCase()} · ${notice.incident_id} · ${notice.title}`;
}

function statePath(notice: IncidentNotice): Mrkdwn {
  const path = notice.shadow ? SHADOW_PATH : LIVE_PATH;
  const at = path.indexOf(notice.state);
  if (notice.state === 'HALTED')
    return mrkdwn`⚠️ *Halted* (${(notice.halt?.reason ?? 'stopped').replaceAll('_', ' ')})`;
  if (at === -1)
    return mrkdwn`${notice.state === 'ROLLING_BACK' ? '⚠️' : '⏳'} ${{ mrkdwn: `*${stateWords(notice.state)}*` }}`;
  // An incident may close early (alert resolved); without a run check no step before is claimed to be done.
  if (notice.state === 'CLOSED' && notice.checks === null) return mrkdwn`✅ *Closed*`;
  const steps = path.map((state, index) => {
    const words = stateWords(state);
    if (state === notice.state)
      return state === 'CLOSED'
        ? mrkdwn`✅\u00a0${{ mrkdwn: `*${words}*` }}`
        : mrkdwn`⏳\u00a0${{ mrkdwn: `*${words}*` }}`;
    return index < at ? mrkdwn`✅\u00a0${words}` : mrkdwn`${words}`;
  });
  return joinMrkdwn(steps, ' → ');
}

function facts(notice: IncidentNotice, ctx: CardContext): Mrkdwn[] {
  const { scope, budget } = notice;
  const place = [
    scope.region,
    scope.cluster,
    scope.namespace === undefined ? undefined : `ns ${scope.namespace}`,
  ];
  const where = [
    mrkdwn`\`${scope.team}/${scope.env}\``,
    ...place.filter((part) => part !== undefined).map((part) => mrkdwn`${part}`),
  ];
  const money = mrkdwn`$${budget.cost_usd.toFixed(2)} of $${budget.cost_usd_max.toFixed(2)}`;
  const facts = [
    mrkdwn`*Service*\n${scope.service ?? 'not named by the alert'} (${scope.tier})`,
    mrkdwn`*Scope*\n${joinMrkdwn(where, ' · ')}`,
    mrkdwn`*Owner*\n${notice.owner === null ? 'nobody yet' : personMarkup(ctx.person(notice.owner), ctx.first && !notice.shadow)}`,
    mrkdwn`*Mode*\n${notice.mode}`,
    mrkdwn`*Budget*\n${budget.tool_calls} of ${budget.tool_calls_max} calls · ${money}${budget.shared === undefined ? '' : mrkdwn`\n${budget.shared}`}`,
    mrkdwn`*Alerts*\n${notice.alerts.firing} firing, ${notice.alerts.resolved} resolved`,
  ];
  if (notice.waiting_for !== null) {
    const { who, until } = notice.waiting_for;
    facts.push(
      mrkdwn`*Waiting for*\n${cut(who, 300)}${until === null ? '' : mrkdwn` until ${moment(until, '{time}')}`}`,
    );
  }
  if (notice.checks !== null)
    facts.push(mrkdwn`*Checks*\n${notice.checks.passed} of ${notice.checks.total} passed`);
  if (notice.recurrence_of !== null) facts.push(mrkdwn`*Happened before*\n${notice.recurrence_of}`);
  return facts;
}

function buttonsOf(notice: IncidentNotice, ctx: CardContext): Button[] {
  const { incident_id: id } = notice;
  const value = incidentValue({ v: 1, inc: id, rev: notice.step });
  const count = notice.cause?.evidence_count ?? 0;
  const wanted = new Set(notice.buttons);
  const act = (action_id: string, text: string, label: string): Button =>
    button({ action_id, text, value, label });
  const buttons: (Button | null)[] = [planLink(notice, ctx)];
  if (wanted.has('activate')) buttons.push(activateButton(id, value));
  if (wanted.has('evidence') && count > 0)
    buttons.push(act('evidence.open', `Evidence (${count})`, `Open the ${count} evidence excerpts of ${id}`));
  if (wanted.has('plan_again'))
    buttons.push(act('incident.plan_again', 'Plan again', `Make a new plan for ${id}`));
  if (wanted.has('resume')) buttons.push(act('incident.resume', 'Resume', `Let Aegis go on with ${id}`));
  if (wanted.has('postmortem')) buttons.push(postmortemLink(id, ctx));
  if (wanted.has('stop')) buttons.push(stopButton(notice, value));
  if (wanted.has('hand_over'))
    buttons.push(act('incident.hand_over', 'Hand over', `Hand ${id} over to a person`));
  return buttons.filter((each) => each !== null);
}

/** The way to the plan's card. In shadow it is a plan to look at: nothing there can be approved. */
function planLink(notice: IncidentNotice, ctx: CardContext): Button | null {
  const url = notice.approval_card === null ? null : ctx.link(notice.approval_card);
  if (url === null) return null;
  const decides = notice.state === 'PENDING_APPROVAL' && !notice.shadow;
  return button({
    action_id: 'nav.plan',
    text: decides ? 'Review plan' : 'See plan',
    url,
    label: `Go to the plan of ${notice.incident_id}`,
    ...(decides ? { style: 'primary' as const } : {}),
  });
}

function postmortemLink(incident_id: string, ctx: CardContext): Button | null {
  const url = ctx.link(`postmortem:${incident_id}`);
  if (url === null) return null;
  const label = `Go to the postmortem of ${incident_id}`;
  return button({ action_id: 'nav.postmortem', text: 'Postmortem', url, label });
}

function activateButton(incident_id: string, value: string): Button {
  return button({
    action_id: 'incident.activate',
    text: 'Activate',
    value,
    style: 'primary',
    label: `Start the read-only investigation of ${incident_id}`,
  });
}

function stopButton(notice: IncidentNotice, value: string): Button {
  return button({
    action_id: 'incident.stop',
    text: 'Stop',
    value,
    style: 'danger',
    label: `Stop the Aegis run for ${notice.incident_id}`,
    confirm: {
      title: `Stop ${notice.incident_id}?`,
      text: mrkdwn`No new tool call is made. A call that has already left is finished and reported. The incident then waits for a person.`,
      yes: 'Stop the run',
      no: 'Keep going',
      danger: true,
    },
  });
}

function foot(notice: IncidentNotice, ctx: CardContext): Mrkdwn[] {
  const head = `${notice.ledger_head.slice(0, 4)}…${notice.ledger_head.slice(-4)}`;
  const line = mrkdwn`Step ${notice.step} · ledger head \`${head}\` · updated ${moment(notice.updated_at, '{date_num} {time_secs}')} · details in the thread`;
  return notice.simulated || ctx.simulated ? [SIMULATED, line] : [line];
}

function summary(notice: IncidentNotice): string {
  const { waiting_for } = notice;
  const wait =
    waiting_for === null
      ? ''
      : ` by ${waiting_for.who}${waiting_for.until === null ? '' : ` until ${utc(waiting_for.until)}`}`;
  const state =
    notice.state === 'HALTED' && notice.halt !== null
      ? `halted, ${notice.halt.text}`
      : stateWords(notice.state).toLowerCase();
  const lead = `${notice.shadow ? 'SHADOW ' : ''}${notice.severity.toUpperCase()} ${notice.incident_id}`;
  return topText(`${lead} ${cut(oneLine(notice.title), 140)}: ${state}${wait}`);
}
