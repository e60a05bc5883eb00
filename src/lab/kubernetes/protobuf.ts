/**
 * Decodes the few request bodies that kubectl and client-go send as Kubernetes protobuf: reviews and token requests.
 * Field numbers are those of the generated.proto files of k8s.io/api. Everything else in protobuf is a 415.
 */
import type { JsonObject } from '../world/kube-object.ts';
import { badRequest } from './status.ts';

type Field = { name: string; fields?: Fields; repeated?: true } | undefined;
type Fields = Readonly<Record<number, Field>>;

const RESOURCE_ATTRIBUTES: Fields = {
  1: { name: 'namespace' },
  2: { name: 'verb' },
  3: { name: 'group' },
  4: { name: 'version' },
  5: { name: 'resource' },
  6: { name: 'subresource' },
  7: { name: 'name' },
};
const BOUND_OBJECT: Fields = {
  1: { name: 'kind' },
  2: { name: 'apiVersion' },
  3: { name: 'name' },
  4: { name: 'uid' },
};
const SPECS: Readonly<Record<string, Fields>> = {
  SelfSubjectReview: {},
  SelfSubjectAccessReview: {
    1: { name: 'resourceAttributes', fields: RESOURCE_ATTRIBUTES },
    2: { name: 'nonResourceAttributes', fields: { 1: { name: 'path' }, 2: { name: 'verb' } } },
  },
  SelfSubjectRulesReview: { 1: { name: 'namespace' } },
  TokenRequest: {
    1: { name: 'audiences', repeated: true },
    3: { name: 'boundObjectRef', fields: BOUND_OBJECT },
    4: { name: 'expirationSeconds' },
  },
};
const ENVELOPE: Fields = {
  1: { name: 'typeMeta', fields: { 1: { name: 'apiVersion' }, 2: { name: 'kind' } } },
};
const MAGIC = Buffer.from('k8s\0');

/** The JSON form of an enveloped message, or undefined when its kind is not one of those above. */
export function decodeKubernetesProtobuf(bytes: Buffer): JsonObject | undefined {
  if (!bytes.subarray(0, 4).equals(MAGIC))
    throw badRequest('provided data does not appear to be a protobuf message');
  const body = bytes.subarray(4);
  const { apiVersion, kind } = (decode(body, ENVELOPE)['typeMeta'] ?? {}) as {
    apiVersion?: string;
    kind?: string;
  };
  const fields = SPECS[kind ?? ''];
  if (fields === undefined) return undefined;
  let raw: Buffer = Buffer.alloc(0);
  eachField(body, (number, value) => {
    if (number === 2 && Buffer.isBuffer(value)) raw = value;
  });
  return { apiVersion, kind, spec: decode(raw, { 2: { name: 'spec', fields } })['spec'] ?? {} };
}

function decode(bytes: Buffer, fields: Fields): JsonObject {
  const result: JsonObject = {};
  eachField(bytes, (number, value) => {
    const field = fields[number];
    if (field === undefined) return;
    const shown = Buffer.isBuffer(value)
      ? field.fields === undefined
        ? value.toString('utf8')
        : decode(value, field.fields)
      : value;
    if (field.repeated === true)
      result[field.name] = [...((result[field.name] as unknown[] | undefined) ?? []), shown];
    else result[field.name] = shown;
  });
  return result;
}

/** Walks the fields of one message; only varints and length-delimited fields occur in these messages. */
function eachField(bytes: Buffer, visit: (number: number, value: number | Buffer) => void): void {
  let offset = 0;
  function varint(): number {
    let value = 0;
    for (let shift = 0; shift < 63; shift += 7) {
      const byte = bytes[offset];
      if (byte === undefined) throw badRequest('unexpected end of the protobuf message');
      offset += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw badRequest('protobuf varint is too long');
  }
  while (offset < bytes.length) {
    const tag = varint();
    const wire = tag % 8;
    if (wire === 0) visit(Math.floor(tag / 8), varint());
    else if (wire === 2) {
      const length = varint();
      if (offset + length > bytes.length) throw badRequest('unexpected end of the protobuf message');
      visit(Math.floor(tag / 8), bytes.subarray(offset, offset + length));
      offset += length;
    } else throw badRequest(`protobuf wire type ${wire} is not used by these messages`);
  }
}
