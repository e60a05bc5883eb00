import type { Settings } from '../contract/settings.ts';
import { isRefusal } from '../contract/verdict.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { pinState } from '../gateway/upstreams/definition.ts';
import { INSTRUCTIONS_PIN, type UpstreamPin } from '../store/authority.ts';
import type { Store } from '../store/store.ts';
import type { Check } from './doctor.ts';

/** Each external MCP server: does it start and list its tools, and may those be used? No tool of it is called. */
export async function upstreamChecks(
  settings: Settings,
  gateway: Pick<Gateway, 'lookAtUpstream'>,
  store: Store,
): Promise<Check[]> {
  return Promise.all(Object.keys(settings.upstreams).map((name) => examine(name, settings, gateway, store)));
}

async function examine(
  name: string,
  settings: Settings,
  gateway: Pick<Gateway, 'lookAtUpstream'>,
  store: Store,
): Promise<Check> {
  const check = `mcp ${name}`;
  const owned = Object.values(settings.teams).some(({ environments }) =>
    Object.values(environments).some(({ systems }) =>
      systems.some((system) => system.system === 'mcp' && system.name === name),
    ),
  );
  if (!owned) {
    const next = 'add it under teams.<team>.environments.<env>.systems, or remove it';
    return { check, status: 'skipped', detail: 'no environment owns it', next };
  }
  const answer = await gateway.lookAtUpstream(name);
  if (isRefusal(answer)) return { check, status: 'failed', detail: answer.reason, next: answer.remedy };
  const pins = new Map((await store.upstream_pins.list(name)).map((pin) => [pin.tool, pin]));
  const reads = Object.entries(settings.upstreams[name]?.tools ?? {})
    .filter(([, as]) => as === 'read')
    .map(([tool]) => tool);
  const held = [INSTRUCTIONS_PIN, ...reads].filter((tool) => !usable(pins.get(tool)));
  if (held.length === 0) return { check, status: 'ok', detail: `answers; approved tools: ${reads.length}` };
  return {
    check,
    status: 'failed',
    detail: `answers, but not approved as it is now: ${held.join(', ')}`,
    next: `look at it and decide: aegis upstreams diff ${name}`,
  };
}

function usable(pin: UpstreamPin | undefined): boolean {
  return pinState(pin ?? null) === 'approved';
}
