/**
 * Markdown out of text that anybody may have written (log lines, labels, reasons). Escaped text shows as it is: it makes
 * no link, no mention, no heading, no table cell and no HTML.
 */
export function plain(text: string, chars_max = 300): string {
  return clip(oneLine(text), chars_max)
    .replaceAll(/[\\`*_[\](){}#+!|~@$]/g, String.raw`\$&`)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('://', String.raw`:\//`)
    .replaceAll(/www\./gi, (match) => `${match.slice(0, 3)}\\.`)
    .replace(/^(\d+)([.)])/, String.raw`$1\$2`)
    .replace(/^([-=])/, String.raw`\$1`);
}

/** A code span. Back-ticks and angle brackets are replaced by look-alikes, since nothing can be escaped inside one. */
export function code(text: string, chars_max = 200): string {
  const safe = clip(oneLine(text), chars_max)
    .replaceAll('`', "'")
    .replaceAll('<', '‹')
    .replaceAll('>', '›')
    .replaceAll('|', '¦');
  return safe.trim() === '' ? '(empty)' : `\`${safe}\``;
}

/** A table of finished cells; null when there is no row. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string | null {
  if (rows.length === 0) return null;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

export function bullets(items: readonly string[]): string | null {
  return items.length === 0 ? null : items.map((item) => `- ${item}`).join('\n');
}

function clip(text: string, chars_max: number): string {
  if (text.length <= chars_max) return text;
  return `${text.slice(0, chars_max - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

/** Control characters, line separators and direction overrides become spaces: they can hide or reorder what is read. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
}
