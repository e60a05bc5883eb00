import { valueAt } from '../../json-pointer.ts';
import { answerJson, blocked, malformed } from '../answer-json.ts';
import type { CallHandle } from '../driver.ts';
import { evictionBody, type PodName } from './eviction-body.ts';

/** The two requests about the pods of a node; the transport knows both to the letter. */
const PAGE = 100;
/** A kubelet runs 110 pods unless told otherwise. */
const PAGES_MAX = 10;

export async function podsOnNode(handle: CallHandle): Promise<unknown[]> {
  const found: unknown[] = [];
  let next: unknown = '';
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { text } = await handle.http.request({
      method: 'GET',
      path: '/api/v1/pods',
      query: {
        fieldSelector: `spec.nodeName=${handle.target.name}`,
        limit: String(PAGE),
        ...(typeof next === 'string' && next !== '' ? { continue: next } : {}),
      },
    });
    const list = answerJson(text);
    const items = valueAt(list, '/items');
    if (!Array.isArray(items)) throw malformed('the answer is not a list');
    found.push(...(items as unknown[]));
    next = valueAt(list, '/metadata/continue');
    if (next === undefined || next === '') return found;
  }
  throw blocked(`more than ${PAGES_MAX * PAGE} pods are on this node`);
}

/**
 * Asks for one eviction. Null: accepted. Text: the server refused it in an answer that calls itself a success, as it
 * does for a pod with several budgets. @throws UpstreamError `held` for a budget that is spent.
 */
export async function sendEviction(handle: CallHandle, pod: PodName): Promise<string | null> {
  const namespace = encodeURIComponent(pod.namespace);
  const { text } = await handle.http.request({
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}/pods/${encodeURIComponent(pod.name)}/eviction`,
    body: evictionBody(pod),
  });
  const status = answerJson(text);
  if (valueAt(status, '/status') !== 'Failure') return null;
  const message = valueAt(status, '/message');
  return typeof message === 'string' ? message.slice(0, 300) : 'the server refused it without a word';
}
