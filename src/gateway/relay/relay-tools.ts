import { z } from 'zod';

/**
 * The tools of one session's server. Another session, or another process of the same server, may list something else,
 * so what was approved is compared with what this very server says, each time it says it.
 */
export interface RelayTools {
  /** True until the whole list was read, and again after the server said that it changed. */
  stale(): boolean;
  /** Takes in one page as the server sent it. */
  learn(page: unknown): void;
  complete(): void;
  changed(): void;
  offers(name: string): boolean;
}

const Page = z.object({ tools: z.array(z.looseObject({ name: z.string() })).max(2000) });

/** @param approved declared to read, and described exactly as a person approved it. */
export function relayTools(approved: (tool: Readonly<Record<string, unknown>>) => boolean): RelayTools {
  const offered = new Set<string>();
  let stale = true;
  return {
    stale: () => stale,
    learn(page) {
      const parsed = Page.safeParse(page);
      for (const tool of parsed.success ? parsed.data.tools : []) {
        if (approved(tool)) offered.add(tool.name);
        else offered.delete(tool.name);
      }
    },
    complete() {
      stale = false;
    },
    changed() {
      offered.clear();
      stale = true;
    },
    offers: (name) => offered.has(name),
  };
}

/** One page for the client: what is not offered does not exist. */
export function offeredPage(
  result: Readonly<Record<string, unknown>>,
  offers: (name: string) => boolean,
): Record<string, unknown> {
  const parsed = Page.safeParse(result);
  const tools = parsed.success ? parsed.data.tools : [];
  return { ...result, tools: tools.filter((tool) => offers(tool.name)) };
}
