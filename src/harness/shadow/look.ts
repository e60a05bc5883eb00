import { z } from 'zod';
import { hashOf } from '../../contract/canonical.ts';
import { parseYamlText } from '../../contract/parse.ts';
import { isoTime } from '../../contract/ports.ts';
import type { SeenChange, Unseen } from '../../contract/shadow.ts';
import { parseTarget } from '../../contract/tool.ts';
import { isRobot } from './people.ts';

/** A captured `changes.yaml` as what people and programs did. Pure. */

const BookedWrite = z.object({
  target: z.string(),
  uid: z.string().default(''),
  generation: z.int().min(0).default(0),
  manager: z.string(),
  operation: z.string(),
  at: z.string(),
  fields: z.array(z.string()),
  more_fields: z.int().min(0).default(0),
  values: z.record(z.string(), z.unknown()),
  template: z.string().nullable().default(null),
});

const ChangesFile = z.object({
  cluster: z.string(),
  namespace: z.string(),
  changes: z.array(BookedWrite),
  unseen: z.array(z.object({ kind: z.string(), why: z.string() })),
});

export interface Look {
  readonly changes: readonly SeenChange[];
  readonly unseen: readonly Unseen[];
}

/** Fields of one change that are kept; the file itself is evidence and has them all. */
const FIELDS_KEPT = 30;
/** Writes of programs count only where the plan wanted to change something; Aegis's own are never of interest. */
const OWN_MANAGER = 'aegis';

/** @returns null when the text is no such file. */
export function readLook(
  text: string,
  robots: readonly string[],
  planned_targets: ReadonlySet<string>,
): Look | null {
  const parsed = parseYamlText(text);
  const file = parsed.ok ? ChangesFile.safeParse(parsed.value) : null;
  if (file === null || !file.success) return null;
  const { cluster, namespace } = file.data;
  const changes = file.data.changes.map((write) => seenWrite(write, robots));
  return {
    changes: changes.filter((change) => isOfInterest(change, planned_targets)),
    unseen: file.data.unseen.map(({ kind, why }) => ({
      place: `${cluster}/${namespace}/${kind}`.slice(0, 300),
      why: why.slice(0, 300),
    })),
  };
}

/** One entry of an object's bookkeeping as an act, whichever way it came here. */
export function seenWrite(write: z.infer<typeof BookedWrite>, robots: readonly string[]): SeenChange {
  const { target, uid, manager, at } = write;
  const fields = write.fields.slice(0, FIELDS_KEPT).map((field) => field.slice(0, 500));
  return {
    // The values may move afterwards; the act stays the same.
    key: hashOf([uid, manager, at, write.fields]).slice(0, 32),
    target,
    uid: uid.slice(0, 100),
    manager: manager.slice(0, 128),
    operation: write.operation.slice(0, 40),
    at: isoTime(Date.parse(at)),
    generation: write.generation,
    fields,
    more_fields: write.more_fields + write.fields.length - fields.length,
    values: Object.fromEntries(Object.entries(write.values).filter(([path]) => fields.includes(path))),
    template: write.template,
    robot: isRobot(manager, robots),
  };
}

export function isOfInterest(change: SeenChange, planned_targets: ReadonlySet<string>): boolean {
  return !change.robot || (change.manager !== OWN_MANAGER && planned_targets.has(change.target));
}

/** `<cluster>/<namespace>` of everything that is watched: the incident's own namespace and those of the plan. */
export function watchedPlaces(
  scope: { readonly cluster?: string | undefined; readonly namespace?: string | undefined },
  targets: readonly string[],
): { readonly cluster: string; readonly namespace: string }[] {
  const places = new Map<string, { cluster: string; namespace: string }>();
  const add = (cluster: string, namespace: string) =>
    places.set(`${cluster}/${namespace}`, { cluster, namespace });
  if (scope.cluster !== undefined && scope.namespace !== undefined) add(scope.cluster, scope.namespace);
  for (const target of targets) {
    const { system, cluster, namespace } = parseTarget(target);
    if (system === 'k8s' && namespace !== '-') add(cluster, namespace);
  }
  return [...places.values()];
}
