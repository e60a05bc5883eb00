import { WATCHED_KINDS } from '../../../contract/shadow.ts';
import { z } from 'zod';
import { valueAt } from '../../json-pointer.ts';
import { templateMark } from '../../template-mark.ts';
import { readTool, type CallHandle, type ReadAnswer } from '../driver.ts';
import { collectionPath, kindOf, listAll } from './objects.ts';
import { ownedFields } from './owned-fields.ts';

/**
 * Who wrote what since a moment, from the bookkeeping that the API server keeps with every object. Each entry names a
 * field manager with the time of its newest write and all fields that it owns by now, so the list of fields is an upper
 * bound of that write. Deletions leave no trace in it.
 */
const FIELDS_MAX = 30;
const VALUE_CHARS_MAX = 300;
const WRITES_MAX = 100;

export const K8S_CHANGES = readTool({
  system: 'k8s',
  base_class: 'read',
  dry_run: 'none',
  timeout_ms_max: 30_000,
  result_bytes_max: 4 * 1024 * 1024,
  name: 'k8s.changes',
  description: 'Lists who wrote which fields of the objects of one kind in one namespace since a moment.',
  target_kinds: [...WATCHED_KINDS],
  input: z.strictObject({ since: z.iso.datetime({ offset: true }) }),
  read: (handle, args) => changes(handle, Date.parse(args.since)),
});

async function changes(handle: CallHandle, since_ms: number): Promise<ReadAnswer> {
  const info = kindOf(handle.target);
  const path = collectionPath(handle.target, info);
  const objects = await listAll(handle, path, {}, `objects of kind ${info.kind} are in the namespace`);
  const found = objects.flatMap((object) => writesOf(object, since_ms));
  found.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return {
    result: { writes: found.slice(-WRITES_MAX), more: found.length > WRITES_MAX },
    source_query: `GET ${path}`,
  };
}

export interface Write {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly revision: string | null;
  readonly manager: string;
  readonly operation: string;
  readonly at: string;
  readonly fields: readonly string[];
  readonly more_fields: number;
  readonly values: Readonly<Record<string, unknown>>;
  readonly template: string | null;
}

/** The API server writes whole seconds: a write in the second of the moment counts. */
const SECOND_MS = 1000;

export function writesOf(object: unknown, since_ms: number): Write[] {
  const entries = valueAt(object, '/metadata/managedFields');
  if (!Array.isArray(entries)) return [];
  const since_s = Math.floor(since_ms / SECOND_MS) * SECOND_MS;
  return entries.flatMap((entry: unknown): Write[] => {
    const at = valueAt(entry, '/time');
    const manager = valueAt(entry, '/manager');
    if (typeof at !== 'string' || typeof manager !== 'string') return [];
    if (!(Date.parse(at) >= since_s) || valueAt(entry, '/subresource') === 'status') return [];
    const owned = ownedFields(valueAt(entry, '/fieldsV1'), object);
    if (owned.length === 0) return [];
    const shown = owned.slice(0, FIELDS_MAX);
    return [
      {
        ...identityOf(object),
        manager,
        operation: textOr(valueAt(entry, '/operation'), 'Update'),
        at,
        fields: shown.map((field) => field.path),
        more_fields: owned.length - shown.length,
        values: Object.fromEntries(shown.filter(isShort).map((field) => [field.path, field.value])),
      },
    ];
  });
}

function identityOf(object: unknown): Pick<Write, 'name' | 'uid' | 'generation' | 'revision' | 'template'> {
  const generation = valueAt(object, '/metadata/generation');
  const revision = valueAt(object, '/metadata/annotations/deployment.kubernetes.io~1revision');
  return {
    name: textOr(valueAt(object, '/metadata/name'), ''),
    uid: textOr(valueAt(object, '/metadata/uid'), ''),
    generation: typeof generation === 'number' ? generation : 0,
    revision: typeof revision === 'string' ? revision : null,
    template: templateMark(object),
  };
}

function isShort({ value }: { readonly value: unknown }): boolean {
  return value !== undefined && JSON.stringify(value).length <= VALUE_CHARS_MAX;
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}
