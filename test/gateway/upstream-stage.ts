import { join } from 'node:path';
import { expect } from 'vitest';
import { McpUpstream } from '../../src/contract/system-mcp.ts';
import { isRefusal, type Refusal } from '../../src/contract/verdict.ts';
import type { ReadResult } from '../../src/gateway/read.ts';
import { INSTRUCTIONS_PIN } from '../../src/store/authority.ts';
import { startStage, type Stage, type StageOptions } from './stage.ts';

/** A stage whose tenant data/prod owns external MCP servers, and what people do with their pins. */
export interface UpstreamStage extends Stage {
  /** A person looks at a server and approves all that it shows. */
  approve(server: string): Promise<void>;
  call(server: string, tool: string, args?: Readonly<Record<string, unknown>>): Promise<ReadResult | Refusal>;
}

const HOSTILE = join(import.meta.dirname, 'hostile-server.mjs');

/** The configuration as a person writes it. */
export type UpstreamInput = Record<string, unknown>;

export function hostile(mode: string, more: UpstreamInput = {}, note = ''): UpstreamInput {
  return {
    transport: 'stdio',
    command: 'node',
    args: [HOSTILE, mode, note],
    tools: { look: 'read' },
    handshake_timeout_ms: 10_000,
    call_timeout_ms: 10_000,
    ...more,
  };
}

export async function startUpstreamStage(
  upstreams: Readonly<Record<string, UpstreamInput>>,
  options: StageOptions = {},
): Promise<UpstreamStage> {
  const parsed = Object.fromEntries(
    Object.entries(upstreams).map(([name, input]) => [name, McpUpstream.parse(input)]),
  );
  const stage = await startStage({
    ...options,
    settings: (settings) => {
      const { data } = settings.teams;
      const prod = data?.environments['prod'];
      if (data === undefined || prod === undefined) throw new Error('the stage has no data/prod');
      const systems = Object.keys(parsed).map((name) => ({ system: 'mcp' as const, name, namespaces: [] }));
      const environments = { ...data.environments, prod: { ...prod, systems } };
      const own = { ...settings, upstreams: parsed, teams: { ...settings.teams, data: { environments } } };
      return options.settings?.(own) ?? own;
    },
  });
  const token = await stage.token();
  return {
    ...stage,
    async approve(server) {
      const looked = await stage.gateway.lookAtUpstream(server);
      if (isRefusal(looked)) throw new Error(looked.reason);
      const pins = await stage.store.upstream_pins.list(server);
      const shown = pins.flatMap(({ tool, seen }) => (seen === null ? [] : [{ tool, hash: seen.hash }]));
      expect(shown.map(({ tool }) => tool)).toContain(INSTRUCTIONS_PIN);
      expect(await stage.store.upstream_pins.approve(server, shown, 'cli:somebody')).toBe(true);
    },
    call: (server, tool, args = {}) =>
      stage.gateway.read({
        token,
        tool: `mcp.${server}.${tool}`.replaceAll('-', '_').toLowerCase(),
        target: `mcp://mcp/${server}/-/tool/${tool}`,
        args,
        why: 'a test asks',
      }),
  };
}

/** The text parts of an external tool's answer. */
export function textOf(answer: ReadResult | Refusal): string {
  if (isRefusal(answer)) throw new Error(`refused: ${answer.code}: ${answer.reason}`);
  const { content } = answer.result as { content: { text?: string }[] };
  return content.map((part) => part.text ?? '').join('\n');
}
