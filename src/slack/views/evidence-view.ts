// The evidence modal: what was captured, whether it still holds, checked live when it opened. Pure.
import type { KnownBlock, ModalView, RichTextElement } from '@slack/types';
import type { HoldsResult } from '../../contract/evidence.ts';
import type { EvidenceItem, EvidenceView } from '../../harness/inspect.ts';
import { LIMITS, cut, mrkdwn, type Mrkdwn } from '../block-limits.ts';
import { oneLine, visible } from '../../contract/visible.ts';
import {
  actions,
  bold,
  button,
  code,
  context,
  header,
  moment,
  paragraph,
  plain,
  preformatted,
  richText,
  say,
  utc,
} from '../blocks.ts';
import type { EvidenceMeta } from '../button-values.ts';
import { modal } from './modal.ts';

const ITEMS_PER_PAGE = 3;
const EXCERPT_MAX = 2_500;
const LINE_MAX = 400;
const CHANGED_SHOWN = 5;

const VERDICTS: Readonly<Record<HoldsResult['status'], string>> = {
  holds: '✅ Unchanged since capture',
  changed: '⚠️ Changed',
  gone: '⚠️ Gone at the source',
  expired: '⏳ Expired',
  unreachable: '⏳ The source could not be read',
  tampered: '❌ The stored copy was altered',
  unknown_pointer: '❌ Not evidence of this incident',
};

export function verdictWords(status: HoldsResult['status']): string {
  return VERDICTS[status];
}

export function evidencePages(view: EvidenceView): number {
  return Math.max(1, Math.ceil(view.items.length / ITEMS_PER_PAGE));
}

export function evidenceView(view: EvidenceView, meta: EvidenceMeta, simulated: boolean): ModalView {
  const pages = evidencePages(view);
  const page = Math.min(meta.page, pages - 1);
  const first = page * ITEMS_PER_PAGE;
  const items = view.items.slice(first, first + ITEMS_PER_PAGE);
  const checked = mrkdwn`Read again and hashed again ${moment(view.checked_at, '{date_num} {time_secs}')} (${utc(view.checked_at)}) · ${view.incident_id} · ${view.items.length} pieces`;
  const blocks: KnownBlock[] = [context('ev.when', [checked])];
  if (view.items.length === 0)
    blocks.push(
      richText('ev.none', [paragraph([say('No evidence has been captured for this incident yet.')])]),
    );
  for (const [at, item] of items.entries()) blocks.push(...itemBlocks(item, first + at));
  if (pages > 1) blocks.push(actions('ev.pages', pageButtons('evidence', page, pages)));
  return modal({
    title: pages > 1 ? `Evidence ${page + 1} of ${pages}` : 'Evidence',
    blocks,
    meta: { ...meta, page },
    simulated,
  });
}

export function pageButtons(prefix: string, page: number, pages: number): ReturnType<typeof button>[] {
  const previous = button({
    action_id: `${prefix}.previous`,
    text: 'Previous',
    label: `Show page ${page} of ${pages}`,
  });
  const next = button({
    action_id: `${prefix}.next`,
    text: 'Next',
    label: `Show page ${page + 2} of ${pages}`,
  });
  return [...(page > 0 ? [previous] : []), ...(page < pages - 1 ? [next] : [])];
}

function itemBlocks(item: EvidenceItem, index: number): KnownBlock[] {
  const id = (name: string): string => `ev.${index}.${name}`;
  const claim: RichTextElement[] = [
    bold(`${verdictWords(item.holds.status)}\n`),
    say(cut(oneLine(item.claim), 300)),
  ];
  if (item.holds.status !== 'holds' && item.holds.detail !== '')
    claim.push(say(`\n${cut(oneLine(item.holds.detail), 400)}`));
  const blocks: KnownBlock[] = [
    header(id('head'), `${index + 1}. ${item.role === 'cause' ? 'Cause' : 'Precondition'}: ${item.id}`),
    richText(id('claim'), [paragraph(claim)]),
  ];
  const alarm = alarmOf(item);
  if (alarm !== null)
    blocks.push({
      type: 'alert',
      block_id: id('alert'),
      level: alarm.level,
      text: plain(alarm.text, LIMITS.alert_max),
    });
  blocks.push(richText(id('lines'), [preformatted(excerpt(item))]));
  const changed = changedLines(item.holds);
  if (changed !== null)
    blocks.push(richText(id('now'), [paragraph([bold('What differs now')]), preformatted(changed)]));
  blocks.push(richText(id('hash'), [paragraph([say('sha256 '), code(item.pointer.sha256)])]));
  blocks.push(context(id('foot'), facts(item)));
  return blocks;
}

/** Cited lines are marked; context lines are not. Line numbers are those of the captured file. */
function excerpt(item: EvidenceItem): string {
  const width = String(item.lines.at(-1)?.number ?? 1).length;
  const drawn = item.lines.map((line) => {
    const text = cut(visible(line.text).replaceAll('\n', '\\n'), LINE_MAX);
    return `${line.cited ? '▸' : ' '} ${String(line.number).padStart(width)}  ${text}`;
  });
  if (drawn.length === 0) return '(the captured copy cannot be shown)';
  const kept: string[] = [];
  let chars = 0;
  for (const line of drawn) {
    if (chars + line.length > EXCERPT_MAX) break;
    kept.push(line);
    chars += line.length + 1;
  }
  const left = drawn.length - kept.length;
  return left === 0
    ? kept.join('\n')
    : `${kept.join('\n')}\n… ${left} more lines: aegis head /evidence/${item.pointer.evidence_id}`;
}

function alarmOf(item: EvidenceItem): { level: 'warning' | 'error'; text: string } | null {
  const { status, now_sha256 } = item.holds;
  if (status === 'changed') {
    const now = now_sha256 === null ? 'differs' : `now hashes to ${now_sha256.slice(0, 12)}`;
    return {
      level: 'warning',
      text: `This is the captured copy. The source ${now}. The plan cannot run until it is collected again.`,
    };
  }
  const text = ALARMS[status];
  if (text === undefined) return null;
  return { level: status === 'gone' ? 'warning' : 'error', text };
}

const ALARMS: Readonly<Partial<Record<HoldsResult['status'], string>>> = {
  gone: 'This is the captured copy. The source no longer has it; a plan that depends on it cannot run.',
  tampered:
    'The stored copy no longer has the hash it was captured with. Do not believe it. Run: aegis ledger verify',
  unknown_pointer: 'This pointer equals no record of this incident. Nothing may rest on it.',
};

function changedLines(holds: HoldsResult): string | null {
  if (holds.changed.length === 0) return null;
  const shown = holds.changed
    .slice(0, CHANGED_SHOWN)
    .flatMap((change) => [
      `- ${change.line}  ${cut(visible(change.was).replaceAll('\n', '\\n'), 200)}`,
      change.now === null
        ? `  ${change.line}  (gone)`
        : `+ ${change.line}  ${cut(visible(change.now).replaceAll('\n', '\\n'), 200)}`,
    ]);
  const left = holds.changed.length - CHANGED_SHOWN;
  return left > 0 ? `${shown.join('\n')}\n… and ${left} more lines differ` : shown.join('\n');
}

function facts(item: EvidenceItem): Mrkdwn[] {
  const { pointer, record } = item;
  const redacted =
    record.redactions === 0
      ? mrkdwn`nothing redacted`
      : mrkdwn`${record.redactions} ${record.redactions === 1 ? 'value' : 'values'} redacted by rule`;
  const written = record.attacker_writable
    ? mrkdwn`workloads can write this source`
    : mrkdwn`control-plane fact`;
  return [
    mrkdwn`\`${cut(pointer.path, 300)}\` lines ${pointer.lines} · sha256 \`${pointer.sha256.slice(0, 12)}…${pointer.sha256.slice(-6)}\``,
    mrkdwn`Captured ${moment(pointer.captured_at, '{date_num} {time_secs}')} (${utc(pointer.captured_at)}) · ${redacted} · ${written}`,
    mrkdwn`Asked: \`${cut(record.source_query === '' ? pointer.query : record.source_query, 600)}\``,
  ];
}
