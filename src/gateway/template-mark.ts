import { hashOf } from '../contract/canonical.ts';
import { valueAt } from './json-pointer.ts';

/**
 * What a pod template is called in plans, approvals and the journal: a hash over all of it, without the label that the
 * controller adds to its ReplicaSets. So none of its text (environment variables may hold anything) is copied there. Pure.
 */
export function templateMark(object: unknown): string | null {
  const template = bareTemplate(object);
  return template === null ? null : `sha256:${hashOf({ v: 1, template })}`;
}

/** The pod template of a Deployment or ReplicaSet as its Deployment wrote it. */
export function bareTemplate(object: unknown): Record<string, unknown> | null {
  const template = valueAt(object, '/spec/template');
  if (!isMap(template)) return null;
  const { metadata, ...rest } = template;
  if (!isMap(metadata)) return rest;
  const { creationTimestamp: _unset, labels, ...kept } = metadata;
  if (!isMap(labels)) return { ...rest, metadata: kept };
  const { 'pod-template-hash': _hash, ...own } = labels;
  return { ...rest, metadata: { ...kept, labels: own } };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
