import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  StreamableHTTPServerTransport,
  type EventStore,
} from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  ErrorCode,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
  type JSONRPCMessage,
} from '@modelcontextprotocol/sdk/types.js';
import {
  FIXTURE_PROMPTS,
  FIXTURE_RESOURCES,
  FIXTURE_TEMPLATE,
  fixturePrompt,
  fixtureResource,
} from './fixture-documents.ts';
import { FIXTURE_TOOLS, fixtureToolList } from './fixture-tools.ts';

/** An MCP server (streamable HTTP with sessions) that has everything the conformance suite 0.1.13 looks for. */
export interface FixtureServer {
  readonly url: string;
  /** Headers of every request that came, newest last. */
  readonly seen_headers: readonly IncomingMessage['headers'][];
  close(): Promise<void>;
}

export async function startFixtureServer(): Promise<FixtureServer> {
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const seen_headers: IncomingMessage['headers'][] = [];
  const http = createServer((req, res) => {
    seen_headers.push(req.headers);
    void answer(transports, req, res);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    seen_headers,
    close: async () => {
      for (const transport of transports.values()) await transport.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

async function answer(
  transports: Map<string, StreamableHTTPServerTransport>,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  if (isForeign(req)) return void res.writeHead(403).end('{"error":"foreign host or origin"}');
  const id = req.headers['mcp-session-id'];
  const known = typeof id === 'string' ? transports.get(id) : undefined;
  if (known !== undefined) return known.handleRequest(req, res);
  if (id !== undefined) return void res.writeHead(404).end('{"error":"no such session"}');
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: memoryEvents(),
    retryInterval: 100,
    onsessioninitialized: (session) => void transports.set(session, transport),
  });
  transport.onclose = () => transports.delete(transport.sessionId ?? '');
  await fixtureServer().connect(transport);
  await transport.handleRequest(req, res);
}

function isForeign({ headers }: IncomingMessage): boolean {
  const own = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;
  if (!own.test(headers.host ?? '')) return true;
  return headers.origin !== undefined && !own.test(headers.origin.replace(/^https?:\/\//, ''));
}

function fixtureServer(): Server {
  const server = new Server(
    { name: 'conformance-fixture', version: '1.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        prompts: { listChanged: true },
        completions: {},
        logging: {},
      },
      instructions: 'A server for tests.',
    },
  );
  const subscribed = new Set<string>();
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: fixtureToolList() }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) => {
    const tool = Object.hasOwn(FIXTURE_TOOLS, params.name) ? FIXTURE_TOOLS[params.name] : undefined;
    if (tool === undefined) throw new McpError(ErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
    return tool.run(params.arguments ?? {}, extra);
  });
  server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources: [...FIXTURE_RESOURCES] }));
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [FIXTURE_TEMPLATE],
  }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) => fixtureResource(params.uri));
  server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    subscribed.add(params.uri);
    return {};
  });
  server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    subscribed.delete(params.uri);
    return {};
  });
  server.setRequestHandler(ListPromptsRequestSchema, () => ({ prompts: [...FIXTURE_PROMPTS] }));
  server.setRequestHandler(GetPromptRequestSchema, ({ params }) =>
    fixturePrompt(params.name, params.arguments ?? {}),
  );
  server.setRequestHandler(CompleteRequestSchema, ({ params }) => {
    const values = ['test-one', 'test-two'].filter((value) => value.startsWith(params.argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
  return server;
}

/** Events of one session, so that a client that lost its stream gets what it missed. */
function memoryEvents(): EventStore {
  const events: { readonly id: string; readonly stream: string; readonly message: JSONRPCMessage }[] = [];
  return {
    storeEvent: (stream, message) => {
      const id = `${stream}_${events.length}`;
      events.push({ id, stream, message });
      return Promise.resolve(id);
    },
    getStreamIdForEventId: (id) => Promise.resolve(events.find((event) => event.id === id)?.stream),
    replayEventsAfter: async (last, { send }) => {
      const at = events.findIndex((event) => event.id === last);
      const stream = events[at]?.stream ?? '';
      for (const event of events.slice(at + 1))
        if (event.stream === stream && Object.keys(event.message).length > 0)
          await send(event.id, event.message);
      return stream;
    },
  };
}
