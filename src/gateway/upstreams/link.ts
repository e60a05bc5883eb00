import type { Credential } from '../credentials/credential.ts';
import type { UpstreamErrorInfo } from '../upstream-error.ts';

/**
 * One live session with one external MCP server, whatever carries it. Methods are strings and parameters are JSON, so
 * that the protocol's revision and the SDK stay behind this door. A link that has closed never comes back: whoever
 * holds it opens a new one, and decides what may be asked again.
 */
export interface LinkServer {
  readonly name: string;
  readonly version: string;
  readonly instructions: string | null;
  /** As the server sent them. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly protocol_version: string;
  /** The whole answer to `initialize`, unchanged, for a relay. */
  readonly raw: Readonly<Record<string, unknown>>;
}

export type RpcParams = Readonly<Record<string, unknown>>;

/** A JSON-RPC error as its sender worded it. */
export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

export type RpcReply =
  { readonly ok: true; readonly result: RpcParams } | { readonly ok: false; readonly rpc: RpcError };

/**
 * `rpc` is the server's own error (then `error.sent` is `answered`); null when no usable answer came. `error.sent`
 * says whether the server can have acted, as everywhere in the gateway.
 */
export type LinkAnswer =
  | { readonly ok: true; readonly result: RpcParams }
  | { readonly ok: false; readonly error: UpstreamErrorInfo; readonly rpc: RpcError | null };

export interface LinkRequestOptions {
  readonly timeout_ms: number;
  readonly signal?: AbortSignal | undefined;
  /** Asks the server for progress and receives it; a relay maps the token to its own caller's. */
  readonly onprogress?: ((progress: RpcParams) => void) | undefined;
  /** For this request alone, instead of the link's own. Only HTTP can carry one. */
  readonly credential?: Credential | null | undefined;
}

export interface Link {
  readonly server: LinkServer;
  /** Never throws: what went wrong is the answer. */
  request(method: string, params: RpcParams | undefined, options: LinkRequestOptions): Promise<LinkAnswer>;
  /** Best effort, as notifications are. */
  notify(method: string, params?: RpcParams): Promise<void>;
  /** Ends the session and, for stdio, the process with all its children. Returns when they are gone. Idempotent. */
  close(): Promise<void>;
}

/** What the server may ask of us. Without a handler a request is answered with "method not found". */
export interface LinkHandlers {
  /** sampling/createMessage, elicitation/create, roots/list, ... */
  onrequest?(method: string, params: RpcParams, signal: AbortSignal): Promise<RpcReply>;
  /** notifications/message, .../list_changed, notifications/resources/updated, ... Progress goes to its request. */
  onnotification?(method: string, params: RpcParams): void;
  /** Once, when the link has ended for whatever reason; after `close()` too. */
  onclose?(reason: UpstreamErrorInfo): void;
  /** One line of the process's stderr, unredacted: whoever logs it redacts it. */
  onstderr?(line: string): void;
}

export interface LinkOptions {
  /** As `initialize` advertises them: only what the handlers really serve. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly handlers: LinkHandlers;
  readonly handshake_timeout_ms: number;
  /** One message of the server; a longer one ends the link. */
  readonly message_bytes_max: number;
  /** Ends a handshake that is still under way. */
  readonly signal?: AbortSignal | undefined;
}

/** What a server may send without anything being asked or answered, before it counts as a flood. */
export const UNASKED_BYTES_MAX = 16 * 1024 * 1024;
