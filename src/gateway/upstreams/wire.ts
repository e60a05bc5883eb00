import type { Credential } from '../credentials/credential.ts';
import type { UpstreamErrorInfo } from '../upstream-error.ts';

/** What carries the messages of a link: a process's pipes or HTTP. It knows bytes and limits, not MCP. */
export interface Wire {
  start(): Promise<void>;
  /** @throws UpstreamError; `sent: no` proves that the other side cannot have seen the message. */
  send(message: object, flight: Flight | null): Promise<void>;
  /** Ends everything that belongs to it and returns when it is gone. Idempotent. */
  close(): Promise<void>;
  /** For HTTP, which repeats it in every header. */
  agreed?(protocol_version: string): void;
  onmessage: (message: unknown) => void;
  /** Once. */
  onclose: (reason: UpstreamErrorInfo) => void;
}

/** One request under way, for wires on which each request has its own exchange. */
export interface Flight {
  readonly signal: AbortSignal;
  readonly credential: Credential | null | undefined;
  /** Its exchange ended; if the answer has not come by now, it never will. */
  ended(reason: UpstreamErrorInfo): void;
}
