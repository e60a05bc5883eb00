import { z } from 'zod';
import { hashOf } from '../../../contract/canonical.ts';
import { parseJsonText } from '../../../contract/parse.ts';
import { DELETED_KINDS, WATCHED_KINDS } from '../../../contract/shadow.ts';
import { valueAt } from '../../json-pointer.ts';
import { templateMark } from '../../template-mark.ts';
import { KINDS } from './kinds.ts';
import { patchedFields } from './patch-fields.ts';

/**
 * One line of an API server's audit log (audit.k8s.io/v1 Event,
 * https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/) as an act on what runs in one namespace. Only the
 * event's own objectRef says where it belongs, nothing inside of bodies, addresses or names of clients. Pure.
 */
export interface AuditAct {
  readonly kind: string;
  /** `-`: the request named no object (deletecollection, a generated name). */
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** The authenticated user. */
  readonly user: string;
  /** The user whom they acted as; null when they acted as themselves. */
  readonly impersonated: string | null;
  /** The person of the identity map behind these names. */
  readonly by: string | null;
  /** The field manager that the client named, or the API server's own word for its user agent. */
  readonly client: string;
  readonly verb: string;
  readonly subresource: string;
  readonly at: string;
  readonly fields: readonly string[];
  readonly more_fields: number;
  readonly values: Readonly<Record<string, unknown>>;
  /** Mark of the pod template, where the line tells it. */
  readonly template: string | null;
  /** Equal for the same line stored twice. Clients may choose the auditID, so that alone is no identity. */
  readonly key: string;
}

export const AUDITED_KINDS: readonly string[] = [...WATCHED_KINDS, ...DELETED_KINDS];
export const AUDITED_VERBS = ['create', 'update', 'patch', 'delete', 'deletecollection'] as const;
export const AUDITED_STAGE = 'ResponseComplete';

/** Loki takes lines of 256 KiB unless told otherwise. */
const LINE_LIMITS = { bytes_max: 512 * 1024, depth_max: 60, keys_max: 20_000 };
const FIELDS_MAX = 30;
const VALUE_CHARS_MAX = 300;
const CLIENT_CHARS_MAX = 128;

const User = z.object({ username: z.string().min(1).max(1024) });
const Event = z.object({
  kind: z.literal('Event'),
  apiVersion: z.literal('audit.k8s.io/v1'),
  auditID: z.string().max(256),
  stage: z.string(),
  verb: z.string(),
  requestURI: z.string().max(16_384),
  user: User,
  impersonatedUser: User.nullish(),
  userAgent: z.string().nullish(),
  objectRef: z.object({
    resource: z.string(),
    namespace: z.string(),
    name: z.string().nullish(),
    uid: z.string().max(100).nullish(),
    apiGroup: z.string().nullish(),
    subresource: z.string().nullish(),
  }),
  responseStatus: z.object({ code: z.int().nullish(), status: z.string().nullish() }).nullish(),
  requestObject: z.unknown().optional(),
  responseObject: z.unknown().optional(),
  stageTimestamp: z.iso.datetime({ offset: true }),
});
type Event = z.infer<typeof Event>;

/**
 * @returns `unreadable` for a line that may be an act and cannot be read; null for everything that is none: another
 * namespace, a read, another stage, a refused request, a dry run, a kind that is not watched.
 */
export function auditAct(
  line: string,
  namespace: string,
  people: Readonly<Record<string, string>>,
): AuditAct | 'unreadable' | null {
  const parsed = parseJsonText(line, LINE_LIMITS);
  if (!parsed.ok) return 'unreadable';
  if (valueAt(parsed.value, '/objectRef/namespace') !== namespace) return null;
  const { success, data: event } = Event.safeParse(parsed.value);
  if (!success) return 'unreadable';
  const code = event.responseStatus?.code ?? 0;
  if (event.stage !== AUDITED_STAGE || code < 200 || code > 299) return null;
  // An eviction that several budgets forbid is answered 201 with a failure inside.
  if (event.responseStatus?.status === 'Failure') return null;
  const kind = kindOfAct(event);
  if (kind === null || isDryRun(event)) return null;
  const name = nameOf(event);
  if (name === null) return 'unreadable';
  return actOf(event, kind, name, people);
}

function actOf(event: Event, kind: string, name: string, people: Readonly<Record<string, string>>): AuditAct {
  const { verb, requestURI, objectRef, requestObject, responseObject, stageTimestamp } = event;
  const user = event.user.username;
  const impersonated = event.impersonatedUser?.username ?? null;
  const subresource = objectRef.subresource ?? '';
  const fields = verb === 'patch' || subresource === 'scale' ? patchedFields(requestObject) : [];
  const shown = fields.filter(({ path }) => path.length <= 500).slice(0, FIELDS_MAX);
  const generation = valueAt(responseObject, '/metadata/generation');
  const uid = objectRef.uid ?? valueAt(responseObject, '/metadata/uid');
  return {
    kind,
    name,
    uid: typeof uid === 'string' ? uid.slice(0, 100) : '',
    generation: typeof generation === 'number' && Number.isSafeInteger(generation) ? generation : 0,
    user,
    impersonated,
    by: personOf(people, impersonated) ?? personOf(people, user),
    client: clientOf(event),
    verb,
    subresource,
    at: stageTimestamp,
    fields: shown.map(({ path }) => path),
    more_fields: fields.length - shown.length,
    values: Object.fromEntries(shown.filter(isShort).map(({ path, value }) => [path, value])),
    template: templateOf(event),
    key: hashOf([event.auditID, user, impersonated, verb, requestURI, stageTimestamp]),
  };
}

function personOf(people: Readonly<Record<string, string>>, user: string | null): string | null {
  return user !== null && Object.hasOwn(people, user) ? (people[user] ?? null) : null;
}

/** The kind of our names when the request is one that acts on what runs. */
function kindOfAct({ verb, objectRef }: Event): string | null {
  const { resource, apiGroup, subresource } = objectRef;
  const kind = AUDITED_KINDS.find((name) => {
    const info = KINDS[name];
    return info?.plural === resource && groupOf(info.base) === (apiGroup ?? '');
  });
  if (kind === undefined || !(AUDITED_VERBS as readonly string[]).includes(verb)) return null;
  const deletes = verb === 'delete' || verb === 'deletecollection';
  if ((DELETED_KINDS as readonly string[]).includes(kind)) {
    const evicts = subresource === 'eviction' && verb === 'create';
    return evicts || (deletes && !subresource) ? kind : null;
  }
  const scales = subresource === 'scale' && (verb === 'update' || verb === 'patch');
  return scales || !subresource ? kind : null;
}

function groupOf(base: string): string {
  return /^\/apis\/([^/]+)\//.exec(base)?.[1] ?? '';
}

/** A DELETE and an eviction may ask for it in their body, which then decides instead of the address. */
function isDryRun({ verb, requestURI, requestObject }: Event): boolean {
  const asked = new URLSearchParams(queryOf(requestURI)).getAll('dryRun').includes('All');
  const options = verb.startsWith('delete') ? requestObject : valueAt(requestObject, '/deleteOptions');
  if (verb.startsWith('delete') && isMap(options)) return holdsAll(valueAt(options, '/dryRun'));
  return asked || holdsAll(valueAt(options, '/dryRun'));
}

function holdsAll(list: unknown): boolean {
  return Array.isArray(list) && (list as unknown[]).includes('All');
}

/** Null for a name that no object can have. */
function nameOf({ verb, objectRef, requestObject, responseObject }: Event): string | null {
  if (verb === 'deletecollection') return '-';
  const name =
    objectRef.name || valueAt(responseObject, '/metadata/name') || valueAt(requestObject, '/metadata/name');
  if (typeof name !== 'string' || name === '') return verb === 'create' ? '-' : null;
  return /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(name) ? name : null;
}

/** As the API server names the manager in managedFields: the parameter, else the user agent up to its first slash. */
function clientOf({ requestURI, userAgent }: Event): string {
  const named = new URLSearchParams(queryOf(requestURI)).get('fieldManager') ?? '';
  return (named === '' ? ((userAgent ?? '').split('/')[0] ?? '') : named).slice(0, CLIENT_CHARS_MAX);
}

function queryOf(uri: string): string {
  const cut = uri.indexOf('?');
  return cut === -1 ? '' : uri.slice(cut + 1);
}

function templateOf({ requestObject, responseObject }: Event): string | null {
  const stands = templateMark(responseObject);
  if (stands !== null || !Array.isArray(requestObject)) return stands;
  const whole = (requestObject as unknown[]).find(
    (operation) =>
      valueAt(operation, '/path') === '/spec/template' &&
      ['add', 'replace'].includes(String(valueAt(operation, '/op'))),
  );
  return whole === undefined ? null : templateMark({ spec: { template: valueAt(whole, '/value') } });
}

function isShort({ value }: { readonly value: unknown }): boolean {
  return value !== undefined && JSON.stringify(value).length <= VALUE_CHARS_MAX;
}

function isMap(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
