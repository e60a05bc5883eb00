import type { Segment, TimelineNotice } from '../../contract/notice.ts';
import { changedSegments } from '../changed-lines.ts';
import { actionTitle, shortMarks, undoAdvice } from '../halt-texts.ts';
import { actionOf, madeChanges, standingChanges } from '../standing.ts';
import type { EventOf, HarnessEvent } from '../events.ts';
import { changeWords } from '../shadow/people.ts';
import { lengthWords } from '../shadow/report-words.ts';
import { incidentOf, quietMs } from '../state.ts';
import { standingWords } from './standing-words.ts';
import type { Snapshot } from '../state.ts';

/** Messages of the thread: only what people wait for (slack-platform: under twelve per incident). Pure. */
export function timelineNotices(from: Snapshot, event: HarnessEvent, to: Snapshot): TimelineNotice[] {
  const id = incidentOf(to.context).incident_id;
  const lines = linesOf(from, event, to);
  if (to.state === 'ROLLING_BACK' && from.state !== 'ROLLING_BACK') lines.push(rollbackLine(to));
  const list = lines.map(({ topic, segments, broadcast }): TimelineNotice => ({
    kind: 'timeline',
    incident_id: id,
    topic,
    segments,
    broadcast: broadcast ?? false,
  }));
  if (to.state === 'HALTED' && from.state !== 'HALTED' && to.context.halt !== null) {
    const { text, next_step } = to.context.halt;
    const standing = standingWords(to.context);
    list.push({
      kind: 'timeline',
      incident_id: id,
      topic: 'halted',
      segments: [
        plain(text),
        ...(standing === null ? [] : [plain(`\n${standing}`)]),
        plain(`\nNext: ${next_step}`),
      ],
      broadcast: false,
    });
  }
  return list;
}

/** A notice holds no more. */
const SEGMENTS_MAX = 40;

interface Line {
  readonly topic: TimelineNotice['topic'];
  readonly segments: Segment[];
  readonly broadcast?: boolean;
}

function linesOf(from: Snapshot, event: HarnessEvent, to: Snapshot): Line[] {
  switch (event.type) {
    case 'activated':
    case 'plan_again':
    case 'resumed':
      return [
        {
          topic: 'triage',
          segments: [
            who(event.by),
            plain(
              {
                activated: ' asked Aegis to investigate.',
                plan_again: ' asked for a new plan.',
                resumed: ' resumed the incident.',
              }[event.type],
            ),
          ],
        },
      ];
    case 'investigated':
      return [foundLine(event)];
    case 'prepared':
      return to.context.approval?.status === 'approved' ? [aloneLine(event, to)] : [];
    case 'decided':
      return [decisionLine(event, to)];
    case 'cleared':
      return event.verdict === 'evidence_changed' ? [evidenceLine(event, to)] : [];
    case 'executed':
      return [
        {
          topic: 'step',
          segments: [
            bold(`${event.change_id} ${event.phase === 'canary' ? 'canary ' : ''}`),
            plain(outcomeWords(event)),
            plain(shortMarks(event.outcome.summary)),
          ],
        },
      ];
    case 'canary_checked':
      return [canaryLine(event, to)];
    case 'undone':
      return undoneLines(from, event);
    case 'undo_refused':
      return from.state === 'HALTED' ? [notPutBack(event.change_id, event.reason)] : [];
    case 'verified':
      return verifyLines(event);
    case 'stopped':
      return [{ topic: 'decision', segments: [who(event.by), plain(' pressed Stop.')] }];
    case 'handed_over':
      return [{ topic: 'decision', segments: [who(event.by), plain(' took the incident over by hand.')] }];
    case 'alerts':
      return alertLines(from, event);
    case 'did':
      return [{ topic: 'recorded', segments: [who(event.by), plain(` did by hand: ${event.text}`)] }];
    case 'observed':
      return seenLines(from, event);
    case 'timer':
      return to.state === 'CLOSED' ? [closedLine(to)] : [];
    default:
      return [];
  }
}

/** Nobody will press anything, so whoever is awake is told before it runs, not after. */
function aloneLine({ at, payload }: EventOf<'prepared'>, to: Snapshot): Line {
  const shown_ms = Date.parse(to.context.approval?.runs_from ?? at) - Date.parse(at);
  const intents = payload.plan.actions.map(({ change_id, intent }) => `${change_id} ${intent}`).join('; ');
  return {
    topic: 'decision',
    segments: [
      bold('Nobody is asked: '),
      plain(
        `${intents}. Rule ${payload.rule.name}, autonomy limited. It runs in ${lengthWords(shown_ms)}; if it must not, deny the plan or press Stop on the incident’s card.`,
      ),
    ],
    broadcast: true,
  };
}

function foundLine(event: EventOf<'investigated'>): Line {
  const f = event.findings;
  const ruled_out = f.hypotheses.filter((h) => h.status === 'refuted').map((h) => h.text);
  const tail: Segment[] = [];
  if (ruled_out.length > 0) tail.push(plain(listed('Ruled out', ruled_out)));
  if (f.gaps.length > 0) tail.push(plain(listed('Not seen', f.gaps)));
  if (f.conclusive && f.cause !== null)
    return {
      topic: 'cause',
      segments: [
        bold('Cause: '),
        plain(f.cause),
        plain(` (confidence ${f.confidence.toFixed(2)}, ${f.evidence.length} pieces of evidence)`),
        ...tail,
      ],
    };
  const lead = f.hypotheses.toSorted((a, b) => b.confidence - a.confidence)[0];
  return {
    topic: 'no_cause',
    segments: [
      bold('No cause found. '),
      plain(lead === undefined ? 'No skill fits what was seen.' : `Strongest lead: ${lead.text}`),
      ...tail,
    ],
  };
}

/** A heading and one line for each item: people read these in a hurry. */
function listed(heading: string, items: readonly string[]): string {
  return `\n${heading}:${items.map((item) => `\n• ${item}`).join('')}`.slice(0, 1500);
}

function decisionLine(event: EventOf<'decided'>, to: Snapshot): Line {
  const approval = to.context.approval;
  const given = new Set(approval?.decisions.filter((d) => d.decision === 'approve').map((d) => d.principal))
    .size;
  const words = {
    approve: ` approved as ${event.role}`,
    deny: ' denied the plan',
    withdraw: ' withdrew the approval',
  }[event.decision];
  const count = event.decision === 'approve' ? ` (${given} of ${approval?.rule.people ?? 0}).` : '.';
  const why: Segment[] = event.reason === '' ? [] : [plain(` Reason: ${event.reason}`)];
  return {
    topic: 'decision',
    segments: [who(event.by), plain(`${words} ${event.approval_id}${count}`), ...why],
  };
}

/** Why approvals that were given no longer stand: people are told what they relied on, and what it is now. */
function evidenceLine(event: EventOf<'cleared'>, to: Snapshot): Line {
  const next =
    to.state === 'DIAGNOSING'
      ? ' Aegis collects the evidence again and makes a new plan, which needs approvals of its own.'
      : '';
  return {
    topic: 'refusal',
    segments: [
      bold('Nothing was run: the evidence changed. '),
      plain(`${event.reason} The approvals of this plan are void.${next}`),
      ...changedSegments(event.changed ?? []),
    ].slice(0, SEGMENTS_MAX),
  };
}

function rollbackLine(to: Snapshot): Line {
  const names = standingChanges(to.context).map((d) => actionTitle(to.context, d.change_id));
  return {
    topic: 'rollback',
    segments: [
      plain(`${to.context.rollback?.because ?? ''} Aegis puts back what it did, the newest change first: `),
      plain(`${names.join(', then ')}.`),
    ],
  };
}

/** An undo that did not come to its end is told by the halt that follows, or as late news when it halted before. */
function undoneLines(from: Snapshot, event: EventOf<'undone'>): Line[] {
  if (event.put_back !== 'yes')
    return from.state === 'HALTED' ? [notPutBack(event.change_id, shortMarks(event.outcome.summary))] : [];
  return [
    {
      topic: 'step',
      segments: [
        bold(`${event.change_id} `),
        plain('put back, and the object shows it. '),
        plain(shortMarks(event.outcome.summary)),
      ],
    },
  ];
}

function notPutBack(change_id: string, why: string): Line {
  return {
    topic: 'step',
    segments: [bold(`${change_id} `), plain(`does not show its earlier state. ${why}`)],
  };
}

function outcomeWords(event: EventOf<'executed'>): string {
  return {
    done: 'done. ',
    failed: 'failed. ',
    conflict: 'was not run, the object changed. ',
    outcome_unknown: 'has an unknown outcome. ',
  }[event.outcome.status];
}

function canaryLine(event: EventOf<'canary_checked'>, to: Snapshot): Line {
  const passed = event.checks.filter((c) => c.status === 'passed').length;
  const bake_s = actionOf(to.context, event.change_id)?.canary?.bake_s ?? 0;
  const on = to.state === 'EXECUTING' ? ` It held for ${bake_s} s; now the rest.` : '';
  return {
    topic: 'verify',
    segments: [
      bold(`${event.change_id} canary: ${passed} of ${event.checks.length} checks passed.`),
      plain(`${on}${checkRows(event.checks)}`),
    ],
  };
}

function checkRows(checks: EventOf<'verified'>['checks']): string {
  const signs = { passed: '✅', failed: '❌ Failed:', unknown: '⚠️ No answer:' };
  const rows = checks.map((c) => `\n${signs[c.status]} ${c.title} (found: ${c.found})`);
  return rows.join('').slice(0, 2500);
}

function verifyLines(event: EventOf<'verified'>): Line[] {
  const passed = event.checks.filter((c) => c.status === 'passed').length;
  return [
    {
      topic: 'verify',
      segments: [bold(`Verified ${passed} of ${event.checks.length}.`), plain(checkRows(event.checks))],
      broadcast: passed === event.checks.length,
    },
  ];
}

/** What is told of people's acts in one message. */
const SEEN_TOLD = 5;

function shadowResolved(from: Snapshot): string {
  return `the shadow report follows after ${lengthWords(quietMs(from.context))} without a new alert.`;
}

function alertLines(from: Snapshot, event: EventOf<'alerts'>): Line[] {
  if (event.status === 'firing') return [];
  const done = madeChanges(from.context).length > 0;
  const before =
    from.state === 'EXECUTING' || from.state === 'VERIFYING' || done
      ? 'recorded; the run goes on.'
      : 'plan voided; closing after five quiet minutes.';
  const words = from.context.incident?.shadow === undefined ? before : shadowResolved(from);
  return [{ topic: 'recorded', segments: [plain(`Alertmanager says resolved: ${words}`)] }];
}

/** What people did is told once, when it is seen; who it was, once more when the audit log tells it later. */
function seenLines(from: Snapshot, event: EventOf<'observed'>): Line[] {
  const known = new Map(from.context.shadow?.seen.map((change) => [change.key, change]));
  const fresh = event.changes.filter((change) => !change.robot && !known.has(change.key));
  const named = event.changes.filter(({ key, authenticated }) => {
    const before = known.get(key);
    return authenticated === true && before !== undefined && before.authenticated !== true && !before.robot;
  });
  return [
    ...handLines('Seen, done by hand: ', fresh),
    ...handLines('The audit log says who it was: ', named),
  ];
}

function handLines(title: string, changes: EventOf<'observed'>['changes']): Line[] {
  if (changes.length === 0) return [];
  const told = changes.slice(0, SEEN_TOLD).map((change) => `\n• ${changeWords(change)}`);
  const more = changes.length > told.length ? `\n• and ${changes.length - told.length} more` : '';
  return [{ topic: 'recorded', segments: [bold(title), plain(`${told.join('')}${more}`.slice(0, 2500))] }];
}

function closedLine(to: Snapshot): Line {
  return {
    topic: 'closed',
    segments: [plain(to.context.outcome ?? ''), plain(undoAdvice(to.context))].filter((s) => s.text !== ''),
    broadcast: false,
  };
}

function plain(text: string): Extract<Segment, { t: 'text' }> {
  return { t: 'text', text: text.slice(0, 3000) };
}

function bold(text: string): Extract<Segment, { t: 'bold' }> {
  return { t: 'bold', text: text.slice(0, 500) };
}

function who(principal: string): Segment {
  return { t: 'person', principal, mention: false };
}
