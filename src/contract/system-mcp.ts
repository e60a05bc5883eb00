import { z } from 'zod';
import { CredentialSource } from './credentials.ts';

/** An external MCP server behind the gateway (`mcp://mcp/<name>/-/tool/<tool>`). */
export const McpUpstream = z.strictObject({
  credentials: CredentialSource.default({ engine: 'none' }),
});
export type McpUpstream = z.infer<typeof McpUpstream>;
