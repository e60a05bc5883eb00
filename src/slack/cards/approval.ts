// The approval card: exactly what is pinned, what it risks, who decided, who can, until when. It decides nothing: Review
// opens a modal that the server renders from its store, and only that modal's submit is a decision.
import type { Button, KnownBlock, RichTextElement, TableBlock } from '@slack/types';
import { ApprovalId } from '../../contract/approval.ts';
import { radiusWord, riskWords, viaWords } from '../../contract/approval-sheet.ts';
import type { ApprovalNotice, GateLine } from '../../contract/notice.ts';
import { LIMITS, cut, joinMrkdwn, mrkdwn, textChars, topText, type Mrkdwn } from '../block-limits.ts';
import { oneLine } from '../../contract/visible.ts';
import {
  actions,
  bold,
  button,
  code,
  context,
  header,
  moment,
  paragraph,
  preformatted,
  richText,
  say,
  utc,
} from '../blocks.ts';
import { approvalValue, incidentValue } from '../button-values.ts';
import { excerptOf, type Excerpt } from '../diff-excerpt.ts';
import { SIMULATED, type Card, type CardContext } from './card.ts';

const STATUS_HEAD: Readonly<Record<ApprovalNotice['status'], string>> = {
  open: 'Approval needed',
  approved: 'Approved',
  denied: 'Denied',
  expired: 'Expired, nothing ran',
  void: 'No longer valid',
  used: 'Approved and carried out',
};

/** Under autonomy `limited`, where a rule may ask nobody. */
const UNATTENDED_HEAD: Partial<typeof STATUS_HEAD> = {
  approved: 'Runs without approval',
  used: 'Carried out without approval',
};

const GATE_SIGNS: Readonly<Record<GateLine['status'], string>> = {
  passed: '✅',
  refused: '❌',
  waiting: '⏳',
  warning: '⚠️',
};
const ACTIONS_SHOWN = 5;
const DECISIONS_SHOWN = 6;

/** How much each part may say. A plan with very much to say hides its diff before it hides a gate or a risk. */
interface Caps {
  readonly diff_chars: number;
  readonly cell: number;
  readonly gate_reason: number;
  readonly sentence: number;
}

const ROOMY: Caps = { diff_chars: 2_800, cell: LIMITS.table_cell_max, gate_reason: 300, sentence: 300 };
const TIGHT: Caps = { diff_chars: 0, cell: 250, gate_reason: 160, sentence: 150 };

export function approvalCard(notice: ApprovalNotice, ctx: CardContext): Card {
  const roomy = blocksOf(notice, ctx, ROOMY);
  const blocks = textChars(roomy) <= LIMITS.message_chars_max ? roomy : blocksOf(notice, ctx, TIGHT);
  return { text: summary(notice), blocks };
}

function blocksOf(notice: ApprovalNotice, ctx: CardContext, caps: Caps): KnownBlock[] {
  const id = (name: string): string => `apr.${name}.${notice.revision}.${ctx.revision}`;
  const excerpt = excerptOf(notice.actions, caps.diff_chars);
  const blocks: KnownBlock[] = [header(id('hdr'), headline(notice)), what(id('what'), notice, ctx, caps)];
  for (const part of excerpt.shown)
    blocks.push(richText(id(`diff.${part.change_id}`), [preformatted(part.lines.join('\n'))]));
  blocks.push(context(id('dry'), dryRun(notice, excerpt)));
  const warnings = warningLines(notice);
  if (warnings.length > 0) blocks.push(richText(id('warn'), [paragraph(lines(warnings))]));
  blocks.push(riskTable(id('risk'), notice, caps.cell));
  if (notice.gates.length > 0)
    blocks.push(
      richText(id('gates'), [paragraph([bold('Gates\n'), ...gateLines(notice.gates, caps.gate_reason)])]),
    );
  blocks.push(context(id('who'), whoLines(notice, ctx, caps)));
  for (const [at, row] of buttonRows(notice, excerpt).entries())
    blocks.push(actions(`${id('act')}.${at}`, row));
  blocks.push(context(id('pin'), pinLines(notice, ctx)));
  return blocks;
}

/** "CHG-7", "CHG-7 and CHG-8", "CHG-7 and 3 more". */
export function changeNames(notice: ApprovalNotice): string {
  const [first = 'no change', second, ...more] = notice.actions.map((action) => action.change_id);
  if (second === undefined) return first;
  return more.length === 0 ? `${first} and ${second}` : `${first} and ${more.length + 1} more`;
}

function hashWords(hash: string): string {
  return `${hash.slice(0, 12)}…${hash.slice(-6)}`;
}

/** A plan that was never put up for approval: shown for comparison while people act. */
function isShadow(notice: ApprovalNotice): boolean {
  return !ApprovalId.safeParse(notice.approval_id).success;
}

function headWords({ status, rule }: ApprovalNotice): string {
  return (rule.people === 0 ? UNATTENDED_HEAD[status] : undefined) ?? STATUS_HEAD[status];
}

function headline(notice: ApprovalNotice): string {
  if (isShadow(notice)) return `SHADOW · Plan, not to be run · ${changeNames(notice)}`;
  const given =
    notice.status === 'open' && notice.rule.people > 0
      ? ` · ${notice.approvals_given} of ${notice.rule.people} given`
      : '';
  return `${headWords(notice)} · ${changeNames(notice)}${given}`;
}

function what(block_id: string, notice: ApprovalNotice, ctx: CardContext, caps: Caps): KnownBlock {
  const shown = notice.actions.slice(0, ACTIONS_SHOWN);
  const elements: RichTextElement[] = [];
  for (const action of shown)
    elements.push(
      bold(`${cut(oneLine(action.intent), caps.sentence)}\n`),
      code(cut(action.target, 300)),
      say(` with ${action.tool} (${action.action_class})\n`),
      ...(action.canary === undefined ? [] : [say(`${cut(oneLine(action.canary.words), caps.sentence)}\n`)]),
    );
  if (notice.actions.length > shown.length)
    elements.push(say(`and ${notice.actions.length - shown.length} more actions, all in the full plan\n`));
  const link = ctx.link(`root:${notice.incident_id}`);
  elements.push(
    say('For '),
    link === null ? bold(notice.incident_id) : { type: 'link', url: link, text: notice.incident_id },
  );
  if (notice.started_by !== null)
    elements.push(say(', run started by '), bold(ctx.person(notice.started_by).name));
  elements.push(say('\n'), bold('Because: '), say(cut(oneLine(notice.cause), 500)));
  if (notice.status !== 'open') elements.push(say('\n'), bold(cut(oneLine(notice.status_text), 400)));
  return richText(block_id, [paragraph(elements)]);
}

function dryRun(notice: ApprovalNotice, excerpt: Excerpt): Mrkdwn[] {
  const fields = notice.actions.reduce((sum, action) => sum + action.changes.length, 0);
  const last = notice.actions
    .map((action) => action.previewed_at)
    .toSorted()
    .at(-1);
  const diff =
    excerpt.hidden === 0
      ? mrkdwn`whole diff shown (${excerpt.total} lines)`
      : mrkdwn`⚠️ *${excerpt.hidden} of ${excerpt.total} lines are not shown here*: open the full plan`;
  const counted = mrkdwn`*${fields} ${fields === 1 ? 'field' : 'fields'} to change*`;
  return [
    joinMrkdwn(
      [counted, ...(last === undefined ? [] : [mrkdwn`dry run passed ${moment(last, '{time}')}`]), diff],
      ' · ',
    ),
  ];
}

/** What a tired person must not miss, one sentence each. */
export function warningLines(notice: ApprovalNotice): string[] {
  const found = notice.actions.flatMap((action) =>
    action.warnings.map((warning) => `${action.change_id}: ${warning}`),
  );
  const lasting = notice.actions
    .filter((action) => !action.credential_revocable)
    .map((action) => action.change_id);
  if (lasting.length > 0)
    found.push(
      `${lasting.slice(0, 3).join(', ')} uses a stored credential that cannot be revoked after the call`,
    );
  found.push(...notice.gaps.map((gap) => `Not seen: ${gap}`));
  const shown = found.slice(0, 5).map((line) => `⚠️ ${cut(oneLine(line), 240)}`);
  return found.length > shown.length
    ? [...shown, `⚠️ ${found.length - shown.length} more in the full plan`]
    : shown;
}

function lines(texts: readonly string[]): RichTextElement[] {
  return [say(texts.join('\n'))];
}

/** Rows of the risk; `raw_text` cells are literal, foreign text is safe in them. */
export function riskRows(
  notice: ApprovalNotice,
  cell_max: number = LIMITS.table_cell_max,
): [string, string][] {
  return riskWords(notice).map(([name, text]) => [name, cut(oneLine(text), cell_max)]);
}

function riskTable(block_id: string, notice: ApprovalNotice, cell_max: number): TableBlock {
  const cells = [['Risk', 'Value'], ...riskRows(notice, cell_max)];
  return {
    type: 'table',
    block_id,
    column_settings: [{ align: 'left' }, { align: 'left', is_wrapped: true }],
    rows: cells.map((row) =>
      row.map((text) => ({ type: 'raw_text' as const, text: text === '' ? '-' : text })),
    ),
  };
}

/** Passed gates share a line, save one that counts: its figures are why people look. */
const COUNTS = new Set(['budget']);

/** Each gate that does not share the line of the passed ones gets its reason and the next step. */
export function gateLines(gates: readonly GateLine[], reason_max = 300): RichTextElement[] {
  const shares = (gate: GateLine): boolean => gate.status === 'passed' && !COUNTS.has(gate.gate);
  const passed = gates.filter(shares).slice(0, 20);
  const rest = gates.filter((gate) => !shares(gate)).slice(0, 8);
  const texts =
    passed.length === 0 ? [] : [passed.map((gate) => `✅\u00a0${cut(oneLine(gate.title), 60)}`).join('  ')];
  for (const gate of rest) {
    const why = oneLine([gate.reason, gate.remedy].filter((part) => part !== '').join(' '));
    texts.push(
      `${GATE_SIGNS[gate.status]}\u00a0${cut(oneLine(gate.title), 60)}${why === '' ? '' : `: ${cut(why, reason_max)}`}`,
    );
  }
  return lines(texts);
}

function whoLines(notice: ApprovalNotice, ctx: CardContext, caps: Caps): Mrkdwn[] {
  const signs = { approve: '✅', deny: '❌ denied by', withdraw: '⚠️ withdrawn by' } as const;
  const shown = notice.decisions.slice(-DECISIONS_SHOWN).map((decision) => {
    const reason = decision.reason === '' ? '' : `: ${cut(oneLine(decision.reason), caps.sentence)}`;
    return mrkdwn`${signs[decision.decision]} ${ctx.person(decision.principal).name} (${decision.role}${viaWords(decision.via)}) ${moment(decision.at, '{time}')}${reason}`;
  });
  if (isShadow(notice)) return [mrkdwn`Nothing here can be approved; Aegis compares it with what people do`];
  if (notice.status !== 'open' && shown.length === 0)
    return notice.rule.people === 0 ? unattendedLines(notice, caps.gate_reason) : [mrkdwn`Nobody decided`];
  if (notice.status !== 'open') return shown;
  const missing = notice.rule.people - notice.approvals_given;
  if (missing > 0) shown.push(mrkdwn`⏳ ${missing} more of ${cut(notice.who_can, 300)}`);
  if (notice.step_up !== undefined && !notice.step_up.given) shown.push(stepUpLine(notice.step_up.url));
  shown.push(mrkdwn`Expires ${moment(notice.expires_at)}`);
  return shown;
}

function unattendedLines({ gates, rule, status, runs_from }: ApprovalNotice, reason_max: number): Mrkdwn[] {
  const reason = gates.find((line) => line.gate === 'approvals' && line.status === 'passed')?.reason;
  const why = oneLine(`Autonomy limited, ${reason ?? `nobody is asked: rule ${rule.name}`}`);
  const found = [mrkdwn`${cut(why, reason_max)}`];
  if (status === 'approved' && runs_from !== undefined)
    found.push(
      mrkdwn`⏳ Runs at ${moment(runs_from, '{time_secs}')} unless somebody denies it or presses Stop`,
    );
  return found;
}

/** An address, not a button: it leads out of Slack, and Slack is told of no press. */
function stepUpLine(url: string | null): Mrkdwn {
  if (url === null)
    return mrkdwn`⚠️ One approval must be given outside Slack, and no address is configured for it: an admin sets \`http.public_url\` in aegis.yaml`;
  const address = /^https?:\/\/[\w.:/[\]-]+$/.test(url)
    ? { mrkdwn: `<${url}|step-up page>` }
    : mrkdwn`${url}`;
  return mrkdwn`🔐 One approval must be given outside Slack, with your own token: ${address}`;
}

function buttonRows(notice: ApprovalNotice, excerpt: Excerpt): Button[][] {
  const names = changeNames(notice);
  const value = approvalValue({
    v: 1,
    apr: notice.approval_id,
    rev: notice.revision,
    plan: notice.plan_hash,
  });
  const evidence = button({
    action_id: 'evidence.open',
    text: `Evidence (${notice.evidence.length})`,
    value: incidentValue({ v: 1, inc: notice.incident_id, rev: notice.revision }),
    label: `Open the ${notice.evidence.length} evidence excerpts behind ${names}`,
  });
  const json = button({
    action_id: 'plan.json',
    text: 'Plan as JSON',
    value,
    label: `Show the whole plan of ${names} as JSON`,
  });
  if (isShadow(notice)) return [[evidence]];
  const deny = button({
    action_id: 'approval.deny',
    text: 'Deny…',
    value,
    style: 'danger',
    label: `Deny ${names} and give a reason`,
  });
  if (notice.status === 'approved' && notice.runs_from !== undefined) return [[deny, evidence, json]];
  if (notice.status !== 'open') return [[evidence, json]];
  const whole = excerpt.hidden === 0 && notice.actions.length <= ACTIONS_SHOWN;
  const review = button({
    action_id: 'approval.review',
    text: whole ? 'Review and approve…' : 'Open full plan…',
    value,
    style: 'primary',
    label: whole
      ? `Review ${names} and decide, in a dialog`
      : `Open the full plan of ${names} before deciding`,
  });
  const second = notice.approvals_given > 0 ? [json, withdrawButton(names, value)] : [json];
  return [[review, deny, evidence], second];
}

function withdrawButton(names: string, value: string): Button {
  return button({
    action_id: 'approval.withdraw',
    text: 'Withdraw my approval',
    value,
    label: `Take back your approval of ${names}`,
    confirm: {
      title: 'Withdraw your approval?',
      text: mrkdwn`Your approval of ${names} no longer counts. This works until the first step runs; after that use Stop.`,
      yes: 'Withdraw',
      no: 'Keep it',
      danger: false,
    },
  });
}

function pinLines(notice: ApprovalNotice, ctx: CardContext): Mrkdwn[] {
  const tail = isShadow(notice)
    ? 'In shadow nothing is executed.'
    : notice.rule.people === 0
      ? 'Exactly this runs; a changed plan is a new card.'
      : 'You approve exactly this; a changed plan is a new card and voids approvals.';
  const pin = mrkdwn`Plan \`sha256:${hashWords(notice.plan_hash)}\` rev ${notice.revision} · effect \`${hashWords(notice.effect_hash)}\`. ${tail}`;
  return notice.simulated || ctx.simulated ? [SIMULATED, pin] : [pin];
}

function summary(notice: ApprovalNotice): string {
  const { team, env } = notice.scope;
  const count = `${notice.actions.length} ${notice.actions.length === 1 ? 'change' : 'changes'} in ${team}/${env}`;
  if (isShadow(notice))
    return topText(`SHADOW plan: ${changeNames(notice)}, ${count}. ${notice.status_text}`);
  if (notice.status !== 'open')
    return topText(`${headWords(notice)}: ${changeNames(notice)}, ${count}. ${notice.status_text}`);
  const next = Math.min(notice.approvals_given + 1, Math.max(1, notice.rule.people));
  const risk = `blast radius ${radiusWord(notice.risk.blast_radius_score).toLowerCase()}`;
  return topText(
    `Approval ${next} of ${Math.max(1, notice.rule.people)} needed until ${utc(notice.expires_at)}: ${changeNames(notice)}, ${count}, ${risk}`,
  );
}
