import { canonicalJson } from '../../contract/canonical.ts';
import type { LedgerEntry } from '../../contract/ledger.ts';
import { lineText } from '../line-text.ts';

/** One ledger entry as one line: `seq at kind actor summary`. */
export function ledgerLine(entry: LedgerEntry): string {
  return lineText(`${entry.seq} ${entry.at} ${entry.kind} ${entry.actor} ${summaryOf(entry)}`);
}

const SUMMARY_CHARS_MAX = 400;

/** Members that say most, by kind; `payload.x.y` is `x.y`. */
const TELLING: Readonly<Partial<Record<LedgerEntry['kind'], readonly string[]>>> = {
  event: ['type'],
  transition: ['from', 'to', 'reason'],
  refusal: ['code', 'about', 'reason'],
  read: ['evidence_id', 'query', 'line_count'],
  draft: ['draft.hypothesis'],
  plan: ['plan.revision', 'plan.hypothesis', 'plan_hash'],
  risk: ['blast_radius_score', 'impact_scope'],
  preview: ['change_id', 'preview.tool', 'preview.target'],
  approval: [
    'type',
    'approval_id',
    'request.approval_id',
    'status',
    'decision.decision',
    'decision.principal',
    'reason',
  ],
  permit: ['permit.change_id', 'permit.tool', 'permit.target'],
  call: ['phase', 'tool', 'target', 'status', 'summary'],
  outcome: ['change_id', 'phase', 'outcome.status', 'outcome.summary'],
  verify: ['check_id', 'status', 'title', 'found'],
  notice: ['kind', 'topic', 'card_key'],
  feedback: ['rating', 'by', 'text'],
};

function summaryOf(entry: LedgerEntry): string {
  const found = (TELLING[entry.kind] ?? []).flatMap((path) => {
    const value = valueAt(entry.payload, path);
    return value === undefined || value === null ? [] : [`${path.split('.').at(-1)}=${shown(value)}`];
  });
  return clip(found.length > 0 ? found.join(' ') : canonicalJson(entry.payload));
}

function valueAt(payload: unknown, path: string): unknown {
  let value = payload;
  for (const step of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

function shown(value: unknown): string {
  return typeof value === 'string' && /^\S+$/.test(value) ? value : canonicalJson(value);
}

function clip(text: string): string {
  return text.length <= SUMMARY_CHARS_MAX ? text : `${text.slice(0, SUMMARY_CHARS_MAX - 1)}…`;
}
