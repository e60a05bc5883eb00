/**
 * Removes the credential of the running call from text: rules may miss its shape, the exact value cannot hide. Forms:
 * as is, base64 and base64url at all three byte alignments, hex, URL-encoded and JSON-escaped.
 */
export type ExactScrub = (text: string, hit: () => void) => string;

const CREDENTIAL_MARK = '[REDACTED_CREDENTIAL]';

/** Shorter values would match by chance and destroy text; such a credential is refused where it is leased. */
export const CREDENTIAL_CHARS_MIN = 8;

export function exactScrub(secrets: readonly string[]): ExactScrub {
  const needles = [...new Set(secrets.flatMap(formsOf))].sort((a, b) => b.length - a.length);
  return (text, hit) => {
    let clean = text;
    for (const needle of needles) {
      if (!clean.includes(needle)) continue;
      const parts = clean.split(needle);
      for (let index = 1; index < parts.length; index += 1) hit();
      clean = parts.join(CREDENTIAL_MARK);
    }
    return clean;
  };
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
