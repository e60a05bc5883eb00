// Everything that can be pressed or filled in, as real HTML controls with the data that the page's script sends back. The
// rendering library's own buttons carry neither value nor block, so they are not used.
import { items, str, type Json } from '../slack/json.ts';
import { initialChoice, optionsOf } from '../slack/interactive.ts';
import { drawText, esc, messageOfLink, wordsOf, type Viewer } from './draw-text.ts';

interface Place {
  block: Json;
  element: Json;
  viewer: Viewer;
}

function confirmAttribute(element: Json, viewer: Viewer): string {
  const confirm = element['confirm'] as Json | undefined;
  if (!confirm) return '';
  const shown = {
    title: confirm['title'] ? wordsOf(confirm['title']) : 'Are you sure?',
    html: drawText(confirm['text'], viewer),
    yes: confirm['confirm'] ? wordsOf(confirm['confirm']) : 'Yes',
    no: confirm['deny'] ? wordsOf(confirm['deny']) : 'Cancel',
    danger: confirm['style'] === 'danger' || element['style'] === 'danger',
  };
  return ` data-confirm="${esc(JSON.stringify(shown))}"`;
}

function hooks({ block, element, viewer }: Place): string {
  const action = esc(str(element['action_id']));
  return ` data-action="${action}" data-testid="action-${action}" data-block="${esc(str(block['block_id']))}"${confirmAttribute(element, viewer)}`;
}

function label(element: Json): string {
  const words = str(element['accessibility_label']);
  return words === '' ? '' : ` aria-label="${esc(words)}" title="${esc(words)}"`;
}

function drawButton(place: Place): string {
  const { element, viewer } = place;
  const style = element['style'] === 'primary' ? ' primary' : element['style'] === 'danger' ? ' danger' : '';
  const url = str(element['url']);
  const message = messageOfLink(viewer, url);
  const target = message === undefined ? ` data-url="${esc(url)}"` : ` data-message="${esc(message)}"`;
  return `<button type="button" class="btn${style}" data-kind="press"${hooks(place)}${label(element)}${url === '' ? '' : target}>${drawText(element['text'], viewer)}</button>`;
}

function drawOverflow(place: Place): string {
  const options = items(place.element['options']).map((option) => ({
    text: wordsOf(option['text']),
    value: str(option['value']),
    description: wordsOf(option['description']),
  }));
  return `<button type="button" class="btn more" data-kind="menu" aria-label="More actions" aria-haspopup="menu"${hooks(place)} data-options="${esc(JSON.stringify(options))}">⋮</button>`;
}

function drawFeedback(place: Place): string {
  return ['positive_button', 'negative_button']
    .map((side) => {
      const button = place.element[side] as Json;
      const choice = esc(str(button['value']));
      return `<button type="button" class="btn small" data-kind="press" data-choice="${choice}"${hooks(place)}${label(button)}>${drawText(button['text'], place.viewer)}</button>`;
    })
    .join('');
}

interface Offer {
  value: string;
  text: string;
}

function offersOf(element: Json, viewer: Viewer): Offer[] {
  const type = str(element['type']);
  if (type.endsWith('users_select')) {
    return [...viewer.workspace.users.values()].map((user) => ({ value: user.id, text: `@${user.name}` }));
  }
  if (type.endsWith('channels_select') || type.endsWith('conversations_select')) {
    const open = [...viewer.workspace.channels.values()].filter((channel) =>
      channel.members.includes(viewer.user_id),
    );
    return open.map((channel) => ({ value: channel.id, text: `#${channel.name}` }));
  }
  return optionsOf(element).map((option) => ({ value: str(option['value']), text: wordsOf(option['text']) }));
}

function initially(element: Json): readonly string[] {
  const choice = initialChoice(element);
  return choice === undefined ? [] : typeof choice === 'string' ? [choice] : choice;
}

function drawSelect(place: Place, name: string): string {
  const { element, viewer } = place;
  const many = str(element['type']).startsWith('multi_');
  const chosen = initially(element);
  const empty = many
    ? ''
    : `<option value="">${esc(wordsOf(element['placeholder']) || 'Select an option')}</option>`;
  const options = offersOf(element, viewer)
    .map(({ value, text }) => {
      const picked = chosen.includes(value) ? ' selected' : '';
      return `<option value="${esc(value)}"${picked}>${esc(text)}</option>`;
    })
    .join('');
  return `<select class="field" data-kind="change"${many ? ' multiple' : ''}${name}${hooks(place)}>${empty}${options}</select>`;
}

function drawChoices(place: Place, name: string): string {
  const { element, block, viewer } = place;
  const type = element['type'] === 'checkboxes' ? 'checkbox' : 'radio';
  const chosen = initially(element);
  // Radio buttons need a shared name to exclude each other.
  const group =
    name === '' ? ` name="${esc(`${str(block['block_id'])}/${str(element['action_id'])}`)}"` : name;
  const rows = items(element['options']).map((option) => {
    const value = str(option['value']);
    const checked = chosen.includes(value) ? ' checked' : '';
    const more = option['description'] ? `<small>${drawText(option['description'], viewer)}</small>` : '';
    return `<label class="choice"><input type="${type}" value="${esc(value)}" data-kind="change"${group}${hooks(place)}${checked}><span>${drawText(option['text'], viewer)}${more}</span></label>`;
  });
  return `<div class="choices" data-testid="choices-${esc(str(element['action_id']))}">${rows.join('')}</div>`;
}

const INPUT_TYPES: Readonly<Record<string, string>> = {
  plain_text_input: 'text',
  email_text_input: 'email',
  url_text_input: 'url',
  number_input: 'number',
  datepicker: 'date',
  timepicker: 'time',
  datetimepicker: 'number',
  rich_text_input: 'text',
};

function drawTyped(place: Place, name: string): string {
  const { element } = place;
  const value = esc(initially(element)[0] ?? '');
  const hint = wordsOf(element['placeholder']);
  const shared = `class="field" data-kind="change"${name}${hooks(place)}${hint === '' ? '' : ` placeholder="${esc(hint)}"`}`;
  if (element['multiline'] === true || element['type'] === 'rich_text_input') {
    return `<textarea rows="4" ${shared}>${value}</textarea>`;
  }
  return `<input type="${INPUT_TYPES[str(element['type'])] ?? 'text'}" value="${value}" ${shared}>`;
}

/** One interactive element. `name` is the form name inside a modal, or empty. */
export function drawControl(block: Json, element: Json, viewer: Viewer, form_name = ''): string {
  const place = { block, element, viewer };
  const name = form_name === '' ? '' : ` name="${esc(form_name)}"`;
  const type = str(element['type']);
  if (type === 'button' || type === 'workflow_button' || type === 'icon_button') return drawButton(place);
  if (type === 'overflow') return drawOverflow(place);
  if (type === 'feedback_buttons') return drawFeedback(place);
  if (type === 'checkboxes' || type === 'radio_buttons') return drawChoices(place, name);
  if (type.endsWith('_select')) return drawSelect(place, name);
  if (INPUT_TYPES[type]) return drawTyped(place, name);
  return `<em class="note">The simulated Slack does not draw “${esc(type)}”.</em>`;
}

/** An input block with its label, hint and error. */
export function drawInput(block: Json, viewer: Viewer, error: string | undefined): string {
  const element = block['element'] as Json;
  const block_id = str(block['block_id']);
  const optional = block['optional'] === true ? ' <span class="note">(optional)</span>' : '';
  const hint = block['hint'] ? `<p class="note">${drawText(block['hint'], viewer)}</p>` : '';
  const fault =
    error === undefined
      ? ''
      : `<p class="fault" role="alert" data-testid="error-${esc(block_id)}">${esc(error)}</p>`;
  const control = drawControl(block, element, viewer, `${block_id}/${str(element['action_id'])}`);
  return `<div class="input${fault === '' ? '' : ' bad'}"><div class="label">${drawText(block['label'], viewer)}${optional}</div>${control}${fault}${hint}</div>`;
}
