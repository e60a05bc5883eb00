import type { Refusal } from '../contract/verdict.ts';

export interface ReadRequest {
  /** Gateway token of the caller; scope, incident and class come from it, never from arguments. */
  readonly token: string;
  readonly tool: string;
  readonly target: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly why: string;
}

export interface ReadResult {
  readonly call_id: string;
  /** Structured content after redaction and minimisation. */
  readonly result: unknown;
  readonly redactions: number;
  /** SHA-256 of the redaction rules in force. */
  readonly rules_hash: string;
  /** HMAC of the raw result under the tenant's key. */
  readonly raw_hmac: string;
  /** The query as sent to the source: LogQL, PromQL or API call. */
  readonly source_query: string;
  readonly latency_ms: number;
}

/** The read door: the only way to see the outside. Refusals are values; a source that fails is a refusal `upstream-*`. */
export interface GatewayRead {
  read(request: ReadRequest, signal?: AbortSignal): Promise<ReadResult | Refusal>;
}
