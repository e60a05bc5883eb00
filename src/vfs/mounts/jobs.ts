import { isRefusal, refuse, type Refusal } from '../../contract/verdict.ts';
import {
  directory,
  isMissing,
  mountsOf,
  wholeFile,
  type Look,
  type Mount,
  type MountContext,
  type PathParams,
} from '../mount.ts';
import { noParams } from '../path-params.ts';
import type { SourceReader } from '../source-reader.ts';
import { eventsFile } from './kube-events-file.ts';
import { jobStatus, specView, type KubeObject } from './kube-objects.ts';
import { getObject, isObjectName, listObjects, objectFile, type Place } from './kube-reader.ts';

/**
 * `jobs/<job>/{spec.yaml,status.yaml,events.tail}`: SparkApplications of the environment's namespaces. A name that several
 * namespaces use is written `<namespace>.<job>`.
 */
const NAME = 'jobs';
const KIND = 'sparkapplication';

export function jobsMount(context: MountContext): Mount {
  const places = mountsOf(context, 'jobs').flatMap((mount) =>
    mount.namespaces.map((namespace): Place => ({ cluster: mount.cluster, namespace })),
  );
  return {
    name: NAME,
    look(path, params) {
      if (places.length === 0) return null;
      const [job, file, ...beyond] = path;
      if (beyond.length > 0 || (job !== undefined && !isObjectName(job))) return null;
      return job === undefined
        ? { kind: 'dir', list: (io) => listJobs(io, places) }
        : lookJob(places, job, file, params);
    },
  };
}

function lookJob(places: readonly Place[], job: string, file: string | undefined, params: PathParams): Look {
  const candidates = candidatesOf(places, job);
  const find = async (io: SourceReader) => {
    const found = await findJob(io, candidates, job);
    return isRefusal(found) ? found : found.object;
  };
  const asks = candidates
    .map(({ place, name }) => `GET ${place.cluster} ${place.namespace}/${KIND}/${name}`)
    .join(', ');
  switch (file) {
    case undefined:
      return directory(['spec.yaml', 'status.yaml', 'events.tail'].map((name) => ({ name, kind: 'file' })));
    case 'spec.yaml':
      return noParams(params) ?? wholeFile({ ...objectFile(NAME, find, specView), asks });
    case 'status.yaml':
      return noParams(params) ?? wholeFile({ ...objectFile(NAME, find, jobStatus), asks });
    case 'events.tail':
      return eventsFile(NAME, {
        asks: candidates
          .map(({ place, name }) => `${place.cluster} ${place.namespace}/${KIND}/${name}`)
          .join(', '),
        locate: (io) => locateJob(io, candidates, job),
        missing: async (io) => {
          const found = await find(io);
          return isRefusal(found) ? found : null;
        },
        kind: KIND,
        params,
      });
    default:
      return null;
  }
}

interface Candidate {
  readonly place: Place;
  readonly name: string;
}

/** `<namespace>.<job>` of a known namespace, and the plain name everywhere. */
function candidatesOf(places: readonly Place[], job: string): readonly Candidate[] {
  const qualified = places
    .filter(({ namespace }) => job.startsWith(`${namespace}.`) && job.length > namespace.length + 1)
    .map((place) => ({ place, name: job.slice(place.namespace.length + 1) }));
  return qualified.length > 0 ? qualified : places.map((place) => ({ place, name: job }));
}

interface FoundJob extends Candidate {
  readonly object: KubeObject;
}

async function findJob(
  io: SourceReader,
  candidates: readonly Candidate[],
  job: string,
): Promise<FoundJob | Refusal> {
  const found: FoundJob[] = [];
  let missing: Refusal | null = null;
  for (const candidate of candidates) {
    const object = await getObject(io, candidate.place, KIND, candidate.name);
    if (!isRefusal(object)) found.push({ ...candidate, object });
    else if (isMissing(object)) missing = object;
    else return object;
  }
  const [only, ...others] = found;
  if (only === undefined) return missing as Refusal;
  if (others.length === 0) return only;
  const names = found.map(({ place, name }) => `${place.namespace}.${name}`).join(', ');
  return refuse('ambiguous-name', `Several namespaces have a job ${job}.`, `Write one of: ${names}.`);
}

/** With one possible place nobody needs to be asked: events may outlive their job. */
async function locateJob(
  io: SourceReader,
  candidates: readonly Candidate[],
  job: string,
): Promise<Candidate | Refusal> {
  const [only, ...others] = candidates;
  return only !== undefined && others.length === 0 ? only : findJob(io, candidates, job);
}

async function listJobs(
  io: SourceReader,
  places: readonly Place[],
): ReturnType<Extract<Look, { kind: 'dir' }>['list']> {
  const found: { name: string; namespace: string }[] = [];
  for (const place of places) {
    const objects = await listObjects(io, place, KIND);
    if (isRefusal(objects)) return objects;
    found.push(...objects.map((object) => ({ name: object.metadata.name, namespace: place.namespace })));
  }
  const shown = found.map(({ name, namespace }) =>
    found.filter((other) => other.name === name).length > 1 ? `${namespace}.${name}` : name,
  );
  return [...new Set(shown)].sort().map((name) => ({ name, kind: 'dir' }));
}
