import { INSTRUCTIONS_PIN } from '../../store/authority.ts';
import type { GatewayCore } from '../pipeline/core.ts';
import { seenInstructions, seenTool } from '../upstreams/definition.ts';
import { quarantine } from '../upstreams/offered-tool.ts';

/**
 * What a person approved of one server, by hash: its tools that are declared to read, and its instructions. Empty for
 * what is held back. A session compares it with what its own server says, since another process may say something else.
 */
export interface ApprovedParts {
  readonly tools: ReadonlyMap<string, string>;
  readonly instructions: string | null;
}

export async function approvedParts(
  { settings, store }: Pick<GatewayCore, 'settings' | 'store'>,
  server: string,
): Promise<ApprovedParts> {
  const pins = new Map((await store.upstream_pins.list(server)).map((pin) => [pin.tool, pin]));
  const instructions = pins.get(INSTRUCTIONS_PIN) ?? null;
  const tools = new Map<string, string>();
  for (const [tool, declared] of Object.entries(settings.upstreams[server]?.tools ?? {})) {
    const pin = pins.get(tool) ?? null;
    if (declared !== 'read' || quarantine({ server, tool }, pin, instructions) !== null) continue;
    if (pin?.approved != null) tools.set(tool, pin.approved.hash);
  }
  return { tools, instructions: instructions?.approved?.hash ?? null };
}

export function instructionsApproved(parts: ApprovedParts, instructions: string | null): boolean {
  return seenInstructions(instructions).hash === parts.instructions;
}

/** The hash of one tool as its server sent it; null for what is no tool. */
export function listedHash(raw: unknown): { readonly name: string; readonly hash: string } | null {
  const seen = seenTool(raw);
  return seen === null ? null : { name: seen.tool, hash: seen.hash };
}
