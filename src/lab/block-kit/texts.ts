// Text objects, options and confirm dialogs: the composition objects that the elements and blocks share.
import { boolean, byType, list, object, oneOf, string, type Rule } from './findings.ts';

const LITERAL = oneOf('plain_text', 'mrkdwn');

export function plainText(max: number, min = 1): Rule {
  return byType({
    plain_text: object({
      required: ['text'],
      fields: { type: LITERAL, text: string(max, min), emoji: boolean },
    }),
  });
}

export function mrkdwn(max: number): Rule {
  return byType({
    mrkdwn: object({ required: ['text'], fields: { type: LITERAL, text: string(max), verbatim: boolean } }),
  });
}

export function anyText(max: number): Rule {
  return byType({
    plain_text: object({
      required: ['text'],
      fields: { type: LITERAL, text: string(max), emoji: boolean },
    }),
    mrkdwn: object({ required: ['text'], fields: { type: LITERAL, text: string(max), verbatim: boolean } }),
  });
}

/** Title 100, text 300, buttons 30 characters each. */
export const confirm: Rule = object({
  required: ['text'],
  fields: {
    title: plainText(100),
    text: anyText(300),
    confirm: plainText(30),
    deny: plainText(30),
    style: oneOf('primary', 'danger'),
  },
});

/** Option text 75, value 75 (the types say 75, the docs 150: the smaller one binds), description 75. */
function optionWith(text: Rule, extra: Readonly<Record<string, Rule>>): Rule {
  return object({
    required: ['text'],
    fields: { text, value: string(75), description: plainText(75), ...extra },
  });
}

export const plainOption: Rule = optionWith(plainText(75), {});
export const richOption: Rule = optionWith(anyText(75), {});
export const overflowOption: Rule = optionWith(plainText(75), { url: string(3000) });

export const optionGroup: Rule = object({
  required: ['label', 'options'],
  fields: { label: plainText(75), options: list(plainOption, 100) },
});

export const placeholder: Rule = plainText(150);
