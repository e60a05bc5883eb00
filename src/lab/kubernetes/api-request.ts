/** A request as the API server understands it: which verb on which resource, from path, method and query. */
import type { Identity } from './token-store.ts';
import type { Kind } from './kinds.ts';
import { KINDS, findKind } from './kinds.ts';
import { ApiError, badRequest, notImplemented, unknownResource } from './status.ts';

export interface RawRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Readonly<Record<string, string | undefined>>;
  body: string;
  /** The body as received, for the few messages that arrive as protobuf. */
  raw_body: Buffer;
  /** Path and query as they were sent. */
  uri: string;
  /** Who it turned out to be; not there before that, and for a token that was refused. */
  caller?: Identity;
}

export interface ResourceRequest extends RawRequest {
  kind: Kind;
  verb: string;
  namespace: string | undefined;
  /** Empty for collections. */
  name: string;
  subresource: string;
  dry_run: boolean;
  user: Identity;
}

export type ParsedPath = Pick<ResourceRequest, 'kind' | 'namespace' | 'name' | 'subresource'>;

/** Splits `/apis/<group>/<version>/namespaces/<ns>/<resource>/<name>/<subresource>` and its shorter forms. */
export function parseResourcePath(path: string): ParsedPath | undefined {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent);
  const root = parts.shift();
  const group = root === 'api' ? '' : root === 'apis' ? parts.shift() : undefined;
  const version = parts.shift();
  if (group === undefined || version === undefined || parts.length === 0) return undefined;
  if (!KINDS.some((kind) => kind.group === group && kind.version === version))
    throw unknownGroup(group, version);
  const isScoped =
    parts[0] === 'namespaces' && parts.length > 2 && !['status', 'finalize'].includes(parts[2] ?? '');
  const namespace = isScoped ? parts[1] : undefined;
  const [plural = '', name = '', subresource = '', ...rest] = isScoped ? parts.slice(2) : parts;
  const kind = findKind(group, version, plural);
  if (kind === undefined || rest.length > 0) throw unknownIn(group, version, plural, rest);
  if (kind.namespaced ? name !== '' && namespace === undefined : namespace !== undefined)
    throw unknownResource();
  if (subresource !== '' && !kind.subresources.some((known) => known.name === subresource)) {
    throw notImplemented(`the subresource ${plural}/${subresource}`);
  }
  return { kind, namespace, name, subresource };
}

/** Groups of a real cluster that this twin leaves out are a loud error; made-up ones are simply not there. */
function unknownGroup(group: string, version: string): ApiError {
  const isBuiltin = group === '' || !group.includes('.') || group.endsWith('.k8s.io');
  return isBuiltin
    ? notImplemented(`the API group ${group === '' ? 'core' : group}/${version}`)
    : unknownResource();
}

function unknownIn(group: string, version: string, plural: string, rest: string[]): ApiError {
  if (rest.length > 0) return notImplemented(`the path below ${plural} (${rest.join('/')})`);
  const isBuiltin = group !== 'sparkoperator.k8s.io';
  return isBuiltin
    ? notImplemented(`the resource ${plural} in ${group === '' ? 'core' : group}/${version}`)
    : unknownResource();
}

export function verbOf(method: string, parsed: ParsedPath, query: URLSearchParams): string {
  const isNamed = parsed.name !== '';
  switch (method) {
    case 'GET':
      if (isNamed) return 'get';
      return isTrue(query.get('watch')) ? 'watch' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return isNamed ? 'delete' : 'deletecollection';
    default:
      throw new ApiError(
        405,
        'MethodNotAllowed',
        `the server does not allow this method on the requested resource`,
      );
  }
}

export function isTrue(text: string | null): boolean {
  return text === 'true' || text === '1';
}

/** `dryRun=All` is the only dry run there is; anything else is refused as the real server refuses it. */
export function isDryRun(query: URLSearchParams): boolean {
  const values = query.getAll('dryRun').filter((value) => value !== '');
  const bad = values.find((value) => value !== 'All');
  if (bad !== undefined) {
    const causes = [
      {
        reason: 'FieldValueNotSupported',
        message: `Unsupported value: "${bad}": supported values: "All"`,
        field: 'dryRun',
      },
    ];
    const message = `PatchOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "${bad}": supported values: "All"`;
    throw new ApiError(422, 'Invalid', message, { group: 'meta.k8s.io', kind: 'PatchOptions', causes });
  }
  return values.length > 0;
}

/** A whole number of the query, or undefined when it is absent. */
export function integerParameter(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^-?[0-9]{1,15}$/.test(text)) throw badRequest(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  return Number(text);
}
