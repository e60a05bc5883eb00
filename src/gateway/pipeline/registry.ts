import { z } from 'zod';
import { hashOf } from '../../contract/canonical.ts';
import { ToolDefinition } from '../../contract/tool.ts';
import type { Driver, DriverTool, ReadTool } from '../drivers/driver.ts';
import { messageSchema, operationsOf } from '../drivers/driver-server.ts';
import type { PeerTool } from '../mcp-peer.ts';

/** The tools that exist, with the definitions that plans are bound to. */
export interface RegisteredTool {
  readonly tool: DriverTool | ExternalTool;
  readonly definition: ToolDefinition;
  /** Per MCP operation: hash of name, description and schema as its server must list it. */
  readonly pins: () => ReadonlyMap<string, string>;
  /** A tool of an external server: where it is, and the standing secrets that must not come back from there. */
  readonly external?: {
    readonly server: string;
    readonly tool: string;
    readonly secrets: readonly string[];
  };
}

/** What the pipeline needs to know of a tool that no driver serves. */
export type ExternalTool = Omit<ReadTool<Record<string, unknown>>, 'read'>;

export interface Registry {
  readonly tools: ReadonlyMap<string, RegisteredTool>;
  readonly definitions: readonly ToolDefinition[];
  readonly digest: string;
}

export function buildRegistry(drivers: readonly Driver[]): Registry {
  const tools = new Map<string, RegisteredTool>();
  for (const tool of drivers.flatMap((driver) => driver.tools)) {
    if (tools.has(tool.name)) throw new Error(`two drivers declare the tool ${tool.name}`);
    tools.set(tool.name, { tool, definition: definitionOf(tool), pins: pinsWhenAsked(tool) });
  }
  const definitions = [...tools.values()].map((entry) => entry.definition);
  return { tools, definitions, digest: hashOf({ v: 1, definitions }) };
}

/** Hash of what a server says about a tool; any change of it is a different tool. */
export function pinOf(tool: PeerTool): string {
  const { $schema: _dialect, ...input_schema } = tool.input_schema as Record<string, unknown>;
  return hashOf({ v: 1, name: tool.name, description: tool.description, input_schema });
}

function definitionOf(tool: DriverTool): ToolDefinition {
  return ToolDefinition.parse({
    name: tool.name,
    system: tool.system,
    description: tool.description,
    base_class: tool.base_class,
    target_kinds: [...tool.target_kinds],
    input_schema: jsonSchema(tool.input),
    dry_run: tool.dry_run,
    observe: tool.mode === 'write',
    before_image: tool.mode === 'write',
    timeout_ms_max: tool.timeout_ms_max,
    result_bytes_max: tool.result_bytes_max,
  });
}

/** Half of what the registry costs at a start, and wanted only for tools that are called. */
function pinsWhenAsked(tool: DriverTool): () => ReadonlyMap<string, string> {
  let pins: ReadonlyMap<string, string> | null = null;
  return () => (pins ??= pinsOf(tool));
}

function pinsOf(tool: DriverTool): ReadonlyMap<string, string> {
  const input_schema = jsonSchema(messageSchema(tool));
  return new Map(
    operationsOf(tool).map(({ name }) => [
      name,
      pinOf({ name, description: tool.description, input_schema }),
    ]),
  );
}

function jsonSchema(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: 'input', target: 'draft-7' });
}
