import { z } from 'zod';
import { answerJson, malformed } from '../answer-json.ts';
import { readTool, type CallHandle, type ReadAnswer } from '../driver.ts';
import { KIND_NAMES, KINDS } from './kinds.ts';
import { collectionPath, getObject, kindOf, objectPath, withoutNoise } from './objects.ts';

const COMMON = {
  system: 'k8s',
  base_class: 'read',
  dry_run: 'none',
  timeout_ms_max: 30_000,
  result_bytes_max: 4 * 1024 * 1024,
} as const;

const Selector = z.string().min(1).max(1000);

export const K8S_GET = readTool({
  ...COMMON,
  name: 'k8s.get',
  description: 'Reads one Kubernetes object.',
  target_kinds: [...KIND_NAMES],
  input: z.strictObject({}),
  read: async (handle) => {
    const object = withoutNoise(await getObject(handle));
    return { result: { object }, source_query: `GET ${objectPath(handle.target, kindOf(handle.target))}` };
  },
});

const ListArgs = z.strictObject({
  label_selector: Selector.optional(),
  field_selector: Selector.optional(),
  limit: z.int().min(1).max(1000).default(500),
});

export const K8S_LIST = readTool({
  ...COMMON,
  name: 'k8s.list',
  description: 'Lists Kubernetes objects of one kind in one namespace.',
  target_kinds: [...KIND_NAMES],
  input: ListArgs,
  read: (handle, args) => list(handle, args),
});

const EventArgs = z.strictObject({ limit: z.int().min(1).max(1000).default(200) });

export const K8S_EVENTS = readTool({
  ...COMMON,
  name: 'k8s.events',
  description: 'Lists the events of one object, or of all objects of a kind in a namespace.',
  target_kinds: KIND_NAMES.filter((name) => KINDS[name]?.namespaced === true),
  input: EventArgs,
  read: events,
});

const LogArgs = z.strictObject({
  container: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
    .optional(),
  tail_lines: z.int().min(1).max(50_000).optional(),
  since_time: z.iso.datetime({ offset: true }).optional(),
  previous: z.boolean().default(false),
  limit_bytes: z.int().min(1).max(4_000_000).default(2_000_000),
});

export const K8S_LOGS = readTool({
  ...COMMON,
  name: 'k8s.logs',
  description: 'Reads the log of one container of a pod.',
  target_kinds: ['pod'],
  input: LogArgs,
  read: logs,
});

async function list(handle: CallHandle, args: z.infer<typeof ListArgs>): Promise<ReadAnswer> {
  const path = collectionPath(handle.target, kindOf(handle.target));
  const query: Record<string, string> = { limit: String(args.limit) };
  if (args.label_selector !== undefined) query['labelSelector'] = args.label_selector;
  if (args.field_selector !== undefined) query['fieldSelector'] = args.field_selector;
  const { text } = await handle.http.request({ method: 'GET', path, query });
  const body = answerJson(text) as { items?: unknown[]; metadata?: { continue?: string } };
  if (!Array.isArray(body.items)) throw malformed('the answer is not a Kubernetes list');
  return {
    result: { items: body.items.map(withoutNoise), more: (body.metadata?.continue ?? '') !== '' },
    source_query: apiCall(path, query),
  };
}

async function events(handle: CallHandle, args: z.infer<typeof EventArgs>): Promise<ReadAnswer> {
  const { target } = handle;
  const collection = { ...handle, target: { ...target, kind: 'event', name: '-' } };
  if (target.kind === 'event') return list(collection, args);
  const fields = [`involvedObject.kind=${kindOf(target).kind}`];
  if (target.name !== '-') fields.push(`involvedObject.name=${target.name}`);
  return list(collection, { field_selector: fields.join(','), limit: args.limit });
}

async function logs(handle: CallHandle, args: z.infer<typeof LogArgs>): Promise<ReadAnswer> {
  const path = `${objectPath(handle.target, kindOf(handle.target))}/log`;
  const query: Record<string, string> = { timestamps: 'true', limitBytes: String(args.limit_bytes) };
  if (args.container !== undefined) query['container'] = args.container;
  if (args.tail_lines !== undefined) query['tailLines'] = String(args.tail_lines);
  if (args.since_time !== undefined) query['sinceTime'] = args.since_time;
  if (args.previous) query['previous'] = 'true';
  const { text } = await handle.http.request({ method: 'GET', path, query });
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return { result: { lines: lines.map(logLine) }, source_query: apiCall(path, query) };
}

/** `2026-11-23T10:11:12.123456789Z text`; a line that was cut by a byte limit may have no time. */
function logLine(raw: string): { ts: string; line: string } {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) ?(.*)$/s.exec(raw);
  return match === null ? { ts: '', line: raw } : { ts: match[1] as string, line: match[2] as string };
}

function apiCall(path: string, query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(query).toString();
  return `GET ${path}${text === '' ? '' : `?${text}`}`;
}
