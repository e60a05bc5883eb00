// Block Kit as HTML. Layout comes from slack-blocks-to-jsx (server-side React), text from draw-text, controls from
// draw-controls. The library reads plain text and escaped text as markup, so it is given numbered marks in place of
// every text object, and the marks are replaced in its output: untrusted text never reaches it.
import { items, str, type Json } from '../slack/json.ts';
import { drawControl, drawInput } from './draw-controls.ts';
import { drawText, esc, wordsOf, type Viewer } from './draw-text.ts';

const OPEN = '\uE000';
const CLOSE = '\uE001';
const MARK = /\uE000(\d+)\uE001/g;
const PRIVATE_USE = /[\uE000\uE001]/g;

interface Drawn {
  html: string;
  words: string;
}

export type BlockDrawer = (
  blocks: readonly Json[],
  viewer: Viewer,
  errors?: Readonly<Record<string, string>>,
) => string;

const TEXT_TYPES = ['plain_text', 'mrkdwn', 'raw_text', 'raw_number'];
const SAFE_URL = /^(https?:|mailto:)/i;

function mark(marks: Drawn[], drawn: Drawn): string {
  marks.push(drawn);
  return `${OPEN}${marks.length - 1}${CLOSE}`;
}

/** A copy of a block in which every text is a mark and every link is harmless. */
function withMarks(value: unknown, viewer: Viewer, marks: Drawn[]): unknown {
  if (typeof value === 'string') return value.replace(PRIVATE_USE, '');
  if (Array.isArray(value)) return value.map((item) => withMarks(item, viewer, marks));
  if (typeof value !== 'object' || value === null) return value;
  const node = value as Json;
  const type = str(node['type']);
  if (TEXT_TYPES.includes(type)) {
    const text = mark(marks, { html: drawText(node, viewer), words: wordsOf(node) });
    return type.startsWith('raw_') ? { type: 'raw_text', text } : { ...node, text };
  }
  const copy: Json = {};
  for (const [key, inner] of Object.entries(node)) copy[key] = withMarks(inner, viewer, marks);
  if (type === 'link' && !SAFE_URL.test(str(node['url'])))
    return { type: 'text', text: str(copy['text']) || str(copy['url']) };
  if ((type === 'plan' || type === 'task_card') && typeof node['title'] === 'string') {
    copy['title'] = mark(marks, { html: esc(node['title']), words: node['title'] });
  }
  return copy;
}

// React escapes `<` and `>` in text and attributes, so a tag is what stands between them.
function withoutMarks(html: string, marks: readonly Drawn[]): string {
  const in_tags = html.replace(/<[^>]*>/g, (tag) =>
    tag.replace(/ id="[^"]*"/, '').replace(MARK, (_, index: string) => esc(marks[Number(index)]!.words)),
  );
  return in_tags.replace(MARK, (_, index: string) => marks[Number(index)]!.html);
}

interface Library {
  render: (block: unknown, viewer: Viewer) => string;
}

/** Loads React and the library when the page starts, not when the lab is imported. */
async function loadLibrary(): Promise<Library> {
  const [{ createElement }, { renderToStaticMarkup }, { Message }] = await Promise.all([
    import('react'),
    import('react-dom/server'),
    import('slack-blocks-to-jsx'),
  ]);
  return {
    render(block, { workspace }) {
      const users = [...workspace.users.values()].map(({ id, name }) => ({ id, name }));
      const channels = [...workspace.channels.values()].map(({ id, name }) => ({ id, name }));
      const user_groups = [...workspace.usergroups.values()].map(({ id, handle }) => ({ id, name: handle }));
      return renderToStaticMarkup(
        createElement(Message, {
          blocks: [block] as never,
          logo: '',
          name: '',
          theme: 'light',
          withoutWrapper: true,
          data: { users, channels, user_groups },
        }),
      );
    },
  };
}

function controls(block: Json, elements: readonly Json[], viewer: Viewer): string {
  const drawn = elements.map((element) => drawControl(block, element, viewer));
  return `<div class="controls">${drawn.join('')}</div>`;
}

function isInteractive(element: unknown): element is Json {
  return typeof element === 'object' && element !== null && (element as Json)['type'] !== 'image';
}

function drawBlock(
  block: Json,
  viewer: Viewer,
  library: Library,
  errors: Readonly<Record<string, string>>,
): string {
  const fixed = (part: Json): string => {
    const marks: Drawn[] = [];
    return withoutMarks(library.render(withMarks(part, viewer, marks), viewer), marks);
  };
  const again = (part: Json): string => drawBlock(part, viewer, library, errors);
  switch (block['type']) {
    case 'actions':
    case 'context_actions':
      return controls(block, items(block['elements']), viewer);
    case 'input':
      return drawInput(block, viewer, errors[str(block['block_id'])]);
    case 'section': {
      const { accessory, ...rest } = block;
      if (!isInteractive(accessory)) return fixed(block);
      return `<div class="beside"><div class="grow">${fixed(rest)}</div>${drawControl(block, accessory, viewer)}</div>`;
    }
    case 'card': {
      const { actions, ...rest } = block;
      return fixed(rest) + (actions ? controls(block, items(actions), viewer) : '');
    }
    case 'carousel':
      return items(block['elements']).map(again).join('');
    case 'container': {
      const title = block['title']
        ? `<div class="container-title">${drawText(block['title'], viewer)}</div>`
        : '';
      return `<div class="container">${title}${items(block['child_blocks']).map(again).join('')}</div>`;
    }
    case 'data_table': {
      const { rows, caption } = block;
      return `<div class="note">${esc(str(caption))}</div>${fixed({ type: 'table', rows })}`;
    }
    default:
      return fixed(block);
  }
}

/** A drawer with a cache: cards are drawn once per content and viewer. */
export async function loadBlockDrawer(): Promise<BlockDrawer> {
  const library = await loadLibrary();
  const cache = new WeakMap<readonly Json[], Map<string, string>>();
  return (blocks, viewer, errors = {}) => {
    const drawings = cache.get(blocks) ?? new Map<string, string>();
    cache.set(blocks, drawings);
    const key = JSON.stringify([viewer.user_id, viewer.time_zone, errors]);
    const known = drawings.get(key);
    if (known !== undefined) return known;
    const html = blocks.map((block) => drawBlock(block, viewer, library, errors)).join('');
    drawings.set(key, html);
    return html;
  };
}
