/** RFC 7386 merge patch and RFC 6902 JSON patch over plain JSON. */
import { isObject, sameJson } from '../world/kube-object.ts';
import { badRequest, patchRejected } from './status.ts';

export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: unknown;
}

const OPERATIONS_MAX = 10_000;

/** Applies all operations or none. A failing `test`, a missing path or a bad index reject the whole patch (422). */
export function jsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch))
    throw badRequest(
      'error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch',
    );
  if (patch.length > OPERATIONS_MAX)
    throw badRequest(
      `The allowed maximum operations in a JSON patch is ${OPERATIONS_MAX}, got ${patch.length}`,
    );
  const root = { document: structuredClone(target) };
  for (const operation of patch as Operation[]) applyOperation(root, operation);
  return root.document;
}

function applyOperation(root: { document: unknown }, operation: Operation): void {
  const { op, path } = operation;
  switch (op) {
    case 'test':
      if (!sameJson(read(root, path), operation.value)) throw patchRejected();
      return;
    case 'add':
      write(root, path, structuredClone(operation.value), true);
      return;
    case 'replace':
      read(root, path);
      write(root, path, structuredClone(operation.value), false);
      return;
    case 'remove':
      remove(root, path);
      return;
    case 'move': {
      const moved = read(root, operation.from ?? '');
      remove(root, operation.from ?? '');
      write(root, path, moved, true);
      return;
    }
    case 'copy':
      write(root, path, structuredClone(read(root, operation.from ?? '')), true);
      return;
    default:
      throw patchRejected();
  }
}

function steps(pointer: string): string[] {
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) throw patchRejected();
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function child(container: unknown, key: string): unknown {
  if (Array.isArray(container) && /^(0|[1-9][0-9]*)$/.test(key) && Number(key) < container.length)
    return container[Number(key)];
  if (isObject(container) && Object.hasOwn(container, key)) return container[key];
  throw patchRejected();
}

function read(root: { document: unknown }, pointer: string): unknown {
  return steps(pointer).reduce<unknown>(child, root.document);
}

function parent(root: { document: unknown }, pointer: string): { container: unknown; key: string } {
  const path = steps(pointer);
  const key = path.pop();
  if (key === undefined) throw patchRejected();
  return { container: path.reduce<unknown>(child, root.document), key };
}

function write(root: { document: unknown }, pointer: string, value: unknown, isAdd: boolean): void {
  if (pointer === '') {
    root.document = value;
    return;
  }
  const { container, key } = parent(root, pointer);
  if (Array.isArray(container)) {
    const index = key === '-' && isAdd ? container.length : Number(key);
    if (!Number.isInteger(index) || index < 0 || index > container.length - (isAdd ? 0 : 1))
      throw patchRejected();
    container.splice(index, isAdd ? 0 : 1, value);
  } else if (isObject(container) && key !== '__proto__') container[key] = value;
  else throw patchRejected();
}

function remove(root: { document: unknown }, pointer: string): void {
  const { container, key } = parent(root, pointer);
  child(container, key);
  if (Array.isArray(container)) container.splice(Number(key), 1);
  else if (isObject(container)) delete container[key];
}
