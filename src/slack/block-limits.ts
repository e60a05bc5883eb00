import { oneLine, visible } from '../contract/visible.ts';

/**
 * Block Kit's limits as one constant, and makers that cannot exceed them. Slack refuses a whole message for one long
 * text, so nothing may reach a block without passing here. Pure.
 *
 * Two kinds of text exist. Strings are untrusted: they may quote a log line, an alert, a label. `Mrkdwn` is markup that
 * this room wrote itself; the only way to make one is the `mrkdwn` tag, which escapes every string put into it.
 */
export const LIMITS = {
  message_blocks_max: 50,
  modal_blocks_max: 100,
  home_blocks_max: 100,
  /** Characters of all blocks together; the real ceiling was measured between 11,341 and 13,200. */
  message_chars_max: 11_000,
  /** Top-level text: what notifications and screen readers say. */
  top_text_max: 300,
  header_max: 150,
  section_max: 3000,
  field_max: 2000,
  context_max: 3000,
  context_elements_max: 10,
  preformatted_max: 2900,
  button_text_max: 75,
  button_value_max: 2000,
  accessibility_label_max: 75,
  confirm_title_max: 100,
  confirm_text_max: 300,
  confirm_button_max: 30,
  modal_title_max: 24,
  private_metadata_max: 3000,
  alert_max: 200,
  input_label_max: 2000,
  option_max: 75,
  task_title_max: 150,
  task_output_max: 300,
  plan_tasks_max: 40,
  table_cell_max: 600,
  view_bytes_max: 250 * 1024,
} as const;

/** Markup written by this room, with everything foreign in it escaped. */
export interface Mrkdwn {
  readonly mrkdwn: string;
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Shortens to `max` UTF-16 units with "…", never inside a letter with its accents, an emoji or a flag. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  let end = 0;
  for (const { index, segment } of graphemes.segment(text.slice(0, max + 64))) {
    if (index + segment.length > max - 1) break;
    end = index + segment.length;
  }
  // One single cluster longer than the limit: break it rather than show nothing, but never half a surrogate pair.
  if (end === 0) end = max - 1 - (/[\ud800-\udbff]/.test(text[max - 2] ?? '') ? 1 : 0);
  return `${text.slice(0, end)}…`;
}

/** Splits into pieces of at most `size` UTF-16 units, never between the halves of a surrogate pair; nothing is lost. */
export function pieces(text: string, size: number): string[] {
  const found: string[] = [];
  for (let at = 0; at < text.length;) {
    const half = /[\ud800-\udbff]/.test(text[at + size - 1] ?? '') && at + size < text.length;
    const end = at + size - (half ? 1 : 0);
    found.push(text.slice(at, end));
    at = end;
  }
  return found;
}

/** Shortens markup; never ends inside `<…>`, an entity or a code span. */
export function cutMrkdwn(text: string, max: number): string {
  if (text.length <= max) return text;
  let kept = cut(text, max).slice(0, -1);
  const open = kept.lastIndexOf('<');
  if (open > kept.lastIndexOf('>')) kept = kept.slice(0, open);
  kept = kept.replace(/&[a-z]{0,3}$/, '');
  if ((kept.split('`').length - 1) % 2 === 1) kept = kept.slice(0, kept.lastIndexOf('`'));
  return `${kept}…`;
}

function entities(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Slack's three entities; after this no mention, link or date can begin in the text. */
export function escapeText(text: string): string {
  return entities(visible(text));
}

/** Foreign text inside our markup: escaped, and formatting signs that could leave their span shown as look-alikes. */
function disarm(text: string): string {
  const quiet = entities(oneLine(text)).replaceAll('`', 'ˋ').replaceAll('*', '∗').replaceAll('~', '∼');
  // A word joiner keeps `:white_check_mark:` what it is: letters.
  return quiet.replace(/:(?=[a-z0-9_+-]+:)/g, ':\u2060');
}

/** The only maker of markup: literals are ours, interpolated strings are foreign and escaped. */
export function mrkdwn(literals: TemplateStringsArray, ...values: (string | number | Mrkdwn)[]): Mrkdwn {
  const parts = values.map((value) => (typeof value === 'object' ? value.mrkdwn : disarm(String(value))));
  return { mrkdwn: literals.map((literal, at) => literal + (parts[at] ?? '')).join('') };
}

export function joinMrkdwn(parts: readonly Mrkdwn[], separator: string): Mrkdwn {
  return { mrkdwn: parts.map((part) => part.mrkdwn).join(separator) };
}

/** The top-level text: one line, never empty, no markup, no address that a client would turn into a link. */
export function topText(text: string, max: number = LIMITS.top_text_max): string {
  // Cut before escaping, so that an entity is never halved.
  return entities(cut(oneLine(text).replaceAll('://', ':\u2060//'), max)) || 'Aegis';
}

/** Characters of every `text` in a message: what Slack's `msg_blocks_too_long` counts. */
export function textChars(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + textChars(item), 0);
  if (typeof value !== 'object' || value === null) return 0;
  return Object.entries(value).reduce(
    (sum, [key, inner]) =>
      sum + (key === 'text' && typeof inner === 'string' ? inner.length : textChars(inner)),
    0,
  );
}
