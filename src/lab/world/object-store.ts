/**
 * The world's etcd: every Kubernetes object, one resourceVersion counter, and the recent changes for watches. It knows
 * no protocol and no rights; the Kubernetes twin adds those. Stored objects are frozen, so nobody changes them in place.
 */
import type { KubeObject } from './kube-object.ts';
import { copyJson, deepFreeze, kubeTime, sameJson } from './kube-object.ts';
import type { Writer } from './managed-fields.ts';
import { trackManager } from './managed-fields.ts';
import type { Random } from './random.ts';

export interface Change {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: KubeObject;
  /** What stood there before; absent for ADDED. */
  previous?: KubeObject;
  version: number;
}

const CHANGES_KEPT_MAX = 20_000;
/** Kinds whose metadata.generation counts changes of the specification. */
const COUNTS_GENERATION = new Set(['Deployment', 'PodDisruptionBudget', 'ReplicaSet', 'SparkApplication']);

export class ObjectStore {
  readonly #now: () => number;
  readonly #random: Random;
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #changes: Change[] = [];
  readonly #listeners = new Set<(change: Change) => void>();
  #version: number;

  constructor(options: { now: () => number; random: Random; version_first: number }) {
    this.#now = options.now;
    this.#random = options.random;
    this.#version = options.version_first;
  }

  get(kind: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(kind)?.get(keyOf(namespace, name));
  }

  /** Objects of a kind, in key order (namespace, then name), as etcd returns them. */
  list(kind: string, namespace?: string): KubeObject[] {
    const found = [...(this.#objects.get(kind) ?? new Map<string, KubeObject>()).entries()];
    return found
      .filter(([, object]) => namespace === undefined || object.metadata.namespace === namespace)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  /** Adds an object; uid, times, generation and version are assigned here. Throws when the name is taken. */
  create(object: KubeObject, writer: Writer): KubeObject {
    const { kind, metadata } = object;
    if (this.get(kind, metadata.namespace, metadata.name) !== undefined) {
      throw new Error(`${kind} ${metadata.namespace ?? ''}/${metadata.name} exists already`);
    }
    return this.#put('ADDED', undefined, this.prepareCreate(object, writer));
  }

  /** What `create` would store, without storing it: the server's dry run. */
  prepareCreate(object: KubeObject, writer: Writer): KubeObject {
    const next = copyJson(object);
    next.metadata.uid ??= this.#random.uuid();
    next.metadata.creationTimestamp ??= kubeTime(this.#now());
    if (COUNTS_GENERATION.has(next.kind)) next.metadata.generation = 1;
    next.metadata.managedFields = trackManager(undefined, next, writer, this.#now());
    return next;
  }

  /** Replaces an object. A write that changes nothing stores nothing and keeps the version, as in etcd. */
  update(object: KubeObject, writer: Writer): KubeObject {
    const { kind, metadata } = object;
    const previous = this.get(kind, metadata.namespace, metadata.name);
    if (previous === undefined)
      throw new Error(`${kind} ${metadata.namespace ?? ''}/${metadata.name} is gone`);
    const next = this.prepareUpdate(previous, object, writer);
    return next === previous ? previous : this.#put('MODIFIED', previous, next);
  }

  prepareUpdate(previous: KubeObject, object: KubeObject, writer: Writer): KubeObject {
    if (sameJson(withoutBookkeeping(previous), withoutBookkeeping(object))) return previous;
    const next = copyJson(object);
    const { uid, creationTimestamp, generation, resourceVersion } = previous.metadata;
    Object.assign(next.metadata, { uid, creationTimestamp, resourceVersion });
    if (COUNTS_GENERATION.has(next.kind)) {
      next.metadata.generation = (generation ?? 1) + (sameJson(previous.spec, next.spec) ? 0 : 1);
    }
    next.metadata.managedFields = trackManager(previous, next, writer, this.#now());
    return next;
  }

  /** Removes an object and, as the garbage collector does, everything that it owns. */
  remove(kind: string, namespace: string | undefined, name: string): KubeObject | undefined {
    const previous = this.get(kind, namespace, name);
    if (previous === undefined) return undefined;
    this.#objects.get(kind)?.delete(keyOf(namespace, name));
    const gone = copyJson(previous);
    gone.metadata.deletionTimestamp ??= kubeTime(this.#now());
    this.#announce('DELETED', previous, gone);
    for (const [ownedKind, objects] of this.#objects) {
      for (const owned of objects.values()) {
        const isOwned = owned.metadata.ownerReferences?.some(({ uid }) => uid === previous.metadata.uid);
        if (isOwned === true) this.remove(ownedKind, owned.metadata.namespace, owned.metadata.name);
      }
    }
    return gone;
  }

  /** Changes after a version, or undefined when they are no longer kept (the client must list again). */
  changesSince(version: number): Change[] | undefined {
    const oldest = this.#changes[0]?.version ?? this.#version + 1;
    if (version < oldest - 1) return undefined;
    return this.#changes.filter((change) => change.version > version);
  }

  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  version(): number {
    return this.#version;
  }

  #put(type: 'ADDED' | 'MODIFIED', previous: KubeObject | undefined, next: KubeObject): KubeObject {
    const objects = this.#objects.get(next.kind) ?? new Map<string, KubeObject>();
    this.#objects.set(next.kind, objects);
    const stored = this.#announce(type, previous, next, (frozen) =>
      objects.set(keyOf(frozen.metadata.namespace, frozen.metadata.name), frozen),
    );
    return stored;
  }

  #announce(
    type: Change['type'],
    previous: KubeObject | undefined,
    object: KubeObject,
    keep?: (frozen: KubeObject) => void,
  ): KubeObject {
    this.#version += 1;
    object.metadata.resourceVersion = String(this.#version);
    const frozen = deepFreeze(object);
    keep?.(frozen);
    const change: Change = { type, object: frozen, version: this.#version };
    if (previous !== undefined) change.previous = previous;
    this.#changes.push(change);
    if (this.#changes.length > CHANGES_KEPT_MAX) this.#changes.splice(0, CHANGES_KEPT_MAX / 2);
    for (const listener of this.#listeners) listener(change);
    return frozen;
  }
}

function keyOf(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

function withoutBookkeeping(object: KubeObject): KubeObject {
  const {
    managedFields: _fields,
    resourceVersion: _version,
    generation: _generation,
    ...metadata
  } = object.metadata;
  return { ...object, metadata };
}
