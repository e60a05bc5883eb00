import { pattern, has, lastGroup, type Detector } from './detector.ts';

/** Credentials by their own shape, or by the name that stands before them. */
const isMarked = (text: string): boolean => text.startsWith('[REDACTED_');

// A PEM or PGP block, also with escaped newlines (\n inside a JSON string), also when its end was cut off; and PuTTY's.
export const PRIVATE_KEY = pattern(
  'credential',
  /-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|$)|\bPrivate-Lines: \d{1,4}(?:\\?[\\rn\s]{1,4}[A-Za-z0-9+/=]{10,}){1,400}/g,
  has('PRIVATE KEY', 'Private-Lines'),
);

// A whole string that is one full line of a PEM block: log shippers make an entry of each line.
export const KEY_LINE: Detector = {
  ...pattern(
    'credential',
    /^[ \t]*(?=[^\n]{0,80}[A-Z])(?=[^\n]{0,80}[a-z])(?=[^\n]{0,80}\d)([A-Za-z0-9+/]{64}|[A-Za-z0-9+/]{70}|[A-Za-z0-9+/]{76})\s*$/g,
    (text) => text.length >= 64 && text.length <= 90,
  ),
  alone: true,
};

// scheme://user:password@host and what Go and Oracle write instead: the scheme and the host stay.
export const CONNECTION_STRING = pattern(
  'credential',
  /(?<=:\/\/)([^\s:/@"'<>\\]{0,200}):([^\s"'<>/\\]{1,500})(?=@)|(?<![\w@/:])([\w.-]{1,64}:[^\s"'@/\\]{1,200})(?=@(?:tcp|unix)\()|(?<=jdbc:oracle:(?:thin|oci):)([^\s/@"']{1,64}\/[^\s@"']{1,200})(?=@)/g,
  (text) =>
    text.includes('://') || text.includes('@tcp(') || text.includes('@unix(') || text.includes('jdbc:'),
  ([all, user, password]) =>
    isMarked(password ?? '') || isMarked(user ?? '') || all.startsWith('[REDACTED_') ? null : [0, all.length],
);

// Basic and Bearer are also words: `Basic authentication` is none.
export const BEARER = pattern(
  'credential',
  /\b(?:(?:Bearer|Basic|SSWS|Splunk|GenieKey|ApiKey|Token token=|AWS4-HMAC-SHA256 Credential=)(?:\s+|(?<==))["']?)([A-Za-z0-9._~+/=-]{12,})|\b(?:proxy-)?authorization(?:\\?["'])?\s{0,3}[:=]\s{0,3}(?:\\?["'])?(?:(?:Bearer|Basic|Token|ApiKey|Digest|Negotiate|NTLM|Key)\s+)?(?!Bearer\b|Basic\b|Token\b|Digest\b|AWS4)([A-Za-z0-9._~+/=:-]{16,})/gi,
  (text) => /bearer|basic|authorization|AWS4-HMAC|ssws|splunk|geniekey|apikey|token token/i.test(text),
  (match) => {
    const [all, plain, header] = match;
    const value = plain ?? header ?? '';
    if (/^(?:auth|token|credential|challenge|scheme|realm|error)[a-z]*[.:]?$/i.test(value)) return null;
    return [all.length - value.length, all.length];
  },
);

export const JWT = pattern(
  'credential',
  /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}/g,
  has('eyJ'),
);

export const CLOUD_KEY = pattern(
  'credential',
  /(?<![A-Za-z0-9])(?:(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|ABSK[A-Za-z0-9+/]{100,}={0,2}|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_.-]{20,}|1\/\/0[A-Za-z0-9_-]{40,}|GOCSPX-[A-Za-z0-9_-]{20,}|[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34})(?![A-Za-z0-9])/g,
  has('AKIA', 'ASIA', 'ABIA', 'ACCA', 'ABSK', 'AIza', 'ya29.', '1//0', 'GOCSPX-', 'Q~'),
);

// Web hooks whose address is the secret, and signatures of URLs that are signed beforehand.
export const SIGNED_URL = pattern(
  'credential',
  /(?:hooks\.slack\.com\/(?:services|workflows|triggers)\/|discord(?:app)?\.com\/api\/webhooks\/|webhook\.office\.com\/webhookb2\/|api\.telegram\.org\/bot)([A-Za-z0-9_/:@.-]{20,})|[?&;](?:sig|X-Amz-Signature|X-Goog-Signature|Signature)=([A-Za-z0-9%+/=_-]{20,})/gi,
  (text) => /hooks\.slack|webhook|telegram\.org|sig(?:nature)?=/i.test(text),
  (match) => {
    const value = match[1] ?? match[2] ?? '';
    return [match[0].length - value.length, match[0].length];
  },
);

const PLACEHOLDER =
  /^(?:\$\{?[\w.:-]{1,100}\}?|\$\([^)]{0,100}\)|\{\{.{0,100}\}\}|<[\w .-]{1,60}>|\*+|x{3,}|null|true|false|none|nil|undefined)$/i;

// password=..., "api_key": "...", aws_secret_access_key = ...; the name stays, the value goes.
export const ASSIGNMENT = pattern(
  'credential',
  /(?:pass(?:word|wd|phrase)|(?<![a-z])pwd|[_.-]pass|secret(?:[_-]?(?:access[_-]?)?key)?|token|(?:api|access|account|app|application|private|signing|encryption|master|license|shared[_-]?access|routing|integration|service|storage|auth)[_-]?key|(?<![a-z])(?:j|php|asp)?sess(?:ion)?[_-]?(?:id|key)|connect\.sid)(?:\\{0,3}["'])?\s{0,3}(?:=>|:=|[=:])\s{0,3}(?:\\{0,3}(?:"([^"\\\r\n]+)|'([^'\\\r\n]+))|([^\s"'\\,;&}{[\]]{4,}))/gi,
  (text) => /pass|pwd|secret|token|key|sess|_auth|\.sid/i.test(text),
  (match) => {
    const [all, double, single, plain] = match;
    const value = double ?? single ?? plain ?? '';
    if (PLACEHOLDER.test(value) || isMarked(value) || (plain !== undefined && isPlace(all, plain)))
      return null;
    return [all.length - value.length, all.length];
  },
);

/** PWD=/home/x is where a process runs; `token: Authorization` begins another header. */
function isPlace(all: string, value: string): boolean {
  return (/^pwd/i.test(all) && value.startsWith('/')) || /^(?:bearer|basic|digest)$/i.test(value);
}

// {"name": "DB_PASSWORD", "value": "..."} as text: an annotation of Kubernetes holds such. The names are those of ASSIGNMENT.
export const NAMED_VALUE = pattern(
  'credential',
  /"name"\s{0,3}:\s{0,3}"[\w.-]{0,100}(?:pass(?:word|wd|phrase)|(?<![a-z])pwd|[_.-]pass|secret(?:[_-]?(?:access[_-]?)?key)?|token|(?:api|access|account|app|application|private|signing|encryption|master|license|shared[_-]?access|routing|integration|service|storage|auth)[_-]?key|(?<![a-z])(?:j|php|asp)?sess(?:ion)?[_-]?(?:id|key)|connect\.sid)"\s{0,3},\s{0,9}"value"\s{0,3}:\s{0,3}"([^"\\]+)(?=")/gi,
  (text) => text.includes('"value"') && text.includes('"name"'),
  (match) => (isMarked(match[1] ?? '') ? null : lastGroup(match)),
);

// Of a cookie all values are taken: which of them is the session, only its server knows.
export const COOKIE = pattern(
  'credential',
  /\b(?:set-)?cookie2?(?:\\?["'])?\s{0,3}[:=]\s{0,3}(?:\\?["'])?([\w.%!#$*+^`|~-]{1,100}=[^\r\n"'\\]{4,})/gi,
  (text) => /cookie/i.test(text),
  (match) => ((match[1] ?? '').includes('=[REDACTED_') ? null : lastGroup(match)),
);

// machine HOST login NAME password WORD, --password WORD, and docker's "auth": "base64 of name:password".
export const LOGIN_FILE = pattern(
  'credential',
  /\b(?:machine\s+\S{1,200}|default)\s+login\s+\S{1,200}\s+password\s+(\S+)|--[\w-]{0,40}(?:password|passwd|passphrase|secret|token|api-?key|access-?key)\s+(?!-)([^\s"'\\]{3,})|"_?auth"\s{0,3}:\s{0,3}"([A-Za-z0-9+/_-]{8,}={0,2})(?=")|(?<![A-Za-z])_auth\s{0,3}=\s{0,3}"?([A-Za-z0-9+/_-]{8,}={0,2})/gi,
  (text) => text.includes('login') || text.includes('auth') || text.includes('--'),
  (match) => {
    const value = match[1] ?? match[2] ?? match[3] ?? match[4] ?? '';
    if (isMarked(value) || (match[3] !== undefined && !isPair(match[3]))) return null;
    return [match[0].length - value.length, match[0].length];
  },
);

/** Base64 of name:password. */
export function isPair(base64: string): boolean {
  return /^[\x21-\x39\x3b-\x7e]{1,200}:[\x20-\x7e]{1,400}$/.test(
    Buffer.from(base64, 'base64').toString('latin1'),
  );
}
