import { valueAt } from '../../json-pointer.ts';
import { answerJson } from '../answer-json.ts';
import type { CallHandle } from '../driver.ts';
import { evictionBody, type PodName } from './eviction-body.ts';
import { listAll } from './objects.ts';

/** The two requests about the pods of a node; the transport knows both to the letter. */
export function podsOnNode(handle: CallHandle): Promise<unknown[]> {
  const fieldSelector = `spec.nodeName=${handle.target.name}`;
  return listAll(handle, '/api/v1/pods', { fieldSelector }, 'pods are on this node');
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
