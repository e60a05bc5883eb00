// Finding what a person can press or fill in, in the blocks that are really there, and writing down the choice as Slack does.
import { items, str, type Json } from './json.ts';

export interface Found {
  block: Json;
  element: Json;
}

/** What a person picks or types: an option value, several, a user id, a date, a text. */
export type Choice = string | readonly string[];

/** Every element with an action_id, in reading order; cards and containers included. */
export function interactiveElements(blocks: readonly Json[]): Found[] {
  return blocks.flatMap((block) => {
    const own = [
      block['accessory'],
      block['element'],
      ...items(block['elements']),
      ...items(block['actions']),
    ];
    const elements = own.filter((element): element is Json => {
      return typeof element === 'object' && element !== null && 'action_id' in element;
    });
    const cards = items(block['elements']).filter((element) => element['type'] === 'card');
    const nested = interactiveElements([...cards, ...items(block['child_blocks'])]);
    return [...elements.map((element) => ({ block, element })), ...nested];
  });
}

export function optionsOf(element: Json): Json[] {
  const groups = items(element['option_groups']).flatMap((group) => items(group['options']));
  return [...items(element['options']), ...groups];
}

/** Option values that the element offers; empty when it is free. */
export function offered(element: Json): string[] {
  return optionsOf(element).map((option) => str(option['value']));
}

function option(element: Json, value: string): Json {
  const found = optionsOf(element).find((candidate) => candidate['value'] === value);
  if (found) return found;
  const known = offered(element).join(', ');
  throw new Error(`"${str(element['action_id'])}" offers no option "${value}"; it offers: ${known}`);
}

const TYPED = ['plain_text_input', 'email_text_input', 'url_text_input', 'number_input'];
const ONE_OPTION = ['overflow', 'static_select', 'radio_buttons', 'external_select'];
const SEVERAL_OPTIONS = ['checkboxes', 'multi_static_select', 'multi_external_select'];
const SINGLE: Readonly<Record<string, string>> = {
  users_select: 'selected_user',
  channels_select: 'selected_channel',
  conversations_select: 'selected_conversation',
  datepicker: 'selected_date',
  timepicker: 'selected_time',
};
const MANY: Readonly<Record<string, string>> = {
  multi_users_select: 'selected_users',
  multi_channels_select: 'selected_channels',
  multi_conversations_select: 'selected_conversations',
};

function first(choice: Choice | undefined): string | undefined {
  return typeof choice === 'string' ? choice : choice?.[0];
}

function all(choice: Choice | undefined): readonly string[] {
  return typeof choice === 'string' ? [choice] : (choice ?? []);
}

/** The fields that carry a choice, both in an action and in `view.state.values`. */
export function chosen(element: Json, choice: Choice | undefined): Json {
  const type = str(element['type']);
  const one = first(choice);
  if (TYPED.includes(type)) return { value: one ?? null };
  if (ONE_OPTION.includes(type)) return { selected_option: one === undefined ? null : option(element, one) };
  if (SEVERAL_OPTIONS.includes(type)) {
    return { selected_options: all(choice).map((value) => option(element, value)) };
  }
  if (type === 'datetimepicker') return { selected_date_time: one === undefined ? null : Number(one) };
  if (type === 'rich_text_input') return { rich_text_value: richText(one ?? '') };
  if (SINGLE[type]) return { [SINGLE[type]]: one ?? null };
  if (MANY[type]) return { [MANY[type]]: [...all(choice)] };
  throw new Error(`the twin cannot fill in an element of type "${type}"`);
}

function richText(text: string): Json {
  return {
    type: 'rich_text',
    elements: [{ type: 'rich_text_section', elements: [{ type: 'text', text }] }],
  };
}

/** What an untouched element holds, or undefined when it holds nothing. */
export function initialChoice(element: Json): Choice | undefined {
  const one = (element['initial_option'] as Json | undefined)?.['value'];
  if (typeof one === 'string') return one;
  const several = items(element['initial_options']).map((each) => str(each['value']));
  if (several.length > 0) return several;
  const names = ['initial_value', 'initial_user', 'initial_channel', 'initial_conversation', 'initial_date'];
  for (const name of [...names, 'initial_time', 'initial_date_time']) {
    const value = element[name];
    if (typeof value === 'string' && value !== '') return value;
    if (typeof value === 'number') return String(value);
  }
  return undefined;
}

function buttonFields(element: Json, choice: Choice | undefined): Json {
  if (element['type'] === 'feedback_buttons') {
    const sides = [element['positive_button'], element['negative_button']] as Json[];
    const side = sides.find((candidate) => candidate['value'] === first(choice));
    if (!side)
      throw new Error(`feedback buttons offer: ${sides.map((each) => str(each['value'])).join(', ')}`);
    return { text: side['text'], value: side['value'] };
  }
  return {
    text: element['text'],
    ...(element['value'] === undefined ? {} : { value: element['value'] }),
    ...(element['style'] === undefined ? {} : { style: element['style'] }),
  };
}

const PRESSED = ['button', 'icon_button', 'feedback_buttons', 'workflow_button'];

/** One entry of `actions` in a block_actions payload. */
export function actionOf(found: Found, choice: Choice | undefined, action_ts: string): Json {
  const { block, element } = found;
  const type = str(element['type']);
  const fields = PRESSED.includes(type) ? buttonFields(element, choice) : chosen(element, choice);
  return {
    type,
    action_id: element['action_id'],
    block_id: block['block_id'],
    ...fields,
    ...(element['confirm'] === undefined ? {} : { confirm: element['confirm'] }),
    action_ts,
  };
}
