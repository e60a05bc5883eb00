import { isIPv6 } from 'node:net';

/**
 * Detectors of personal data and credentials. Each is a vetted, linear pattern behind a cheap test for a character or
 * word that it cannot match without, so that clean text costs almost nothing. They keep what a person needs to read an
 * incident: Kubernetes names, hashes, timestamps, versions and quantities stay.
 */
export interface Detector {
  /** False: the text cannot hold a match. */
  readonly possible: (text: string) => boolean;
  /** Replaces matches with the mark and calls `hit` for each. */
  readonly replace: (text: string, mark: string, hit: () => void) => string;
}

type Match = readonly string[];

/** A detector from one pattern; `keep` returns the replacement, or null when the match is none after all. */
function pattern(
  source: RegExp,
  possible: (text: string) => boolean,
  keep: (match: Match, mark: string) => string | null = (_, mark) => mark,
): Detector {
  return {
    possible,
    replace: (text, mark, hit) =>
      text.replace(source, (...found: unknown[]) => {
        // After the groups come the offset (a number) and the whole text.
        const match = found.slice(
          0,
          found.findIndex((part) => typeof part === 'number'),
        ) as string[];
        const replaced = keep(match, mark);
        if (replaced === null) return match[0] as string;
        hit();
        return replaced;
      }),
  };
}

const has =
  (...needles: readonly string[]) =>
  (text: string): boolean =>
    needles.some((needle) => text.includes(needle));

// A PEM block, also with escaped newlines (\n inside a JSON string), and also when its end was cut off.
const PRIVATE_KEY = pattern(
  /-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----|$)/g,
  has('PRIVATE KEY'),
);

// scheme://user:password@host: the scheme and the host stay.
const CONNECTION_STRING = pattern(
  /\b([a-z][a-z0-9+.-]{0,30}:\/\/)([^\s:/@"'<>]{0,200}):([^\s/@"'<>]{1,300})@/gi,
  has('://'),
  ([, scheme, user, password], mark) =>
    password?.startsWith('[REDACTED_') === true || user?.startsWith('[REDACTED_') === true
      ? null
      : `${scheme}${mark}@`,
);

const BEARER = pattern(
  /\b(Bearer|Basic|AWS4-HMAC-SHA256 Credential=)(\s+|(?<==))([A-Za-z0-9._~+/=-]{12,})/gi,
  (text) => /bearer|basic|AWS4-HMAC/i.test(text),
  ([, scheme, space], mark) => `${scheme}${space}${mark}`,
);

const JWT = pattern(/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?/g, has('eyJ'));

const CLOUD_KEY = pattern(
  /\b(?:(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,})(?![A-Za-z0-9])/g,
  has('AKIA', 'ASIA', 'ABIA', 'ACCA', 'AIza', 'ya29.', 'GOCSPX-'),
);

const SERVICE_TOKEN = pattern(
  /\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|[sr]k_live_[A-Za-z0-9]{16,}|hv[sbr]\.[A-Za-z0-9_-]{20,}|s\.[A-Za-z0-9]{24}|npm_[A-Za-z0-9]{36}|sk-(?:ant-|proj-)?[A-Za-z0-9_-]{24,})(?![A-Za-z0-9])/g,
  has('gh', 'glpat-', 'xox', 'xapp-', 'k_live_', 'hvs.', 'hvb.', 'hvr.', 's.', 'npm_', 'sk-'),
);

// password=..., "api_key": "...", aws_secret_access_key = ...; the name stays, the value goes.
const ASSIGNMENT = pattern(
  /\b((?:[A-Za-z0-9]+[_.-])*(?:password|passwd|passphrase|secret[_-]?(?:access[_-]?)?key|client[_-]?secret|api[_-]?(?:key|token)|(?:access|auth|session|refresh)[_-]?token|private[_-]?key)(?:\\?["'])?\s{0,3}[=:]\s{0,3}\\?["']?)([^\s"'\\,;&}{[\]]{4,400})/gi,
  (text) => /passw|passphrase|secret|api[_-]?(?:key|token)|[hs]s?[_-]?token|private[_-]?key/i.test(text),
  ([, name, value], mark) =>
    /^(?:null|true|false|none|undefined|\*+)$/i.test(value ?? '') ? null : `${name}${mark}`,
);

// Not `spark://Scheduler@host.svc` (a place, not a person) and not systemd units (`getty@tty1.service`).
const EMAIL = pattern(
  /(?<![A-Za-z0-9._%+/-])([A-Za-z0-9_%+][A-Za-z0-9._%+-]{0,63})@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}([A-Za-z]{2,24}))(?![A-Za-z0-9-])/g,
  has('@'),
  ([, , , top], mark) => (/^(?:service|scope|timer|socket|svc|local)$/i.test(top ?? '') ? null : mark),
);

// Written in one piece or in the usual groups, and only in ranges that card networks use: a nanosecond timestamp
// (19 digits, "17...") is never one.
const CARD = pattern(
  /(?<![\w.+-])(?:\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5}|\d{13,19})(?![\w-]|\.\d)/g,
  (text) => /\d{4}[ -]?\d{4}/.test(text),
  ([text], mark) => (isCard((text ?? '').replaceAll(/[ -]/g, '')) ? mark : null),
);

const PHONE = pattern(
  /(?<![\w.+:=-])(?:\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){2,3}|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-]|[.:]\d)/g,
  (text) => text.includes('+') || /\d{3}-\d{4}/.test(text),
  ([text], mark) => {
    const digits = (text ?? '').replaceAll(/\D/g, '').length;
    return digits >= 9 && digits <= 15 ? mark : null;
  },
);

// Loopback, unspecified and netmask addresses say nothing about anybody and help to read a log.
const IPV4 = pattern(
  /(?<![\w.-]|\bversion[ :=]"?)(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\w-]|\.\d)/g,
  (text) => /\d\.\d{1,3}\.\d{1,3}\.\d/.test(text),
  ([, ...octets], mark) => {
    const [first, ...rest] = octets.map(Number) as [number, ...number[]];
    if (octets.some((octet) => Number(octet) > 255 || (octet.length > 1 && octet.startsWith('0'))))
      return null;
    return first === 0 || first === 127 || (first === 255 && rest[0] === 255) ? null : mark;
  },
);

// Needs seven colons, or `::` in an address of a routed or link-local range: times and `a::b` in code are neither.
const IPV6 = pattern(
  /(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![\w:])/g,
  (text) => text.includes('::') || /(?:[0-9a-f]{1,4}:){7}/i.test(text),
  ([text], mark) => {
    const address = text ?? '';
    if (!isIPv6(address)) return null;
    const full = address.split(':').length === 8 && !address.includes('::');
    return full || /^(?:[23][0-9a-f]{3}|f[cdf][0-9a-f]{2}|fe[89ab][0-9a-f]):/i.test(address) ? mark : null;
  },
);

export const DETECTORS = {
  private_key: PRIVATE_KEY,
  connection_string: CONNECTION_STRING,
  bearer: BEARER,
  jwt: JWT,
  cloud_key: CLOUD_KEY,
  service_token: SERVICE_TOKEN,
  assignment: ASSIGNMENT,
  email: EMAIL,
  card: CARD,
  phone: PHONE,
  ipv4: IPV4,
  ipv6: IPV6,
} as const satisfies Readonly<Record<string, Detector>>;
export type DetectorName = keyof typeof DETECTORS;

function isCard(digits: string): boolean {
  const known =
    /^(?:4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}|6(?:011|5\d\d|4[4-9]\d)\d{12})$/;
  return known.test(digits) && luhn(digits);
}

function luhn(digits: string): boolean {
  let sum = 0;
  for (let index = 0; index < digits.length; index += 1) {
    let digit = Number(digits[digits.length - 1 - index]);
    if (index % 2 === 1) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 === 0;
}
