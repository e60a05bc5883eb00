/**
 * Text from outside as part of one line. A newline is shown as \n; every other control character as its picture
 * (ESC becomes ␛), so that no terminal sequence survives; characters that reorder or hide text become U+FFFD.
 */
export function lineText(text: string): string {
  if (!NEEDS_CARE.test(text)) return text;
  let shown = '';
  for (const char of text) shown += shownChar(char);
  return shown;
}

/** Printable ASCII, tab and ordinary letters need no care; this test keeps the common case fast. */
const NEEDS_CARE =
  /[^\t\u0020-\u007e\u00a0-\u061b\u061d-\u180d\u180f-\u200a\u2010-\u2027\u202f-\u205e\u2070-\ud7ff\uf900-\ufefe\uff00-\ufffd]/;

function shownChar(char: string): string {
  const code = char.codePointAt(0) as number;
  if (code === 10) return '\\n';
  if (code === 9) return char;
  if (code < 32) return String.fromCodePoint(0x2400 + code);
  if (code === 127) return '\u2421';
  return isHidden(code) ? '\ufffd' : char;
}

function isHidden(code: number): boolean {
  return (
    (code >= 0x80 && code < 0xa0) ||
    code === 0x61c ||
    code === 0x180e ||
    (code >= 0x200b && code <= 0x200f) ||
    (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x205f && code <= 0x206f) ||
    code === 0xfeff ||
    (code >= 0xd800 && code <= 0xdfff) ||
    (code >= 0xe0000 && code <= 0xe0fff)
  );
}

/** Characters that `lineText` may put into a line without their being in the source. */
export function isShownMark(text: string): boolean {
  return /[\u2400-\u2421\ufffd\\]/.test(text);
}

/** A redaction mark, whatever its kind. */
const MARK = /\[REDACTED_[A-Z0-9_]{1,40}\]/g;

export function countMarks(text: string): number {
  return text.match(MARK)?.length ?? 0;
}

/** Lines of a captured file; an empty file has none. */
export function linesOf(text: string): string[] {
  return text === '' ? [] : text.split('\n');
}

/** Name of a stream in a log line: label text is written by workloads, so only plain characters survive. */
export function streamName(pod: string | undefined, container: string | undefined): string {
  const plain = (label: string | undefined) =>
    label === undefined || label === '' ? '-' : label.replaceAll(/[^A-Za-z0-9._-]/g, '?').slice(0, 253);
  return `${plain(pod)}/${plain(container)}`;
}
