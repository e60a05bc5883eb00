// Signs that change what a reader sees without being seen: C0/C1 controls, zero-width signs, direction overrides, tags.
// Zero-width joiners stay, emoji and several scripts are written with them.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Surrogate}/gu; // oxlint-disable-line no-control-regex

/** Shows hidden signs as what they are (`\u202e`), so that a diff cannot read otherwise than it is. Keeps \n and \t. */
export function visible(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(HIDDEN, (sign) => {
    const code = sign.codePointAt(0) as number;
    return code >= 0xd800 && code <= 0xdfff ? '\ufffd' : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** The same on one line: runs of white space become one space. */
export function oneLine(text: string): string {
  return visible(text).replace(/\s+/g, ' ').trim();
}
