import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { hashOf } from '../../contract/canonical.ts';
import { isoTime } from '../../contract/ports.ts';
import type { SeenChange, Unseen } from '../../contract/shadow.ts';
import { isRefusal } from '../../contract/verdict.ts';
import { lineText } from '../../vfs/line-text.ts';
import { KubeWrite } from '../../vfs/mounts/kube-changes.ts';
import type { EffectInput } from '../effects/effect.ts';
import { isOfInterest, seenWrite, watchedPlaces } from '../shadow/look.ts';
import { isRobot } from '../shadow/people.ts';
import type { WatchPositions } from '../shadow/watch.ts';
import { incidentOf } from '../state.ts';
import { isOutage } from '../world-session.ts';
import type { ReadSession } from '../world-session.ts';
import { OpenWatches } from './open-watches.ts';
import type { Looked } from './source.ts';

/**
 * What happened between two looks and cannot be seen any more in the objects: deletions, and writes that another write of
 * the same manager has overwritten. The API server keeps changes for a few minutes, so each kind is asked again and again
 * by a short watch that goes on where the last one ended; nothing is held open for the length of an incident. Where it
 * goes on is part of the incident, so a restart loses nothing that the server still has.
 */

/** The watch cache of an API server promises 75 s, etcd five minutes. */
const ASK_EVERY_MS = 60_000;
/** While nobody waits: long enough for the bookmark that comes two seconds before the end. */
const PATIENT_S = 4;
/** Within a look: what is kept comes at once. */
const BRIEF_S = 1;
const FOUND_MAX = 200;

const OPEN = new OpenWatches();

const Answer = z.object({
  resource_version: z.string().max(64).nullable(),
  gone: z.boolean(),
  writes: z.array(KubeWrite),
  deletions: z.array(
    z.object({
      name: z.string(),
      uid: z.string(),
      generation: z.number(),
      at: z.string().nullable(),
      owned: z.boolean(),
      managers: z.array(z.string()),
    }),
  ),
  more: z.boolean(),
});
type Answer = z.infer<typeof Answer>;

interface Watched {
  readonly cluster: string;
  readonly namespace: string;
  readonly kind: string;
}

export class KubernetesWatch {
  readonly #input: EffectInput;
  readonly #token: string;
  readonly #watched: readonly Watched[];
  readonly #targets: ReadonlySet<string>;
  readonly #positions: Map<string, WatchPositions[string]>;
  readonly #found = new Map<string, SeenChange>();
  /** Kinds that the cluster does not have (null), or that may not be watched, with the reason. */
  readonly #never = new Map<string, string | null>();
  #unseen = new Map<string, string>();
  #outage = false;

  constructor(input: EffectInput, read: Pick<ReadSession, 'session'>, targets: ReadonlySet<string>) {
    const { shadow } = input.deps.settings;
    this.#input = input;
    this.#token = read.session.token;
    this.#targets = targets;
    this.#positions = new Map(Object.entries(input.context.shadow?.positions ?? {}));
    this.#watched = shadow.watch
      ? watchedPlaces(incidentOf(input.context).scope, [...targets]).flatMap((place) =>
          shadow.kinds.map((kind) => ({ ...place, kind })),
        )
      : [];
  }

  /** Everything that the watches of this observation have shown until now. */
  async look(): Promise<Looked> {
    await this.#ask(BRIEF_S);
    const anew = [...this.#positions].flatMap(([place, { anew_at }]) =>
      anew_at === null
        ? []
        : [unseenAt(place, `began anew at ${anew_at}; what came and went before is not seen`)],
    );
    const never = [...this.#never].flatMap(([place, why]) => (why === null ? [] : [unseenAt(place, why)]));
    const now = [...this.#unseen].map(([place, why]) => unseenAt(place, why));
    return { changes: [...this.#found.values()], unseen: [...anew, ...never, ...now], outage: this.#outage };
  }

  /** Where the watches go on; undefined where nothing is watched. */
  positions(): WatchPositions | undefined {
    return this.#watched.length === 0 ? undefined : Object.fromEntries(this.#positions);
  }

  /** A pause between two looks, in which the server is asked before it forgets. @throws when the signal fires */
  async pause(ms: number): Promise<void> {
    const { signal } = this.#input;
    const until_ms = performance.now() + ms;
    for (;;) {
      const left_ms = until_ms - performance.now();
      if (this.#watched.length === 0 || left_ms <= ASK_EVERY_MS) {
        await sleep(Math.max(0, left_ms), undefined, { signal });
        return;
      }
      await sleep(ASK_EVERY_MS, undefined, { signal });
      await this.#ask(PATIENT_S);
    }
  }

  async #ask(timeout_s: number): Promise<void> {
    this.#unseen = new Map();
    this.#outage = false;
    const { signal } = this.#input;
    await Promise.all(
      this.#watched.map((watched) => OPEN.run(signal, () => this.#askOne(watched, timeout_s))),
    );
  }

  async #askOne(watched: Watched, timeout_s: number): Promise<void> {
    const place = `${watched.cluster}/${watched.namespace}/${watched.kind}`;
    if (this.#never.has(place)) return;
    const before = this.#positions.get(place);
    const answer = await this.#read(watched, before?.version ?? null, timeout_s);
    if (answer === null) return;
    this.#take(watched, answer);
    if (answer.more) this.#unseen.set(place, 'too many changes at once; only some are shown');
    if (answer.resource_version !== null) {
      this.#positions.set(place, { version: answer.resource_version, anew_at: before?.anew_at ?? null });
      return;
    }
    const fresh = await this.#read(watched, null, timeout_s);
    if (fresh?.resource_version === undefined || fresh.resource_version === null) return;
    this.#positions.set(place, { version: fresh.resource_version, anew_at: this.#now() });
  }

  /** Null: the server did not say; why is noted. */
  async #read(watched: Watched, resource_version: string | null, timeout_s: number): Promise<Answer | null> {
    const { deps, context, signal } = this.#input;
    const { cluster, namespace, kind } = watched;
    const result = await deps.gateway.read(
      {
        token: this.#token,
        tool: 'k8s.watch',
        target: `mcp://k8s/${cluster}/${namespace}/${kind}/-`,
        args: { since: incidentOf(context).opened_at, resource_version, timeout_s },
        why: 'shadow: what people do by hand',
      },
      signal,
    );
    signal.throwIfAborted();
    const place = `${cluster}/${namespace}/${kind}`;
    if (isRefusal(result)) {
      if (result.code.endsWith('not-found')) this.#never.set(place, null);
      else if (result.code.endsWith('forbidden')) this.#never.set(place, result.reason);
      else {
        this.#unseen.set(place, result.reason);
        this.#outage ||= isOutage(result.code);
      }
      return null;
    }
    const parsed = Answer.safeParse(result.result);
    if (!parsed.success) this.#unseen.set(place, 'the answer has another form');
    return parsed.success ? parsed.data : null;
  }

  #take({ cluster, namespace, kind }: Watched, { writes, deletions }: Answer): void {
    const { robots } = this.#input.deps.settings.shadow;
    const targetOf = (name: string) => `mcp://k8s/${cluster}/${namespace}/${kind}/${name}`;
    const acts = [
      ...writes.map(({ name, ...write }) =>
        seenWrite(
          {
            ...write,
            target: targetOf(name),
            // As the file of changes has them, so that the same write is the same act.
            manager: lineText(write.manager),
            fields: write.fields.map(lineText),
          },
          robots,
        ),
      ),
      ...deletions.map((gone) => deletion(targetOf(gone.name), gone, robots, this.#now())),
    ];
    for (const act of acts)
      if (isOfInterest(act, this.#targets) && this.#found.size < FOUND_MAX && !this.#found.has(act.key))
        this.#found.set(act.key, act);
  }

  #now(): string {
    return isoTime(this.#input.deps.clock.now());
  }
}

/** Who deleted it, nobody says. What had an owner went with it, and what only programs wrote counts as theirs. */
const NOBODY_KNOWS = 'somebody';

function deletion(
  target: string,
  gone: Answer['deletions'][number],
  robots: readonly string[],
  now: string,
): SeenChange {
  const { owned, managers } = gone;
  return {
    key: hashOf(['deleted', target, gone.uid]).slice(0, 32),
    target,
    uid: gone.uid.slice(0, 100),
    manager: NOBODY_KNOWS,
    operation: 'delete',
    at: gone.at === null ? now : isoTime(Date.parse(gone.at)),
    generation: gone.generation,
    fields: [],
    more_fields: 0,
    values: {},
    template: null,
    robot: owned || (managers.length > 0 && managers.every((manager) => isRobot(manager, robots))),
  };
}

function unseenAt(place: string, why: string): Unseen {
  const cut = place.lastIndexOf('/');
  return {
    place: `${place.slice(0, cut)}/watch of ${place.slice(cut + 1)}`.slice(0, 300),
    why: why.slice(0, 300),
  };
}
