import type { UpstreamErrorInfo } from './upstream-error.ts';

/**
 * One MCP server behind the gateway, built in or external: the only shape in which the pipeline knows servers. No SDK
 * type crosses this door.
 */
export interface PeerTool {
  readonly name: string;
  readonly description: string;
  readonly input_schema: unknown;
}

export type PeerAnswer =
  | { readonly ok: true; readonly structured: unknown }
  | { readonly ok: false; readonly error: UpstreamErrorInfo };

export interface McpPeer {
  list(): Promise<readonly PeerTool[]>;
  /** `call_id` names the call in the gateway; it is all that travels besides the arguments. */
  call(
    tool: string,
    args: Readonly<Record<string, unknown>>,
    options: {
      readonly call_id: string;
      readonly timeout_ms: number;
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<PeerAnswer>;
  close(): Promise<void>;
}
