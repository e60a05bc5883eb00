// Makers of single blocks and elements. They take plain strings (foreign) or Mrkdwn (ours) and cut to the limits, so a
// card reads as a list of what it says. Pure.
import type {
  ActionsBlock,
  Button,
  ContextBlock,
  HeaderBlock,
  MrkdwnElement,
  PlainTextElement,
  RichTextBlock,
  RichTextElement,
  RichTextPreformatted,
  RichTextSection,
  SectionBlock,
} from '@slack/types';
import { LIMITS, cut, cutMrkdwn, type Mrkdwn } from './block-limits.ts';
import { oneLine, visible } from '../contract/visible.ts';

/** Slack refuses an empty text; a dash says "nothing" to a reader as well. */
function filled(text: string): string {
  return text === '' ? '-' : text;
}

export function plain(text: string, max: number): PlainTextElement {
  return { type: 'plain_text', text: filled(cut(oneLine(text), max)), emoji: false };
}

/** `verbatim` keeps Slack from turning addresses and channel names in the text into links. */
function markup(text: Mrkdwn, max: number = LIMITS.section_max): MrkdwnElement {
  return { type: 'mrkdwn', text: filled(cutMrkdwn(text.mrkdwn, max)), verbatim: true };
}

export function header(block_id: string, text: string): HeaderBlock {
  return { type: 'header', block_id, text: plain(text, LIMITS.header_max) };
}

export function fields(block_id: string, texts: readonly Mrkdwn[]): SectionBlock {
  return {
    type: 'section',
    block_id,
    fields: texts.slice(0, 10).map((text) => markup(text, LIMITS.field_max)),
  };
}

export function context(block_id: string, texts: readonly Mrkdwn[]): ContextBlock {
  const shown = texts.slice(0, LIMITS.context_elements_max);
  return { type: 'context', block_id, elements: shown.map((text) => markup(text, LIMITS.context_max)) };
}

// ---------------------------------------------------------------- rich text: where foreign text may stand

export function say(text: string, style: { bold?: true; italic?: true; code?: true } = {}): RichTextElement {
  const styled = Object.keys(style).length > 0;
  return { type: 'text', text: filled(visible(text)), ...(styled ? { style } : {}) };
}

export function bold(text: string): RichTextElement {
  return say(text, { bold: true });
}

export function code(text: string): RichTextElement {
  return say(text, { code: true });
}

/** A moment in the reader's own time zone, with UTC for clients that cannot. */
export function when(iso: string, format = '{date_num} {time}'): RichTextElement {
  return { type: 'date', timestamp: unixSeconds(iso), format, fallback: utc(iso) };
}

export function paragraph(elements: readonly RichTextElement[]): RichTextSection {
  return { type: 'rich_text_section', elements: [...elements] };
}

export function preformatted(text: string): RichTextPreformatted {
  return {
    type: 'rich_text_preformatted',
    border: 0,
    elements: [{ type: 'text', text: filled(cut(visible(text), LIMITS.preformatted_max)) }],
  };
}

export function richText(block_id: string, elements: RichTextBlock['elements']): RichTextBlock {
  return { type: 'rich_text', block_id, elements };
}

// ---------------------------------------------------------------- time

function unixSeconds(iso: string): number {
  return Math.floor(Date.parse(iso) / 1000);
}

/** "2026-11-23 08:00 UTC". */
export function utc(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
}

/** A moment inside our own markup. */
export function moment(iso: string, format = '{date_num} {time}'): Mrkdwn {
  return { mrkdwn: `<!date^${unixSeconds(iso)}^${format}|${utc(iso)}>` };
}

// ---------------------------------------------------------------- buttons

export interface ButtonSpec {
  readonly action_id: string;
  readonly text: string;
  /** Opaque ids only; the server compares them with its store. */
  readonly value?: string;
  readonly url?: string;
  readonly style?: 'primary' | 'danger';
  readonly label: string;
  readonly confirm?: {
    readonly title: string;
    readonly text: Mrkdwn;
    readonly yes: string;
    readonly no: string;
    readonly danger: boolean;
  };
}

export function button(spec: ButtonSpec): Button {
  return {
    type: 'button',
    action_id: spec.action_id,
    text: plain(spec.text, LIMITS.button_text_max),
    ...(spec.value === undefined ? {} : { value: spec.value }),
    ...(spec.url === undefined ? {} : { url: spec.url }),
    ...(spec.style === undefined ? {} : { style: spec.style }),
    accessibility_label: cut(oneLine(spec.label), LIMITS.accessibility_label_max),
    ...(spec.confirm === undefined ? {} : { confirm: confirmOf(spec.confirm) }),
  };
}

function confirmOf(confirm: NonNullable<ButtonSpec['confirm']>): NonNullable<Button['confirm']> {
  return {
    title: plain(confirm.title, LIMITS.confirm_title_max),
    text: markup(confirm.text, LIMITS.confirm_text_max),
    confirm: plain(confirm.yes, LIMITS.confirm_button_max),
    deny: plain(confirm.no, LIMITS.confirm_button_max),
    ...(confirm.danger ? { style: 'danger' as const } : {}),
  };
}

export function actions(block_id: string, elements: ActionsBlock['elements']): ActionsBlock {
  return { type: 'actions', block_id, elements };
}
