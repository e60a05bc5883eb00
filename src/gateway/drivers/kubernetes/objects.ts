import type { Target } from '../../../contract/tool.ts';
import { valueAt } from '../../json-pointer.ts';
import { answerJson, blocked, malformed } from '../answer-json.ts';
import type { CallHandle } from '../driver.ts';
import { KINDS, type KindInfo } from './kinds.ts';

export interface KubeObject {
  readonly metadata: {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

export function kindOf(target: Target): KindInfo {
  const info = KINDS[target.kind];
  if (info === undefined) throw blocked(`the kind "${target.kind}" is not served`);
  if (info.namespaced !== (target.namespace !== '-'))
    throw blocked(`${info.kind} is ${info.namespaced ? 'inside a namespace' : 'outside of namespaces'}`);
  return info;
}

export function collectionPath(target: Target, info: KindInfo): string {
  const scope = info.namespaced ? `/namespaces/${encodeURIComponent(target.namespace)}` : '';
  return `${info.base}${scope}/${info.plural}`;
}

export function objectPath(target: Target, info: KindInfo): string {
  if (target.name === '-') throw blocked('the target names no object');
  return `${collectionPath(target, info)}/${encodeURIComponent(target.name)}`;
}

export async function getObject(handle: CallHandle): Promise<KubeObject> {
  const info = kindOf(handle.target);
  const { text } = await handle.http.request({ method: 'GET', path: objectPath(handle.target, info) });
  return parseObject(text);
}

/** The object as the API sent it. @throws UpstreamError `malformed` when it is not one. */
export function parseObject(text: string): KubeObject {
  const value = answerJson(text) as Partial<KubeObject> | null;
  if (typeof value?.metadata?.uid !== 'string') throw malformed('the answer is not a Kubernetes object');
  return value as KubeObject;
}

const PAGE = 100;
const PAGES_MAX = 10;

/** Every item of a collection, page by page. `items_are` names them for the refusal when there are too many. @throws UpstreamError */
export async function listAll(
  handle: CallHandle,
  path: string,
  selector: Readonly<Record<string, string>>,
  items_are: string,
): Promise<unknown[]> {
  const found: unknown[] = [];
  let next: unknown = '';
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const paging: Record<string, string> = typeof next === 'string' && next !== '' ? { continue: next } : {};
    const query = { ...selector, limit: String(PAGE), ...paging };
    const { text } = await handle.http.request({ method: 'GET', path, query });
    const list = answerJson(text);
    const items = valueAt(list, '/items');
    if (!Array.isArray(items)) throw malformed('the answer is not a list');
    found.push(...(items as unknown[]));
    next = valueAt(list, '/metadata/continue');
    if (next === undefined || next === '') return found;
  }
  throw blocked(`more than ${PAGES_MAX * PAGE} ${items_are}`);
}

/** Drops what only the API server needs: field ownership, and the copy of the manifest that kubectl leaves behind. */
export function withoutNoise(object: unknown): unknown {
  if (typeof object !== 'object' || object === null) return object;
  const { metadata, ...rest } = object as { metadata?: Record<string, unknown> };
  if (metadata === undefined) return object;
  const { managedFields: _managed, annotations, ...kept } = metadata;
  const notes = Object.entries((annotations ?? {}) as Record<string, unknown>).filter(
    ([name]) => name !== 'kubectl.kubernetes.io/last-applied-configuration',
  );
  return {
    ...rest,
    metadata: { ...kept, ...(notes.length === 0 ? {} : { annotations: Object.fromEntries(notes) }) },
  };
}
