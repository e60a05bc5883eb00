import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { CallToolResult, ClientCapabilities } from '@modelcontextprotocol/sdk/types.js';

/** An outside agent, as the SDK makes one, whose wire is written down. */
export interface RelayClient {
  readonly client: Client;
  readonly session: string;
  /** Everything that came over the wire. */
  readonly wire: () => string;
}

export async function connectRelay(
  url: string,
  token: string,
  options: {
    readonly capabilities?: ClientCapabilities;
    /** Sets handlers, which must stand before the handshake. */
    readonly before?: (client: Client) => void;
  } = {},
): Promise<RelayClient> {
  const pieces: string[] = [];
  const { capabilities = {}, before } = options;
  const client = new Client({ name: 'outside-agent', version: '1' }, { capabilities });
  before?.(client);
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { authorization: `Bearer ${token}` } },
    fetch: async (address, init) => {
      const response = await fetch(address, init);
      const tee = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          pieces.push(Buffer.from(chunk).toString());
          controller.enqueue(chunk);
        },
      });
      const { status, headers } = response;
      return new Response(response.body?.pipeThrough(tee) ?? null, { status, headers });
    },
  });
  await client.connect(transport);
  return { client, session: transport.sessionId ?? '', wire: () => pieces.join('') };
}

export function call(
  client: Client,
  name: string,
  args: Readonly<Record<string, unknown>> = {},
): Promise<CallToolResult> {
  return client.callTool({ name, arguments: { ...args } }) as Promise<CallToolResult>;
}

export function textOf({ content }: CallToolResult): string {
  return content.map((part) => (part.type === 'text' ? part.text : part.type)).join('\n');
}
