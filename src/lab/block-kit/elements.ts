// Interactive elements and where each may stand. Limits: slack-platform facts table, taken from @slack/types 3.2.0.
import {
  boolean,
  byType,
  complain,
  integer,
  isRecord,
  list,
  object,
  oneOf,
  string,
  type Rule,
  type Shape,
} from './findings.ts';
import { richText } from './rich-text.ts';
import {
  confirm,
  optionGroup,
  overflowOption,
  placeholder,
  plainOption,
  plainText,
  richOption,
} from './texts.ts';

const actionId = string(255);
const anyString: Rule = string(3000, 0);

function element(fields: Readonly<Record<string, Rule>>, required: readonly string[] = []): Rule {
  const shape: Shape = { required, fields: { type: anyString, action_id: actionId, ...fields } };
  return object(shape);
}

const asked: Readonly<Record<string, Rule>> = { confirm, focus_on_load: boolean };
const picked: Readonly<Record<string, Rule>> = { ...asked, placeholder };
const typed: Readonly<Record<string, Rule>> = {
  placeholder,
  focus_on_load: boolean,
  dispatch_action_config: object({
    fields: { trigger_actions_on: list(oneOf('on_enter_pressed', 'on_character_entered'), 2) },
  }),
};
const filter: Rule = object({
  fields: {
    include: list(oneOf('im', 'mpim', 'private', 'public'), 4),
    exclude_external_shared_channels: boolean,
    exclude_bot_users: boolean,
  },
});
const manyMax: Rule = integer(1, 100);

function optionsOrGroups(rule: Rule): Rule {
  return (value, at, run) => {
    rule(value, at, run);
    if (isRecord(value) && (value['options'] === undefined) === (value['option_groups'] === undefined)) {
      complain(run, at, 'must define either `options` or `option_groups`');
    }
  };
}

export const button: Rule = element(
  {
    text: plainText(75),
    value: string(2000),
    url: string(3000),
    style: oneOf('primary', 'danger'),
    confirm,
    accessibility_label: string(75),
  },
  ['text'],
);

const overflow: Rule = element({ options: list(overflowOption, 5), confirm }, ['options']);

const staticOptions = { options: list(plainOption, 100), option_groups: list(optionGroup, 100) };

const selects: Readonly<Record<string, Rule>> = {
  static_select: optionsOrGroups(element({ ...picked, ...staticOptions, initial_option: plainOption })),
  users_select: element({ ...picked, initial_user: string(255) }),
  channels_select: element({ ...picked, initial_channel: string(255), response_url_enabled: boolean }),
  conversations_select: element({
    ...picked,
    initial_conversation: string(255),
    default_to_current_conversation: boolean,
    response_url_enabled: boolean,
    filter,
  }),
  external_select: element({
    ...picked,
    initial_option: plainOption,
    min_query_length: integer(0, 100),
  }),
};

const multiSelects: Readonly<Record<string, Rule>> = {
  multi_static_select: optionsOrGroups(
    element({
      ...picked,
      ...staticOptions,
      initial_options: list(plainOption, 100),
      max_selected_items: manyMax,
    }),
  ),
  multi_users_select: element({
    ...picked,
    initial_users: list(string(255), 100, 0),
    max_selected_items: manyMax,
  }),
  multi_channels_select: element({
    ...picked,
    initial_channels: list(string(255), 100, 0),
    max_selected_items: manyMax,
  }),
  multi_conversations_select: element({
    ...picked,
    initial_conversations: list(string(255), 100, 0),
    default_to_current_conversation: boolean,
    max_selected_items: manyMax,
    filter,
  }),
  multi_external_select: element({
    ...picked,
    initial_options: list(plainOption, 100),
    min_query_length: integer(0, 100),
    max_selected_items: manyMax,
  }),
};

const choices: Readonly<Record<string, Rule>> = {
  checkboxes: element({ ...asked, options: list(richOption, 10), initial_options: list(richOption, 10) }, [
    'options',
  ]),
  radio_buttons: element({ ...asked, options: list(richOption, 10), initial_option: richOption }, [
    'options',
  ]),
};

const pickers: Readonly<Record<string, Rule>> = {
  datepicker: element({ ...picked, initial_date: string(10, 10) }),
  timepicker: element({ ...picked, initial_time: string(5, 5), timezone: string(255) }),
  datetimepicker: element({ ...asked, initial_date_time: integer(1_000_000_000, 9_999_999_999) }),
};

const inputs: Readonly<Record<string, Rule>> = {
  plain_text_input: element({
    ...typed,
    initial_value: string(3000, 0),
    multiline: boolean,
    min_length: integer(0, 3000),
    max_length: integer(1, 3000),
  }),
  email_text_input: element({ ...typed, initial_value: string(3000, 0) }),
  url_text_input: element({ ...typed, initial_value: string(3000, 0) }),
  number_input: element(
    {
      ...typed,
      is_decimal_allowed: boolean,
      initial_value: string(255, 0),
      min_value: string(255),
      max_value: string(255),
    },
    ['is_decimal_allowed'],
  ),
  rich_text_input: element({
    ...typed,
    initial_value: richText,
    min_lines: integer(1, 100),
    max_lines: integer(1, 100),
  }),
  file_input: element({ filetypes: list(string(255), 100), max_files: integer(1, 10) }),
};

const workflowButton: Rule = element(
  {
    text: plainText(75),
    workflow: object({
      required: ['trigger'],
      fields: {
        trigger: object({
          required: ['url'],
          fields: {
            url: string(3000),
            customizable_input_parameters: list(
              object({ required: ['name', 'value'], fields: { name: string(255), value: string(3000, 0) } }),
              100,
            ),
          },
        }),
      },
    }),
    style: oneOf('primary', 'danger'),
    accessibility_label: string(75),
    confirm,
  },
  ['text', 'workflow'],
);

/** `image_url` or `slack_file`, never both; alt text is not optional. */
export function image(fields: Readonly<Record<string, Rule>>): Rule {
  const rule = object({
    required: ['alt_text'],
    fields: {
      type: anyString,
      image_url: string(3000),
      slack_file: object({ fields: { id: string(255), url: string(3000) } }),
      alt_text: string(2000),
      ...fields,
    },
  });
  return (value, at, run) => {
    rule(value, at, run);
    if (isRecord(value) && (value['image_url'] === undefined) === (value['slack_file'] === undefined)) {
      complain(run, at, 'must define either `image_url` or `slack_file`');
    }
  };
}

const rating: Rule = object({
  required: ['text', 'value'],
  fields: { text: plainText(75), accessibility_label: string(75), value: string(2000) },
});

export const contextActionElement: Rule = byType({
  feedback_buttons: element({ positive_button: rating, negative_button: rating }, [
    'positive_button',
    'negative_button',
  ]),
  icon_button: element(
    {
      icon: oneOf('trash'),
      text: plainText(75),
      accessibility_label: string(75),
      value: string(2000),
      visible_to_user_ids: list(string(255), 100),
      confirm,
    },
    ['icon', 'text'],
  ),
});

const shared = { ...selects, ...multiSelects, ...choices, ...pickers };

export const actionsElement: Rule = byType({
  button,
  overflow,
  workflow_button: workflowButton,
  rich_text_input: inputs['rich_text_input']!,
  ...shared,
});

export const accessory: Rule = byType({
  button,
  overflow,
  workflow_button: workflowButton,
  image: image({}),
  ...shared,
});

export const inputElement: Rule = byType({ ...shared, ...inputs });
