import { deflateSync, gzipSync } from 'node:zlib';
import type { Planted } from './planted-secrets.ts';

/** Ways in which a text can be hidden inside another, written without the product's own code. */
export const ENCODINGS: Readonly<Record<string, (text: string) => string>> = {
  plain: (text) => text,
  'base64 at alignment 0': (text) => Buffer.from(text).toString('base64'),
  'base64 at alignment 1': (text) => Buffer.from(` ${text}`).toString('base64'),
  'base64 at alignment 2': (text) => Buffer.from(`: ${text} z`).toString('base64'),
  'base64url without padding': (text) => Buffer.from(text).toString('base64url'),
  'base64 in lines of 76': (text) =>
    Buffer.from(`${text}${' filler'.repeat(20)}`)
      .toString('base64')
      .replaceAll(/.{76}/g, (line) => `${line}\r\n`),
  hex: (text) => Buffer.from(text).toString('hex'),
  'upper-case hex': (text) => Buffer.from(text).toString('hex').toUpperCase(),
  'percent-encoding': (text) => encodeURIComponent(text),
  'percent-encoding of all': (text) => each(text, (byte) => `%${hex(byte)}`),
  'JSON in a string': (text) => JSON.stringify({ nested: text }),
  'JSON in JSON in a string': (text) => JSON.stringify(JSON.stringify({ nested: text })),
  'unicode escapes': (text) => each(text, (byte) => `\\u00${hex(byte)}`),
  'hex escapes': (text) => each(text, (byte) => `\\x${hex(byte)}`),
  'HTML entities': (text) => each(text, (byte) => `&#${byte};`),
  'quoted-printable': (text) => each(text, (byte) => `=${hex(byte).toUpperCase()}`),
  'gzip in base64': (text) => gzipSync(text).toString('base64'),
  'zlib in base64': (text) => deflateSync(text).toString('base64'),
  'gzip in hex': (text) => gzipSync(text).toString('hex'),
};

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function each(text: string, show: (byte: number) => string): string {
  return [...Buffer.from(text)].map(show).join('');
}

/** What must not stand in `output`: the secret, a long part of it, and what tells it in each encoding. */
export function leaksIn(output: string, planted: readonly Planted[]): string[] {
  const index = indexOf(planted);
  const found = new Set<string>();
  // What was serialised once more doubles its backslashes.
  for (const text of new Set([output, output.replaceAll('\\\\', '\\')]))
    for (let at = 0; at + KEY_CHARS <= text.length; at += 1)
      for (const [label, form] of index.get(text.slice(at, at + KEY_CHARS)) ?? [])
        if (text.startsWith(form, at)) found.add(label);
  return [...found];
}

/** Forms by their first characters, so that megabytes are looked through once and not once for each form. */
const KEY_CHARS = 8;
type Index = ReadonlyMap<string, readonly (readonly [label: string, form: string])[]>;
const indexes = new WeakMap<readonly Planted[], Index>();

function indexOf(planted: readonly Planted[]): Index {
  const known = indexes.get(planted);
  if (known !== undefined) return known;
  const index = new Map<string, [string, string][]>();
  for (const { name, secret } of planted)
    for (const [form, text] of buildForms(secret)) {
      const key = text.slice(0, KEY_CHARS);
      if (key.length < KEY_CHARS) throw new Error(`${name} (${form}) is too short to be looked for`);
      index.set(key, [...(index.get(key) ?? []), [`${name} (${form})`, text]]);
    }
  indexes.set(planted, index);
  return index;
}

/** Shorter parts of a secret than this may stand in an output by chance. */
const PART_CHARS = 14;

function buildForms(secret: string): readonly (readonly [string, string])[] {
  const forms: [string, string][] = [['as it is', secret]];
  if (secret.length >= 2 * PART_CHARS)
    forms.push(['its end', secret.slice(-PART_CHARS)], ['its middle', middle(secret)]);
  const bytes = Buffer.from(secret);
  for (const offset of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replaceAll('=', '');
    // The first and the last characters depend on what stands beside the secret.
    const core = encoded.slice(offset === 0 ? 0 : offset + 1, encoded.length - 1);
    forms.push(
      [`base64 at ${offset}`, core],
      [`base64url at ${offset}`, core.replaceAll('+', '-').replaceAll('/', '_')],
    );
  }
  forms.push(['hex', bytes.toString('hex')], ['upper-case hex', bytes.toString('hex').toUpperCase()]);
  for (const name of [
    'percent-encoding',
    'percent-encoding of all',
    'unicode escapes',
    'hex escapes',
    'HTML entities',
    'quoted-printable',
  ])
    forms.push([name, (ENCODINGS[name] as (text: string) => string)(secret)]);
  forms.push(['JSON', JSON.stringify(secret).slice(1, -1)]);
  return forms;
}

function middle(secret: string): string {
  const start = Math.floor((secret.length - PART_CHARS) / 2);
  return secret.slice(start, start + PART_CHARS);
}
