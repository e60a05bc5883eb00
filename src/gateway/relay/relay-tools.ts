import type { RpcParams } from '../upstreams/link.ts';
import { listedHash, type ApprovedParts } from './relay-upstreams.ts';

/**
 * The tools of one session's server, as that very server lists them: another session, or another process of the same
 * server, may list something else.
 */
export class RelayTools {
  #listed = new Map<string, string>();
  #stale = true;

  /** True until the whole list was read, and again after the server said that it changed. */
  get stale(): boolean {
    return this.#stale;
  }

  changed(): void {
    this.#stale = true;
  }

  /** The whole list, name to hash. */
  read(listed: ReadonlyMap<string, string>): void {
    this.#listed = new Map(listed);
    this.#stale = false;
  }

  /** Listed exactly as a person approved it. */
  offers(name: string, approved: ApprovedParts): boolean {
    const hash = this.#listed.get(name);
    return hash !== undefined && !this.#stale && hash === approved.tools.get(name);
  }

  /**
   * One page of the list for the client, before anything in it is redacted: each definition is compared by itself, so
   * that a second one under an approved name is not shown. What the page says newly counts for calls from now on.
   */
  page(result: RpcParams, approved: ApprovedParts, permitted: (name: string) => boolean): RpcParams {
    const tools = Array.isArray(result['tools']) ? (result['tools'] as unknown[]) : [];
    const kept = tools.filter((raw) => {
      const listed = listedHash(raw);
      if (listed === null) return false;
      this.#listed.set(listed.name, listed.hash);
      return listed.hash === approved.tools.get(listed.name) && permitted(listed.name);
    });
    return { ...result, tools: kept };
  }
}
