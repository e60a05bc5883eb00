/** Failures of the API server as it words them: a Status body with code, reason, message and details. */
import type { JsonObject } from '../world/kube-object.ts';
import type { Kind } from './kinds.ts';
import { qualifiedName } from './kinds.ts';

export interface StatusCause {
  reason: string;
  message: string;
  field: string;
}

export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: JsonObject | undefined;

  constructor(code: number, reason: string, message: string, details?: JsonObject) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  body(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

function details(kind: Kind, name?: string, extra: JsonObject = {}): JsonObject {
  return {
    ...(name === undefined || name === '' ? {} : { name }),
    ...(kind.group === '' ? {} : { group: kind.group }),
    kind: kind.plural,
    ...extra,
  };
}

export function unauthorized(): ApiError {
  return new ApiError(401, 'Unauthorized', 'Unauthorized');
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

export function notFound(kind: Kind, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${qualifiedName(kind)} "${name}" not found`, details(kind, name));
}

/** A group, version or resource that this server does not know: the generic answer of the real one. */
export function unknownResource(): ApiError {
  return new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function alreadyExists(kind: Kind, name: string): ApiError {
  const message = `${qualifiedName(kind)} "${name}" already exists`;
  return new ApiError(409, 'AlreadyExists', message, details(kind, name));
}

export function conflict(kind: Kind, name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualifiedName(kind)} "${name}": ${why}`;
  return new ApiError(409, 'Conflict', message, details(kind, name));
}

export const MODIFIED =
  'the object has been modified; please apply your changes to the latest version and try again';

export function invalid(kind: Kind, name: string, causes: readonly StatusCause[]): ApiError {
  const texts = causes.map(({ field, message }) => `${field}: ${message}`);
  const all = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  const full = kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`;
  return new ApiError(422, 'Invalid', `${full} "${name}" is invalid: ${all}`, {
    ...details(kind, name),
    kind: kind.kind,
    causes: [...causes],
  });
}

/** What the real server says when a JSON patch cannot be applied, also when a `test` operation fails. */
export function patchRejected(): ApiError {
  const message = 'the server rejected our request due to an error in our request';
  return new ApiError(422, 'Invalid', message, {});
}

export function unsupportedMediaType(accepted: readonly string[]): ApiError {
  const message = `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`;
  return new ApiError(415, 'UnsupportedMediaType', message);
}

export function forbidden(kind: Kind, name: string, why: string): ApiError {
  const who = name === '' ? qualifiedName(kind) : `${qualifiedName(kind)} "${name}"`;
  return new ApiError(403, 'Forbidden', `${who} is forbidden: ${why}`, details(kind, name));
}

/** The twin's own, loud answer to what a real server can do and this one cannot. */
export function notImplemented(construct: string): ApiError {
  const message = `the Kubernetes twin does not implement ${construct}; see src/lab/kubernetes/FIDELITY.md`;
  return new ApiError(501, 'NotImplemented', message);
}
