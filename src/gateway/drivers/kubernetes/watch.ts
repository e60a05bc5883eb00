import { z } from 'zod';
import { WATCHED_KINDS } from '../../../contract/shadow.ts';
import { valueAt } from '../../json-pointer.ts';
import { UpstreamError } from '../../upstream-error.ts';
import { answerJson, malformed } from '../answer-json.ts';
import { readTool, type CallHandle, type ReadAnswer } from '../driver.ts';
import { writesOf, type Write } from './changes.ts';
import { collectionPath, kindOf } from './objects.ts';

/**
 * Every change of the objects of one kind in one namespace since a resourceVersion, also of what is gone or overwritten by
 * now. The API server keeps such changes for minutes, so a short watch that begins where the last one ended sees them all;
 * without a version it only says where to begin. Bookmarks move the version on where nothing happens
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
 */
const TIMEOUT_S_MAX = 25;
const WRITES_MAX = 200;
const DELETIONS_MAX = 100;
const MANAGERS_MAX = 20;

const WatchArgs = z.strictObject({
  /** Writes before this moment are of no interest. */
  since: z.iso.datetime({ offset: true }),
  resource_version: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/)
    .nullable(),
  /** The server ends the watch after this long. */
  timeout_s: z.int().min(1).max(TIMEOUT_S_MAX),
});
type WatchArgs = z.infer<typeof WatchArgs>;

export const K8S_WATCH = readTool<WatchArgs>({
  system: 'k8s',
  base_class: 'read',
  dry_run: 'none',
  timeout_ms_max: 30_000,
  result_bytes_max: 8 * 1024 * 1024,
  name: 'k8s.watch',
  description:
    'Lists writes and deletions of the objects of one kind in one namespace since a resourceVersion.',
  target_kinds: [...WATCHED_KINDS],
  input: WatchArgs,
  read: watch,
});

interface Deletion {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** When it was asked for, where the object says so. */
  readonly at: string | null;
  /** It had an owner: the garbage collector deletes such objects. */
  readonly owned: boolean;
  /** Field managers that had written it. */
  readonly managers: readonly string[];
}

async function watch(handle: CallHandle, args: WatchArgs): Promise<ReadAnswer> {
  const path = collectionPath(handle.target, kindOf(handle.target));
  if (args.resource_version === null) return begin(handle, path);
  const query = {
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: args.resource_version,
    timeoutSeconds: String(args.timeout_s),
  };
  const source_query = `WATCH ${path} from ${args.resource_version} for ${args.timeout_s} s`;
  const lines = await linesOf(handle, path, query);
  return { result: lines === null ? GONE : readEvents(lines, args), source_query };
}

/** The version is too old: what happened since cannot be asked for any more. */
const GONE = { resource_version: null, gone: true, writes: [], deletions: [], more: false };

/** A list of one object says at which version the whole collection stands. */
async function begin(handle: CallHandle, path: string): Promise<ReadAnswer> {
  const { text } = await handle.http.request({ method: 'GET', path, query: { limit: '1' } });
  const version = valueAt(answerJson(text), '/metadata/resourceVersion');
  if (typeof version !== 'string' || version === '') throw malformed('the list has no resourceVersion');
  return {
    result: { resource_version: version, gone: false, writes: [], deletions: [], more: false },
    source_query: `GET ${path}`,
  };
}

async function linesOf(
  handle: CallHandle,
  path: string,
  query: Readonly<Record<string, string>>,
): Promise<string[] | null> {
  try {
    const { text } = await handle.http.request({ method: 'GET', path, query });
    return text.split('\n').filter((line) => line !== '');
  } catch (error) {
    // Usually the stream says so; a server may also say it at once. More than may be read is as lost as what is gone.
    if (error instanceof UpstreamError && (error.info.status === 410 || error.info.problem === 'too-large'))
      return null;
    throw error;
  }
}

function readEvents(lines: readonly string[], args: WatchArgs): Record<string, unknown> {
  const since_ms = Date.parse(args.since);
  const writes: Write[] = [];
  const deletions: Deletion[] = [];
  let version = args.resource_version;
  for (const line of lines) {
    const event = answerJson(line);
    const type = valueAt(event, '/type');
    const object = valueAt(event, '/object');
    if (type === 'ERROR') {
      if (valueAt(object, '/code') === 410) return GONE;
      throw failed(object);
    }
    if (type === 'ADDED' || type === 'MODIFIED') writes.push(...writesOf(object, since_ms));
    else if (type === 'DELETED') deletions.push(deletionOf(object));
    else if (type !== 'BOOKMARK') throw malformed(`a watch event of the type ${JSON.stringify(type)}`);
    const next = valueAt(object, '/metadata/resourceVersion');
    if (typeof next !== 'string' || next === '') throw malformed('a watch event has no resourceVersion');
    version = next;
  }
  // Each later state of an object names its earlier writers again.
  const unique = [...new Map(writes.map((write) => [JSON.stringify(identityOf(write)), write])).values()];
  return {
    resource_version: version,
    gone: false,
    writes: unique.slice(0, WRITES_MAX),
    deletions: deletions.slice(0, DELETIONS_MAX),
    more: unique.length > WRITES_MAX || deletions.length > DELETIONS_MAX,
  };
}

function identityOf({ uid, manager, at, fields }: Write): unknown {
  return [uid, manager, at, fields];
}

function deletionOf(object: unknown): Deletion {
  const text = (pointer: string): string => {
    const value = valueAt(object, pointer);
    return typeof value === 'string' ? value : '';
  };
  const owners = valueAt(object, '/metadata/ownerReferences');
  const generation = valueAt(object, '/metadata/generation');
  return {
    name: text('/metadata/name'),
    uid: text('/metadata/uid'),
    generation: typeof generation === 'number' ? generation : 0,
    at: text('/metadata/deletionTimestamp') || null,
    owned: Array.isArray(owners) && owners.length > 0,
    managers: managersOf(object),
  };
}

function managersOf(object: unknown): string[] {
  const entries = valueAt(object, '/metadata/managedFields');
  if (!Array.isArray(entries)) return [];
  const names = (entries as unknown[])
    .filter((entry) => valueAt(entry, '/subresource') !== 'status')
    .map((entry) => valueAt(entry, '/manager'))
    .filter((name) => typeof name === 'string');
  return [...new Set(names)].slice(0, MANAGERS_MAX);
}

function failed(status: unknown): UpstreamError {
  const message = valueAt(status, '/message');
  const words = typeof message === 'string' ? message.slice(0, 1000) : 'no reason';
  return new UpstreamError({
    problem: 'failed',
    sent: 'answered',
    status: null,
    message: `the watch ended: ${words}`,
  });
}
