/** How a query fails: as text that is no query (400), as a construct this twin lacks (422), or while running (422). */

export class PromqlError extends Error {
  readonly status: number;
  readonly error_type: 'bad_data' | 'execution';

  constructor(status: number, error_type: 'bad_data' | 'execution', message: string) {
    super(message);
    this.name = 'PromqlError';
    this.status = status;
    this.error_type = error_type;
  }
}

/** `offset` is where in the query; Prometheus counts lines and bytes from 1. */
export function parseError(query: string, offset: number, message: string): PromqlError {
  const before = query.slice(0, offset);
  const line = before.split('\n').length;
  const column = Buffer.byteLength(before.slice(before.lastIndexOf('\n') + 1)) + 1;
  return new PromqlError(400, 'bad_data', `${line}:${column}: parse error: ${message}`);
}

/** Valid PromQL that this twin does not evaluate: refused by name, never answered with nothing. */
export function outsideSubset(construct: string): PromqlError {
  return new PromqlError(
    422,
    'execution',
    `prometheus twin: ${construct} is outside of the implemented PromQL subset`,
  );
}

export function executionError(message: string): PromqlError {
  return new PromqlError(422, 'execution', message);
}
