/** The versions of a KV version 2 engine. */
interface KvVersion {
  data: Readonly<Record<string, unknown>>;
  readonly created_time: string;
  deletion_time: string;
  /** The data is gone for good. */
  destroyed: boolean;
}

export class KvStore {
  readonly #versions = new Map<string, KvVersion[]>();

  /** Writes a new version. */
  put(path: string, data: Readonly<Record<string, unknown>>, now_ms: number): void {
    const versions = this.#versions.get(path) ?? [];
    versions.push({
      data,
      created_time: new Date(now_ms).toISOString(),
      deletion_time: '',
      destroyed: false,
    });
    this.#versions.set(path, versions);
  }

  /** Soft-deletes the latest version. */
  delete(path: string, now_ms: number): void {
    const latest = this.#versions.get(path)?.at(-1);
    if (latest !== undefined) latest.deletion_time = new Date(now_ms).toISOString();
  }

  /** Destroys the latest version. */
  destroy(path: string): void {
    const latest = this.#versions.get(path)?.at(-1);
    if (latest !== undefined) Object.assign(latest, { data: {}, destroyed: true });
  }

  version(path: string, version: number): { readonly entry: KvVersion; readonly number: number } | undefined {
    const versions = this.#versions.get(path) ?? [];
    const number = version === 0 ? versions.length : version;
    const entry = versions[number - 1];
    return entry === undefined ? undefined : { entry, number };
  }
}
