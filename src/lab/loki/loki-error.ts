/** Refusals of Loki: plain text with a status. A construct outside of the subset is a 400 that names it. */

export class LokiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'LokiError';
    this.status = status;
  }
}

export function badRequest(message: string): LokiError {
  return new LokiError(400, message);
}

/** A syntax error with its place; Loki counts lines and columns from 1. */
export function parseErrorAt(query: string, offset: number, message: string): LokiError {
  const before = query.slice(0, offset);
  const line = before.split('\n').length;
  const column = Buffer.byteLength(before.slice(before.lastIndexOf('\n') + 1)) + 1;
  return badRequest(`parse error at line ${line}, col ${column}: ${message}`);
}

/** An error of a query that is well formed; Loki prints no place for it. */
export function parseError(message: string): LokiError {
  return badRequest(`parse error : ${message}`);
}

export function outsideSubset(construct: string): LokiError {
  return badRequest(`loki twin: ${construct} is outside of the implemented LogQL subset`);
}
