import { isRefusal, type Refusal } from '../../contract/verdict.ts';
import {
  directory,
  mountsOf,
  wholeFile,
  type Look,
  type Mount,
  type MountContext,
  type PathParams,
  type VfsDir,
} from '../mount.ts';
import { noParams } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { yamlLines } from '../yaml-text.ts';
import { auditFile } from './kube-audit.ts';
import { changesFile } from './kube-changes.ts';
import { eventsFile } from './kube-events-file.ts';
import { podLogFile } from './kube-log-file.ts';
import { getObject, isObjectName, listObjects, objectFile, type Place } from './kube-reader.ts';
import { quotaView, specView, statusView } from './kube-objects.ts';
import { rolloutFile } from './kube-rollout.ts';

/**
 * `k8s/clusters/<cluster>/namespaces/<ns>/<kind>/<name>/{spec.yaml,status.yaml,events.tail,logs.tail,rollout.yaml}`, and the short form
 * without `clusters/<cluster>` where the environment has one cluster. Only configured namespaces exist. A namespace also has `quota.yaml`, `changes.yaml` and, where the cluster has an audit log, `audit.yaml`.
 */
const NAME = 'kubernetes';

/** Directory name -> kind in targets. Secrets are not here and the gateway refuses them as well. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ['pods', 'pod'],
  ['deployments', 'deployment'],
  ['replicasets', 'replicaset'],
  ['statefulsets', 'statefulset'],
  ['daemonsets', 'daemonset'],
  ['jobs', 'job'],
  ['cronjobs', 'cronjob'],
  ['services', 'service'],
  ['ingresses', 'ingress'],
  ['horizontalpodautoscalers', 'horizontalpodautoscaler'],
  ['poddisruptionbudgets', 'poddisruptionbudget'],
  ['persistentvolumeclaims', 'persistentvolumeclaim'],
  ['sparkapplications', 'sparkapplication'],
]);

/** Files that only some kinds have. */
const MORE_FILES: ReadonlyMap<string, readonly string[]> = new Map([
  ['pod', ['logs.tail']],
  ['deployment', ['rollout.yaml']],
]);

export function kubernetesMount(context: MountContext): Mount {
  const clusters = new Map<string, string[]>();
  for (const mount of mountsOf(context, 'kubernetes')) {
    const known = clusters.get(mount.cluster) ?? [];
    clusters.set(mount.cluster, [...new Set([...known, ...mount.namespaces])].sort());
  }
  const names = [...clusters.keys()].sort();
  const only = names.length === 1 ? (names[0] as string) : null;
  const now = () => context.clock.now();
  const at = (cluster: string) => ({
    cluster,
    audited: context.settings.clusters[cluster]?.audit !== undefined,
  });
  return {
    name: NAME,
    look(path, params) {
      if (names.length === 0) return null;
      const [area, ...rest] = path;
      if (area === undefined)
        return directory([dir('clusters'), ...(only === null ? [] : [dir('namespaces')])]);
      if (area === 'namespaces' && only !== null)
        return lookNamespaces(at(only), clusters.get(only) as string[], rest, params, now);
      if (area !== 'clusters') return null;
      const [cluster, word, ...inside] = rest;
      if (cluster === undefined) return directory(names.map(dir));
      const namespaces = clusters.get(cluster);
      if (namespaces === undefined) return null;
      if (word === undefined) return directory([dir('namespaces')]);
      return word === 'namespaces' ? lookNamespaces(at(cluster), namespaces, inside, params, now) : null;
    },
  };
}

function lookNamespaces(
  { cluster, audited }: { readonly cluster: string; readonly audited: boolean },
  namespaces: readonly string[],
  path: readonly string[],
  params: PathParams,
  now: () => number,
): Look {
  const [namespace, kinds, name, file, ...beyond] = path;
  if (namespace === undefined) return directory(namespaces.map(dir));
  if (!namespaces.includes(namespace) || beyond.length > 0) return null;
  const place: Place = { cluster, namespace };
  if (kinds === undefined)
    return directory([
      ...[...KINDS.keys()].map(dir),
      { name: 'quota.yaml', kind: 'file' },
      { name: 'changes.yaml', kind: 'file' },
      ...(audited ? [{ name: 'audit.yaml', kind: 'file' } as const] : []),
    ]);
  if (kinds === 'quota.yaml') return name === undefined ? quotaFile(place, params) : null;
  if (kinds === 'changes.yaml') return name === undefined ? changesFile(NAME, place, params, now) : null;
  if (kinds === 'audit.yaml')
    return name === undefined && audited ? auditFile(NAME, place, params, now) : null;
  const kind = KINDS.get(kinds);
  if (kind === undefined) return null;
  if (name === undefined) return objectsDirectory(place, kind);
  if (!isObjectName(name)) return null;
  if (kind === 'deployment' && file === 'rollout.yaml') return rolloutFile(NAME, place, name, params, now);
  return lookObject(place, kind, name, file, params);
}

function lookObject(
  place: Place,
  kind: string,
  name: string,
  file: string | undefined,
  params: PathParams,
): Look {
  const api = `GET ${place.cluster} ${place.namespace}/${kind}/${name}`;
  const find = (io: SourceReader) => getObject(io, place, kind, name);
  const locate = () => Promise.resolve({ place, name });
  const missing = async (io: SourceReader) => refusalIn(await find(io));
  switch (file) {
    case undefined:
      return directory(
        ['spec.yaml', 'status.yaml', 'events.tail', ...(MORE_FILES.get(kind) ?? [])].map((entry) => ({
          name: entry,
          kind: 'file',
        })),
      );
    case 'spec.yaml':
      return noParams(params) ?? wholeFile({ ...objectFile(NAME, find, specView), asks: api });
    case 'status.yaml':
      return noParams(params) ?? wholeFile({ ...objectFile(NAME, find, statusView), asks: api });
    case 'events.tail':
      return eventsFile(NAME, {
        asks: `${place.cluster} ${place.namespace}/${kind}/${name}`,
        locate,
        missing,
        kind,
        params,
      });
    case 'logs.tail':
      return kind === 'pod' ? podLogFile(NAME, place, name, params) : null;
    default:
      return null;
  }
}

function quotaFile(place: Place, params: PathParams): Look {
  return (
    noParams(params) ??
    wholeFile({
      mount: NAME,
      evidence: 'state',
      attacker_writable: false,
      asks: `LIST ${place.cluster} ${place.namespace}/resourcequota`,
      async read(io) {
        const quotas = await listObjects(io, place, 'resourcequota');
        return isRefusal(quotas) ? quotas : yamlLines(quotaView(quotas));
      },
    })
  );
}

function objectsDirectory(place: Place, kind: string): VfsDir {
  return {
    kind: 'dir',
    async list(io) {
      const objects = await listObjects(io, place, kind);
      if (isRefusal(objects)) return objects;
      return objects.map((object) => dir(object.metadata.name)).sort((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}

function refusalIn(answer: object | Refusal): Refusal | null {
  return isRefusal(answer) ? answer : null;
}

function dir(name: string): { name: string; kind: 'dir' } {
  return { name, kind: 'dir' };
}
