// rich_text: the only block family where text is literal, so the one that carries untrusted lines.
import { boolean, byType, integer, list, object, oneOf, string, type Rule } from './findings.ts';

const kind: Rule = string(255);
const style: Rule = object({
  fields: {
    bold: boolean,
    italic: boolean,
    strike: boolean,
    code: boolean,
    highlight: boolean,
    client_highlight: boolean,
    underline: boolean,
    unlink: boolean,
  },
});

function leaf(fields: Readonly<Record<string, Rule>>, required: readonly string[]): Rule {
  return object({ required, fields: { type: kind, style, ...fields } });
}

const text: Rule = leaf({ text: string(40_000) }, ['text']);
const link: Rule = leaf({ url: string(3000), text: string(40_000), unsafe: boolean }, ['url']);

const inline: Rule = byType({
  text,
  link,
  user: leaf({ user_id: string(255) }, ['user_id']),
  usergroup: leaf({ usergroup_id: string(255) }, ['usergroup_id']),
  channel: leaf({ channel_id: string(255) }, ['channel_id']),
  team: leaf({ team_id: string(255) }, ['team_id']),
  broadcast: leaf({ range: oneOf('here', 'channel', 'everyone') }, ['range']),
  emoji: leaf({ name: string(255), unicode: string(255), url: string(3000), skin_tone: integer(1, 6) }, [
    'name',
  ]),
  date: leaf(
    {
      timestamp: integer(0, 9_999_999_999),
      format: string(255),
      url: string(3000),
      fallback: string(3000),
    },
    ['timestamp', 'format'],
  ),
  color: leaf({ value: string(255) }, ['value']),
});

const border: Rule = integer(0, 1);
const section: Rule = object({
  required: ['elements'],
  fields: { type: kind, elements: list(inline, 1000, 0) },
});

const part: Rule = byType({
  rich_text_section: section,
  rich_text_list: object({
    required: ['elements', 'style'],
    fields: {
      type: kind,
      elements: list(byType({ rich_text_section: section }), 1000),
      style: oneOf('bullet', 'ordered'),
      indent: integer(0, 8),
      offset: integer(0, 100_000),
      border,
    },
  }),
  rich_text_quote: object({
    required: ['elements'],
    fields: { type: kind, elements: list(inline, 1000, 0), border },
  }),
  rich_text_preformatted: object({
    required: ['elements'],
    fields: { type: kind, elements: list(byType({ text, link }), 1000, 0), border },
  }),
});

/** A rich_text block, on its own or as the body of a task card, a table cell or an input. */
export const richText: Rule = byType({
  rich_text: object({
    required: ['elements'],
    fields: { type: kind, block_id: string(255), elements: list(part, 1000) },
  }),
});
