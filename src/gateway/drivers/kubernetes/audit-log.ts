import { z } from 'zod';
import { AUDIT_LOG_KIND } from '../../audit-log-place.ts';
import { UpstreamError } from '../../upstream-error.ts';
import { blocked } from '../answer-json.ts';
import { readTool, type CallHandle, type ReadAnswer } from '../driver.ts';
import { askLoki, type LogEntry } from '../loki.ts';
import { auditAct, AUDITED_KINDS, AUDITED_STAGE, AUDITED_VERBS, type AuditAct } from './audit-event.ts';
import { KINDS } from './kinds.ts';

/**
 * Who changed or deleted what in one namespace, from the cluster's audit log. Lines of all tenants lie in the same
 * streams, so no query of a caller is run: the tool writes the query from target and configuration, lets Loki leave out
 * most, and believes none of that; only a line whose own objectRef names the target's namespace becomes an act.
 */
const ACTS_MAX = 200;
const PAGE_LINES_MAX = 200;
const PAGE_LINES_MIN = 5;
const PAGES_MAX = 25;

const AuditLogArgs = z
  .strictObject({
    since: z.iso.datetime({ offset: true }),
    until: z.iso.datetime({ offset: true }),
  })
  .refine((args) => Date.parse(args.since) < Date.parse(args.until), 'since must lie before until');
type AuditLogArgs = z.infer<typeof AuditLogArgs>;

export const K8S_AUDIT_LOG = readTool<AuditLogArgs>({
  system: 'k8s',
  base_class: 'read',
  dry_run: 'none',
  timeout_ms_max: 30_000,
  result_bytes_max: 8 * 1024 * 1024,
  name: 'k8s.audit_log',
  description: 'Lists who changed, created or deleted what in one namespace, from the audit log.',
  target_kinds: [AUDIT_LOG_KIND],
  input: AuditLogArgs,
  read: auditLog,
});

async function auditLog(handle: CallHandle, args: AuditLogArgs): Promise<ReadAnswer> {
  const { upstream, target } = handle;
  if (upstream.system !== 'loki' || upstream.audit === undefined)
    throw blocked('the target is not an audit log');
  const { selector, people } = upstream.audit;
  const query = auditQuery(selector, target.namespace);
  const since_ms = Date.parse(args.since);
  const found = new Map<string, AuditAct>();
  let unreadable = 0;
  const take = ({ line }: LogEntry): void => {
    const act = auditAct(line, target.namespace, people);
    if (act === 'unreadable') unreadable += 1;
    // A line that was stored late may tell of an earlier act.
    else if (act !== null && Date.parse(act.at) >= since_ms) found.set(act.key, act);
  };
  const all = await eachLine(handle, query, args, take);
  const acts = [...found.values()].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return {
    result: {
      acts: acts.slice(-ACTS_MAX).map(({ key: _key, ...act }) => act),
      more: !all || acts.length > ACTS_MAX,
      unreadable,
    },
    source_query: query,
  };
}

/** Newest first, page by page. @returns false when there was more than may be read. */
async function eachLine(
  handle: CallHandle,
  query: string,
  args: AuditLogArgs,
  take: (entry: LogEntry) => void,
): Promise<boolean> {
  const start_ns = nanoseconds(args.since);
  let end = BigInt(nanoseconds(args.until));
  let limit = PAGE_LINES_MAX;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const window = { start_ns, end_ns: String(end), limit, direction: 'backward' } as const;
    const entries = await askLoki(handle, query, window).catch((error: unknown) => {
      const is_long = error instanceof UpstreamError && error.info.problem === 'too-large';
      if (!is_long || limit <= PAGE_LINES_MIN) throw error;
      return null;
    });
    if (entries === null) {
      limit = Math.max(PAGE_LINES_MIN, Math.floor(limit / 4));
      continue;
    }
    entries.forEach(take);
    if (entries.length < limit) return true;
    // The oldest time of a page may not be complete: it is asked for again with the next one.
    const next = BigInt(entries[0]?.ts_ns ?? '0') + 1n;
    if (next >= end) return false;
    end = next;
  }
  return false;
}

function nanoseconds(time: string): string {
  return `${Date.parse(time)}000000`;
}

/** Names of our own, so that no label of a stream stands in their way. */
function auditQuery(selector: Readonly<Record<string, string>>, namespace: string): string {
  const labels = Object.entries(selector)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const plurals = AUDITED_KINDS.map((kind) => KINDS[kind]?.plural ?? kind);
  return [
    `{${labels.join(', ')}} |= ${JSON.stringify(namespace)}`,
    'json aegis_namespace="objectRef.namespace", aegis_resource="objectRef.resource", aegis_stage="stage", aegis_verb="verb"',
    `aegis_namespace=${JSON.stringify(namespace)}`,
    `aegis_stage=${JSON.stringify(AUDITED_STAGE)}`,
    `aegis_verb=~${JSON.stringify(AUDITED_VERBS.join('|'))}`,
    `aegis_resource=~${JSON.stringify(plurals.join('|'))}`,
  ].join(' | ');
}
