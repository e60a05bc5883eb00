import type { Detector } from './detector.ts';
import { replaceFound } from './detector.ts';

/**
 * Removes the credential of the running call from text: rules may miss its shape, the exact value cannot hide. Forms:
 * as is, base64 and base64url at all three byte alignments, hex, URL-encoded and JSON-escaped. As a rule among the
 * others it is also looked for in everything that a text hides.
 */
export interface ExactScrub {
  (text: string, hit: () => void): string;
  readonly rule: { readonly detector: Detector; readonly mark: string };
}

const CREDENTIAL_MARK = '[REDACTED_CREDENTIAL]';

/** Shorter values would match by chance and destroy text; such a credential is refused where it is leased. */
export const CREDENTIAL_CHARS_MIN = 8;

export function exactScrub(secrets: readonly string[]): ExactScrub {
  const needles = [...new Set(secrets.flatMap(formsOf))].sort((a, b) => b.length - a.length);
  const detector: Detector = {
    kind: 'credential',
    possible: (text) => needles.some((needle) => text.includes(needle)),
    find: (text, found) => {
      for (const [start, end] of places(text, needles)) found(start, end);
    },
  };
  const scrub = (text: string, hit: () => void): string =>
    detector.possible(text) ? replaceFound(text, detector, CREDENTIAL_MARK, hit) : text;
  return Object.assign(scrub, { rule: { detector, mark: CREDENTIAL_MARK } });
}

/** Every place of a needle, longest needles first, from left to right and never overlapping. */
function places(text: string, needles: readonly string[]): (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  for (const needle of needles)
    for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, at + needle.length)) {
      const end = at + needle.length;
      if (found.every(([start, stop]) => end <= start || at >= stop)) found.push([at, end]);
    }
  return found.sort((a, b) => a[0] - b[0]);
}

function formsOf(secret: string): string[] {
  if (secret.length < CREDENTIAL_CHARS_MIN) return [];
  const bytes = Buffer.from(secret);
  const hex = bytes.toString('hex');
  const forms = [
    secret,
    hex,
    hex.toUpperCase(),
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
  ];
  for (const offset of [0, 1, 2]) {
    const text = alignedBase64(bytes, offset);
    forms.push(text, text.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return forms.filter((form) => form.length >= CREDENTIAL_CHARS_MIN);
}

/** The characters of a base64 text that depend only on the secret when it starts at `offset` modulo 3. */
function alignedBase64(bytes: Buffer, offset: number): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString('base64')
    .replaceAll('=', '');
  const first = offset === 0 ? 0 : offset + 1;
  const shared_tail = (bytes.length + offset) % 3 === 0 ? 0 : 1;
  return encoded.slice(first, encoded.length - shared_tail);
}
