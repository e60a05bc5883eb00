import { isIPv6 } from 'node:net';
import { pattern, has, type Detector } from './detector.ts';

/** Data about people and places. Kubernetes names, hashes, timestamps, versions and quantities stay. */
const whole = (match: RegExpExecArray): [number, number] => [0, match[0].length];

// Not `spark://Scheduler@host.svc` (a place, not a person) and not systemd units (`getty@tty1.service`).
const ADDRESS =
  /[A-Za-z0-9_%+][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}([A-Za-z]{2,24})(?![A-Za-z0-9-])/y;
const LOCAL_CHARS_MAX = 64;

/** Begins at each `@` and looks back, since nearly every character could begin an address. */
export const EMAIL: Detector = {
  kind: 'personal',
  possible: has('@'),
  find: (text, found) => {
    for (let at = text.indexOf('@'); at !== -1; at = text.indexOf('@', at + 1)) {
      let start = at;
      while (start > 0 && at - start <= LOCAL_CHARS_MAX && isLocal(text.charCodeAt(start - 1))) start -= 1;
      if (start === at || at - start > LOCAL_CHARS_MAX || text[start - 1] === '/') continue;
      ADDRESS.lastIndex = start;
      const match = ADDRESS.exec(text);
      if (match === null || /^(?:service|scope|timer|socket|svc|local)$/i.test(match[1] ?? '')) continue;
      found(start, start + match[0].length);
      at = start + match[0].length - 1;
    }
  },
};

/** Letters, digits and `._%+-`. */
function isLocal(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 46 ||
    code === 95 ||
    code === 37 ||
    code === 43 ||
    code === 45
  );
}

// Written in one piece or in the usual groups, and only in ranges that card networks use: a nanosecond timestamp
// (19 digits, "17...") is never one.
export const CARD = pattern(
  'personal',
  /(?<![\w.+-])(?:\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5}|\d{13,19})(?![\w-]|\.\d)/g,
  (text) => /\d{4}[ -]?\d{4}/.test(text),
  (match) => (isCard(match[0].replaceAll(/[ -]/g, '')) ? whole(match) : null),
);

export const PHONE = pattern(
  'personal',
  /(?<![\w.+:=-])(?:\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){2,3}|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-]|[.:]\d)/g,
  (text) => text.includes('+') || /\d{3}-\d{4}/.test(text),
  (match) => {
    const digits = match[0].replaceAll(/\D/g, '').length;
    return digits >= 9 && digits <= 15 ? whole(match) : null;
  },
);

// Country, two check digits, up to 30 characters, in one piece or in fours. The check digits decide, unless the text
// itself says what it is.
export const IBAN = pattern(
  'personal',
  /(?<![\w.-])[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)(?![\w-])/g,
  (text) => /[A-Z]{2}\d{2}[ A-Z0-9]{9}/.test(text),
  (match) =>
    isIban(match[0].replaceAll(' ', '')) ||
    /iban\W{1,3}$/i.test(match.input.slice(Math.max(0, match.index - 8), match.index))
      ? whole(match)
      : null,
);

// 123-45-6789 in the ranges that the United States give out.
export const SSN = pattern(
  'personal',
  /(?<![\w.+:=-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-]|\.\d)|(?<=\b(?:ssn|social)\W{1,3})\d{9}\b/gi,
  (text) => /\d{3}-\d{2}-\d{4}/.test(text) || /ssn|social/i.test(text),
);

// Loopback, unspecified and netmask addresses say nothing about anybody and help to read a log.
export const IPV4 = pattern(
  'personal',
  /(?<![\w.-]|\bversion[ :=]"?)(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\w-]|\.\d)/g,
  (text) => /\d\.\d{1,3}\.\d{1,3}\.\d/.test(text),
  (match) => {
    const octets = match.slice(1);
    if (octets.some((octet) => Number(octet) > 255 || (octet.length > 1 && octet.startsWith('0'))))
      return null;
    const [first, second] = octets.map(Number) as [number, number];
    return first === 0 || first === 127 || (first === 255 && second === 255) ? null : whole(match);
  },
);

// Needs seven colons, or `::` in an address of a routed or link-local range: times and `a::b` in code are neither.
export const IPV6 = pattern(
  'personal',
  /(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![\w:])/g,
  (text) => text.includes('::') || /:[0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4}:/i.test(text),
  (match) => {
    const [address] = match;
    if (!isIPv6(address)) return null;
    const full = address.split(':').length === 8 && !address.includes('::');
    return full || /^(?:[23][0-9a-f]{3}|f[cdf][0-9a-f]{2}|fe[89ab][0-9a-f]):/i.test(address)
      ? whole(match)
      : null;
  },
);

function isCard(digits: string): boolean {
  const known =
    /^(?:4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}|6(?:011|5\d\d|4[4-9]\d)\d{12}|62\d{14,17}|(?:50[1-3]|5[68]\d|6[37]\d)\d{13})$/;
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

/** ISO 13616: the first four characters go last, letters count from A = 10, the rest modulo 97 is 1. */
function isIban(text: string): boolean {
  if (text.length < 15 || text.length > 34) return false;
  let rest = 0;
  for (const char of text.slice(4) + text.slice(0, 4)) {
    const value = Number.parseInt(char, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}
