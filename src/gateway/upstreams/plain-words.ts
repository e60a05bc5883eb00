/** Zero-width, direction, invisible operators, soft hyphen, variation selectors, tag characters, C1 controls. */
const HIDDEN =
  /\u{34f}|[\u{fe00}-\u{fe0f}]|[\u{ad}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2060}-\u{206f}\u{3164}\u{feff}\u{ffa0}\u{e0000}-\u{e0fff}\u{7f}-\u{9f}]|\\u00(?:0[0-8be-f]|1[0-9a-f])/gu;

/** Characters of JSON text that nobody would see, once each, as `U+200B`. Pure. */
export function hiddenIn(json: string): string[] {
  return [...new Set(json.match(HIDDEN) ?? [])].map(codePoint);
}

/** JSON text with what nobody would see made visible; C0 controls are escaped in it already. Pure. */
export function visible(json: string): string {
  return json.replaceAll(HIDDEN, (char) => `[${codePoint(char)}]`);
}

/** A server's words for a terminal, a log line or a refusal: one line, nothing hidden, no control of the terminal. Pure. */
export function plainWords(text: string, chars_max: number): string {
  return visible(JSON.stringify(text.trim().slice(0, chars_max)).slice(1, -1).replaceAll('\\"', '"'));
}

function codePoint(char: string): string {
  return char.startsWith('\\u')
    ? `U+${char.slice(2).toUpperCase()}`
    : `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
