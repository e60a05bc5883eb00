// The modals of a decision. Rendered from the store's approval, never from the clicked message; the submit of the review
// is the approval. A submit exists only when every page of the diff has been on screen. Pure.
import type { KnownBlock, ModalView, RichTextElement } from '@slack/types';
import type { ApprovalNotice } from '../../contract/notice.ts';
import { LIMITS, cut, mrkdwn, pieces } from '../block-limits.ts';
import { oneLine, visible } from '../../contract/visible.ts';
import {
  actions,
  bold,
  code,
  context,
  moment,
  paragraph,
  plain,
  preformatted,
  richText,
  say,
} from '../blocks.ts';
import type { DecisionMeta, JsonMeta } from '../button-values.ts';
import { changeNames, gateLines, riskRows, warningLines } from '../cards/approval.ts';
import { diffPages } from '../diff-excerpt.ts';
import { pageButtons } from './evidence-view.ts';
import { modal } from './modal.ts';

export const APPROVE_CALLBACK = 'approval.submit';
export const DENY_CALLBACK = 'approval.deny.submit';

const CHUNK_CHARS = 2_800;
const CHUNKS_PER_PAGE = 8;

export function reviewPages(notice: ApprovalNotice): string[][] {
  return diffPages(notice.actions, CHUNK_CHARS, CHUNKS_PER_PAGE);
}

/** Meta of a review that opens: nothing but the first page seen. */
export function openingMeta(
  notice: ApprovalNotice,
  place: { channel: string; thread_ts: string | null },
): DecisionMeta {
  const { incident_id: inc, approval_id: apr, revision: rev, plan_hash: plan } = notice;
  return { v: 1, inc, apr, rev, plan, page: 0, seen: 0, channel: place.channel, thread_ts: place.thread_ts };
}

/** Meta after a page turn: pages count as seen in order only, none can be jumped over. */
export function turnedMeta(meta: DecisionMeta, step: 1 | -1, pages: number): DecisionMeta {
  const page = Math.max(0, Math.min(pages - 1, meta.page + step));
  return { ...meta, page, seen: page === meta.seen + 1 ? page : meta.seen };
}

export function reviewView(notice: ApprovalNotice, meta: DecisionMeta, simulated: boolean): ModalView {
  const pages = reviewPages(notice);
  const page = Math.min(meta.page, pages.length - 1);
  const blocks: KnownBlock[] = page === 0 ? frontMatter(notice) : [];
  const where = pages.length > 1 ? `Diff, page ${page + 1} of ${pages.length}` : 'Whole diff';
  if (blocks.length > 0) blocks.push({ type: 'divider', block_id: 'rv.line' });
  blocks.push(richText('rv.diff.head', [paragraph([bold(where)])]));
  for (const [at, chunk] of (pages[page] as string[]).entries())
    blocks.push(richText(`rv.diff.${page}.${at}`, [preformatted(chunk)]));
  if (pages.length > 1) blocks.push(actions('rv.pages', pageButtons('approval', page, pages.length)));
  const all_seen = meta.seen >= pages.length - 1;
  if (notice.status === 'open') blocks.push(...commitment(notice, all_seen, pages.length));
  const decides = notice.status === 'open' && all_seen && !needsLink(notice);
  return modal({
    title: `Review ${changeNames(notice)}`,
    blocks,
    close: decides ? 'Not yet' : 'Close',
    meta: { ...meta, page },
    simulated: simulated || notice.simulated,
    ...(decides ? { submit: 'Approve', callback_id: APPROVE_CALLBACK } : {}),
  });
}

function frontMatter(notice: ApprovalNotice): KnownBlock[] {
  const blocks: KnownBlock[] = [];
  if (notice.status !== 'open')
    blocks.push({
      type: 'alert',
      block_id: 'rv.status',
      level: 'warning',
      text: plain(`Cannot be approved now: ${notice.status_text}`, LIMITS.alert_max),
    });
  for (const [at, action] of notice.actions.entries()) {
    const elements: RichTextElement[] = [
      bold(`${action.change_id}: ${cut(oneLine(action.intent), 300)}\n`),
      say('On '),
      code(cut(action.target, 500)),
      say(` with ${action.tool}, class ${action.action_class}\n`),
      ...(action.canary === undefined
        ? []
        : [bold('Canary: '), say(`${cut(oneLine(action.canary.words), 400)}\n`)]),
      bold('Rollback: '),
      say(cut(oneLine(action.rollback), 400)),
    ];
    blocks.push(richText(`rv.what.${at}`, [paragraph(elements)]));
  }
  blocks.push(
    richText('rv.cause', [
      paragraph([
        bold(`Because, confidence ${notice.confidence.toFixed(2)}: `),
        say(cut(oneLine(notice.cause), 600)),
      ]),
    ]),
  );
  const warnings = warningLines(notice);
  if (warnings.length > 0) blocks.push(richText('rv.warn', [paragraph([say(warnings.join('\n'))])]));
  const risk = riskRows(notice).filter(([name]) => name !== 'Rollback' && name !== 'Confidence');
  blocks.push(
    richText('rv.risk', [paragraph(risk.flatMap(([name, text]) => [bold(`${name}: `), say(`${text}\n`)]))]),
  );
  if (notice.gates.length > 0)
    blocks.push(richText('rv.gates', [paragraph([bold('Gates\n'), ...gateLines(notice.gates)])]));
  return blocks;
}

/** The last approval of a step-up, while none came over its page: from here it would be refused. */
function needsLink({ step_up, approvals_given, rule }: ApprovalNotice): boolean {
  return step_up !== undefined && !step_up.given && approvals_given + 1 >= rule.people;
}

function commitment(notice: ApprovalNotice, all_seen: boolean, pages: number): KnownBlock[] {
  if (needsLink(notice))
    return [
      context('rv.link', [
        mrkdwn`🔐 *This approval must be given outside Slack*, on the step-up page that the card links to.`,
      ]),
    ];
  if (!all_seen)
    return [context('rv.unseen', [mrkdwn`⏳ Approve appears after all ${pages} pages have been shown.`])];
  const next = notice.approvals_given + 1;
  const runs =
    next >= notice.rule.people ? 'It runs at once.' : `${notice.rule.people - next} more must follow.`;
  return [
    context('rv.pin', [
      mrkdwn`Plan \`sha256:${notice.plan_hash}\` rev ${notice.revision}`,
      mrkdwn`Effect \`sha256:${notice.effect_hash}\``,
      mrkdwn`*Yours would be approval ${next} of ${notice.rule.people}.* ${runs} Expires ${moment(notice.expires_at)}.`,
    ]),
  ];
}

export const DENY_REASONS = {
  wrong_cause: 'Wrong cause',
  too_risky: 'Too risky',
  wrong_time: 'Wrong time',
  other: 'Other',
} as const;

export type DenyReason = keyof typeof DENY_REASONS;

export function denyView(notice: ApprovalNotice, meta: DecisionMeta, simulated: boolean): ModalView {
  const options = Object.entries(DENY_REASONS).map(([value, text]) => ({
    text: plain(text, LIMITS.option_max),
    value,
  }));
  const first = notice.actions[0];
  const about: RichTextElement[] = [
    bold(changeNames(notice)),
    say(first === undefined ? '' : `: ${cut(oneLine(first.intent), 300)}`),
  ];
  const blocks: KnownBlock[] = [
    richText('dn.what', [paragraph(about)]),
    {
      type: 'input',
      block_id: 'because',
      label: plain('What is wrong?', LIMITS.input_label_max),
      element: { type: 'radio_buttons', action_id: 'because', options },
    },
    {
      type: 'input',
      block_id: 'reason',
      label: plain('Reason, shown in the thread with your name', LIMITS.input_label_max),
      element: {
        type: 'plain_text_input',
        action_id: 'reason',
        multiline: true,
        min_length: 10,
        max_length: 500,
      },
    },
    context('dn.end', [mrkdwn`A denial ends this plan; it is not outvoted. Nothing runs.`]),
  ];
  return modal({
    title: 'Deny this plan',
    blocks,
    submit: 'Deny',
    close: 'Back',
    callback_id: DENY_CALLBACK,
    meta,
    simulated: simulated || notice.simulated,
  });
}

export function jsonPages(json: string): string[][] {
  const chunks = pieces(visible(json), CHUNK_CHARS);
  const pages: string[][] = [];
  for (let at = 0; at < chunks.length; at += CHUNKS_PER_PAGE)
    pages.push(chunks.slice(at, at + CHUNKS_PER_PAGE));
  return pages;
}

/** The whole approval as the server holds it, to copy. */
export function planJsonView(
  notice: ApprovalNotice,
  json: string,
  meta: JsonMeta,
  simulated: boolean,
): ModalView {
  const pages = jsonPages(json);
  const page = Math.min(meta.page, pages.length - 1);
  const chunks = (pages[page] as string[]).map((chunk, at) =>
    richText(`pj.${page}.${at}`, [preformatted(chunk)]),
  );
  const turn = pages.length > 1 ? [actions('pj.pages', pageButtons('plan.json', page, pages.length))] : [];
  const title = pages.length > 1 ? `Plan ${page + 1} of ${pages.length}` : 'Plan as JSON';
  const head = context('pj.head', [
    mrkdwn`${notice.approval_id} rev ${notice.revision} · plan \`sha256:${notice.plan_hash}\``,
  ]);
  return modal({
    title,
    blocks: [head, ...chunks, ...turn],
    meta: { ...meta, page },
    simulated: simulated || notice.simulated,
  });
}
