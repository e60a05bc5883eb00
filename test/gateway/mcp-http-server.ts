import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  StreamableHTTPServerTransport,
  type EventStore,
} from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';

/** An MCP server over streamable HTTP with sessions, as its operator would run it: each session its own `make()`. */
export interface McpHttpServer {
  readonly url: string;
  /** Headers of every request that came, newest last. */
  readonly seen_headers: readonly IncomingMessage['headers'][];
  sessions(): number;
  /** As a crash: every connection is cut, nobody says goodbye. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

/** @param resumable a client that lost its stream may come back for what it missed. */
export async function startMcpHttpServer(make: () => Server, resumable: boolean): Promise<McpHttpServer> {
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const seen_headers: IncomingMessage['headers'][] = [];
  const http = createServer((req, res) => {
    seen_headers.push(req.headers);
    void answer({ transports, make, resumable }, req, res);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    seen_headers,
    sessions: () => transports.size,
    kill: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
    close: async () => {
      for (const transport of transports.values()) await transport.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

interface Served {
  readonly transports: Map<string, StreamableHTTPServerTransport>;
  readonly make: () => Server;
  readonly resumable: boolean;
}

async function answer(
  { transports, make, resumable }: Served,
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
    ...(resumable ? { eventStore: memoryEvents(), retryInterval: 100 } : {}),
    onsessioninitialized: (session) => void transports.set(session, transport),
  });
  transport.onclose = () => transports.delete(transport.sessionId ?? '');
  await make().connect(transport);
  await transport.handleRequest(req, res);
}

function isForeign({ headers }: IncomingMessage): boolean {
  const own = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;
  if (!own.test(headers.host ?? '')) return true;
  return headers.origin !== undefined && !own.test(headers.origin.replace(/^https?:\/\//, ''));
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
