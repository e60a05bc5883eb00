/** One listener serves all doors (`/slack/events`, `/hooks/<trigger>`, `/healthz`, ...); rooms contribute routes. */

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  /** Header names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Raw bytes as received: signatures are over these. Never longer than the route's `body_bytes_max`. */
  readonly body: Buffer;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** What the ledger notes of a refusal whose body is a page; null: it is written down already. Without it: the body. */
  readonly refusal?: string | null;
  /** Instead of `body`: sent as it comes. It is cancelled when the asker is gone or a limit of the listener is reached. */
  readonly stream?: ReadableStream<Uint8Array>;
}

export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** One that ends in `/*` stands for every path with exactly one more segment there. */
  readonly path: string;
  /** A longer body is answered 413 before it is read to the end. */
  readonly body_bytes_max: number;
  handle(request: HttpRequest): Promise<HttpResponse>;
}
