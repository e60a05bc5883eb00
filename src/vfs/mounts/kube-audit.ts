import { z } from 'zod';
import { isoTime } from '../../contract/ports.ts';
import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import { wholeFile, type Look, type PathParams } from '../mount.ts';
import { onlyParams, sinceParam } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { present, yamlLines } from '../yaml-text.ts';
import { badAnswer, kubeTarget, type Place } from './kube-reader.ts';

/**
 * `namespaces/<ns>/audit.yaml?since=1h`: who changed, created or deleted what in the namespace, oldest first, as the
 * cluster's audit log tells it: authenticated users, also what was overwritten or is gone. Only clusters whose
 * configuration names an audit log have the file. What could not be read stands under `unseen`.
 */
const SINCE_OTHERWISE = '1h';
/** Clocks differ: lines that are stored with a time just ahead of ours belong to now. */
const CLOCKS_APART_MS = 60_000;

const Answer = z.object({
  acts: z.array(
    z.object({
      kind: z.string(),
      name: z.string(),
      uid: z.string(),
      generation: z.number(),
      user: z.string(),
      impersonated: z.string().nullable(),
      by: z.string().nullable(),
      client: z.string(),
      verb: z.string(),
      subresource: z.string(),
      at: z.string(),
      fields: z.array(z.string()),
      more_fields: z.number(),
      values: z.record(z.string(), z.unknown()),
      template: z.string().nullable(),
    }),
  ),
  more: z.boolean(),
  unreadable: z.number(),
});
type Act = z.infer<typeof Answer>['acts'][number];

export function auditFile(mount: string, place: Place, params: PathParams, now: () => number): Look {
  const bad = onlyParams(params, ['since']);
  if (bad !== null) return bad;
  const since = sinceParam(params, SINCE_OTHERWISE, now);
  if (isRefusal(since)) return since;
  return wholeFile({
    mount,
    evidence: 'state',
    // Names of clients and bodies of requests are the writer's; only users and times are the API server's.
    attacker_writable: true,
    asks: `acts in ${place.cluster} ${place.namespace} since ${since.at}, from the audit log`,
    read: (io) => readAudit(io, place, since.at, isoTime(now() + CLOCKS_APART_MS)),
  });
}

async function readAudit(
  io: SourceReader,
  place: Place,
  since: string,
  until: string,
): Promise<readonly string[] | Refusal> {
  const result = await io.call('k8s.audit_log', kubeTarget(place, 'auditlog', '-'), { since, until });
  if (isRefusal(result)) return result;
  const parsed = Answer.safeParse(result.result);
  if (!parsed.success) return badAnswer('k8s.audit_log', parsed.error);
  const { acts, more, unreadable } = parsed.data;
  return yamlLines({
    kind: 'AuditLog',
    cluster: place.cluster,
    namespace: place.namespace,
    since,
    acts: acts.map((act) => actView(place, act)),
    unseen: [
      ...(more ? ['too many lines; only the newest are shown'] : []),
      ...(unreadable === 0 ? [] : [`${unreadable} lines are too long or no audit events`]),
    ],
  });
}

function actView(place: Place, act: Act): Record<string, unknown> {
  const { user, impersonated, by, client, uid, template, generation } = act;
  return {
    target: `mcp://k8s/${place.cluster}/${place.namespace}/${act.kind}/${act.name}`,
    ...present({ uid, generation: generation === 0 ? null : generation }),
    user,
    ...present({ impersonated, by, client }),
    operation: act.subresource === '' ? act.verb : `${act.verb} ${act.subresource}`,
    at: act.at,
    fields: act.fields,
    ...(act.more_fields === 0 ? {} : { more_fields: act.more_fields }),
    values: act.values,
    ...present({ template }),
  };
}
