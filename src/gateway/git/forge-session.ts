import { UpstreamError } from '../upstream-error.ts';

/** The API of a forge for one call: one project and one branch. */
export interface ForgeCall {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface ForgeSession {
  readonly project: string;
  readonly branch: string;
  /** The parsed body of a 2xx answer. @throws UpstreamError for everything else. */
  readonly request: (call: ForgeCall) => Promise<unknown>;
}

export function malformed(reason: string): UpstreamError {
  // The server has answered with success: what it did is to be looked at.
  return new UpstreamError({
    problem: 'malformed',
    sent: 'maybe',
    status: null,
    message: `the answer is not what a forge says: ${reason}`.slice(0, 300),
  });
}
