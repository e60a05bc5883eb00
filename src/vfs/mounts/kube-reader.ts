import { z } from 'zod';
import type { Target } from '../../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import { lineText } from '../line-text.ts';
import type { VfsFile } from '../mount.ts';
import type { SourceReader } from '../source-reader.ts';
import { yamlLines } from '../yaml-text.ts';
import { asObject, KubeObject } from './kube-objects.ts';

/** Reads of one cluster through the gateway's `k8s.*` tools, parsed at this edge. */
export interface Place {
  readonly cluster: string;
  readonly namespace: string;
}

const LIST_ITEMS_MAX = 500;

/** Names of Kubernetes objects; `-` is none of them, since in a target it means "all". */
export function isObjectName(name: string): boolean {
  return /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(name);
}

export function kubeTarget(place: Place, kind: string, name: string): Target {
  return { system: 'k8s', cluster: place.cluster, namespace: place.namespace, kind, name };
}

export async function getObject(
  io: SourceReader,
  place: Place,
  kind: string,
  name: string,
): Promise<KubeObject | Refusal> {
  const result = await io.call('k8s.get', kubeTarget(place, kind, name), {});
  if (isRefusal(result)) return result;
  const parsed = z.object({ object: KubeObject }).safeParse(result.result);
  return parsed.success ? parsed.data.object : badAnswer('k8s.get', parsed.error);
}

export async function listObjects(
  io: SourceReader,
  place: Place,
  kind: string,
): Promise<readonly KubeObject[] | Refusal> {
  const result = await io.call('k8s.list', kubeTarget(place, kind, '-'), { limit: LIST_ITEMS_MAX });
  if (isRefusal(result)) return result;
  const parsed = z.object({ items: z.array(KubeObject) }).safeParse(result.result);
  return parsed.success ? parsed.data.items : badAnswer('k8s.list', parsed.error);
}

export function badAnswer(tool: string, error: z.ZodError): Refusal {
  const issue = error.issues[0];
  return refuse(
    'upstream-malformed',
    `The answer of ${tool} has an unexpected form (${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}).`,
    'Check the version of the source, then read again.',
  );
}

/** A state file of one object. */
export function objectFile(
  mount: string,
  find: (io: SourceReader) => Promise<KubeObject | Refusal>,
  view: (object: KubeObject) => Record<string, unknown>,
): Pick<VfsFile, 'mount' | 'evidence' | 'attacker_writable'> & {
  read: (io: SourceReader) => Promise<readonly string[] | Refusal>;
} {
  return {
    mount,
    evidence: 'state',
    attacker_writable: false,
    async read(io) {
      const object = await find(io);
      return isRefusal(object) ? object : yamlLines(view(object));
    },
  };
}

const KubeEvent = z.looseObject({
  metadata: z.looseObject({ name: z.string(), creationTimestamp: z.string().nullish() }),
  type: z.string().nullish(),
  reason: z.string().nullish(),
  message: z.string().nullish(),
  firstTimestamp: z.string().nullish(),
  eventTime: z.string().nullish(),
  source: z.unknown().optional(),
  reportingComponent: z.string().nullish(),
});

export interface EventLine {
  readonly at_ms: number;
  readonly text: string;
}

/**
 * Events of one object, ordered by first time, then name. Count and last time are left out: they change while the event
 * stays the same, and evidence must not.
 */
export async function eventLines(
  io: SourceReader,
  place: Place,
  kind: string,
  name: string,
  limit: number,
): Promise<readonly EventLine[] | Refusal> {
  const result = await io.call('k8s.events', kubeTarget(place, kind, name), { limit });
  if (isRefusal(result)) return result;
  const parsed = z.object({ items: z.array(KubeEvent) }).safeParse(result.result);
  if (!parsed.success) return badAnswer('k8s.events', parsed.error);
  const first = (event: z.infer<typeof KubeEvent>) =>
    event.firstTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp ?? '';
  const keyed = parsed.data.items.map((event) => ({ event, at: first(event) }));
  keyed.sort((a, b) => compare(a.at, b.at) || compare(a.event.metadata.name, b.event.metadata.name));
  return keyed.map(({ event, at }) => {
    const component = event.reportingComponent || asObject(event.source)['component'];
    const words = [
      at || '-',
      event.type ?? '-',
      event.reason ?? '-',
      typeof component === 'string' && component !== '' ? component : '-',
    ];
    const head = words.map((word) => lineText(word).replaceAll(/\s/g, '_')).join(' ');
    return { at_ms: Date.parse(at), text: `${head} | ${lineText(event.message ?? '')}` };
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
