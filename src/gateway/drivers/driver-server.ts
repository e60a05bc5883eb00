import type { McpServer as McpServerType } from '@modelcontextprotocol/sdk/server/mcp.js';
import { z } from 'zod';
import { TargetUri } from '../../contract/tool.ts';
import type { McpPeer, PeerAnswer } from '../mcp-peer.ts';
import { UpstreamError, UPSTREAM_PROBLEMS, type UpstreamErrorInfo } from '../upstream-error.ts';
import type { CallHandle, Driver, DriverTool } from './driver.ts';

/**
 * A driver as an MCP server in this process. A write tool is three MCP tools: `<name>`, `<name>.preview` and
 * `<name>.observe`. The handle of a call (credential, transport, precondition) is looked up by the call's id here, so
 * that MCP messages hold nothing but target and arguments.
 */
export type HandleLookup = (call_id: string) => CallHandle | undefined;

const META_CALL_ID = 'aegis/call_id';
const SDK_MARGIN_MS = 1000;

/** Names and parts of the MCP tools that one registered tool becomes. */
export function operationsOf(
  tool: Pick<DriverTool, 'mode' | 'name'>,
): readonly { readonly name: string; readonly operation: Operation }[] {
  if (tool.mode === 'read') return [{ name: tool.name, operation: 'read' }];
  return [
    { name: tool.name, operation: 'apply' },
    { name: `${tool.name}.preview`, operation: 'preview' },
    { name: `${tool.name}.observe`, operation: 'observe' },
  ];
}

export type Operation = 'read' | 'preview' | 'observe' | 'apply';

/** The schema of the messages: the target beside the tool's own arguments. */
export function messageSchema(tool: DriverTool): z.ZodType<{ target: string; args: unknown }> {
  return z.strictObject({ target: TargetUri, args: tool.input });
}

/** Starts the server and connects a client to it over the in-memory transport. */
export async function connectDriver(driver: Driver, lookup: HandleLookup): Promise<McpPeer> {
  const [{ McpServer }, { Client }, { InMemoryTransport }] = await Promise.all([
    import('@modelcontextprotocol/sdk/server/mcp.js'),
    import('@modelcontextprotocol/sdk/client/index.js'),
    import('@modelcontextprotocol/sdk/inMemory.js'),
  ]);
  const server = new McpServer({ name: `aegis-${driver.system}`, version: '1' });
  for (const tool of driver.tools) registerTool(server, tool, lookup);
  const client = new Client({ name: 'aegis-gateway', version: '1' });
  const [near, far] = InMemoryTransport.createLinkedPair();
  await server.connect(far);
  await client.connect(near);
  return {
    list: async () =>
      (await client.listTools()).tools.map((tool) => ({
        name: tool.name,
        description: tool.description ?? '',
        input_schema: tool.inputSchema,
      })),
    call: async (tool, args, { call_id, timeout_ms, signal }) => {
      const request = { name: tool, arguments: { ...args }, _meta: { [META_CALL_ID]: call_id } };
      const timeout = timeout_ms + SDK_MARGIN_MS;
      try {
        return peerAnswer(
          await client.callTool(request, undefined, { timeout, ...(signal === undefined ? {} : { signal }) }),
        );
      } catch (error) {
        const problem = signal?.aborted === true ? 'aborted' : 'timeout';
        const message = `the tool gave no answer: ${(error as Error).message}`.slice(0, 300);
        return { ok: false, error: { problem, sent: 'maybe', status: null, message } };
      }
    },
    close: async () => {
      await client.close();
      await server.close();
    },
  };
}

function registerTool(server: McpServerType, tool: DriverTool, lookup: HandleLookup): void {
  const inputSchema = messageSchema(tool);
  for (const { name, operation } of operationsOf(tool)) {
    server.registerTool(name, { description: tool.description, inputSchema }, async (input, extra) => {
      const call_id: unknown = extra._meta?.[META_CALL_ID];
      const handle = typeof call_id === 'string' ? lookup(call_id) : undefined;
      if (handle === undefined)
        return failed({ problem: 'blocked', sent: 'no', status: null, message: 'no such call' });
      try {
        const structured = await run(tool, operation, handle, (input as { args: unknown }).args);
        return { content: [], structuredContent: structured as Record<string, unknown> };
      } catch (error) {
        if (error instanceof UpstreamError) return failed(error.info);
        throw error;
      }
    });
  }
}

function run(tool: DriverTool, operation: Operation, handle: CallHandle, args: unknown): Promise<unknown> {
  if (tool.mode === 'read') return tool.read(handle, args as never);
  if (operation === 'preview') return tool.preview(handle, args as never);
  if (operation === 'observe') return tool.observe(handle, args as never);
  return tool.apply(handle, args as never);
}

function failed(error: UpstreamErrorInfo): {
  isError: true;
  content: { type: 'text'; text: string }[];
  structuredContent: Record<string, unknown>;
} {
  return { isError: true, content: [{ type: 'text', text: error.message }], structuredContent: { error } };
}

const ErrorInfo = z.object({
  problem: z.enum(UPSTREAM_PROBLEMS),
  sent: z.enum(['no', 'maybe', 'answered']),
  status: z.number().nullable(),
  message: z.string(),
  retry_after_ms: z.number().optional(),
});

function peerAnswer(answer: object): PeerAnswer {
  const { isError, structuredContent, content } = answer as Readonly<Record<string, unknown>>;
  if (isError !== true) return { ok: true, structured: structuredContent };
  const parsed = z.object({ error: ErrorInfo }).safeParse(structuredContent);
  if (parsed.success) return { ok: false, error: parsed.data.error };
  const text = z.array(z.object({ text: z.string() })).safeParse(content);
  const message = text.success ? text.data.map((part) => part.text).join(' ') : 'the tool failed';
  return {
    ok: false,
    error: { problem: 'failed', sent: 'maybe', status: null, message: message.slice(0, 500) },
  };
}
