// One rule per block type, and which surface takes which block.
import { accessory, actionsElement, button, contextActionElement, image, inputElement } from './elements.ts';
import {
  looseString as anyString,
  below,
  boolean,
  byType,
  complain,
  integer,
  isRecord,
  list,
  object,
  oneOf,
  string,
  type CheckRun,
  type Rule,
  type Surface,
} from './findings.ts';
import { richText } from './rich-text.ts';
import { anyText, mrkdwn, plainText } from './texts.ts';

function block(fields: Readonly<Record<string, Rule>>, required: readonly string[] = []): Rule {
  return object({ required, fields: { type: anyString, block_id: string(255), ...fields } });
}

const section: Rule = (value, at, run) => {
  block({ text: anyText(3000), fields: list(anyText(2000), 10), accessory, expand: boolean })(value, at, run);
  if (isRecord(value) && value['text'] === undefined && value['fields'] === undefined) {
    complain(run, at, 'must define either `text` or `fields`');
  }
};

const contextElement: Rule = byType({
  image: image({}),
  plain_text: anyText(3000),
  mrkdwn: anyText(3000),
});

const rawText: Rule = object({ required: ['text'], fields: { type: anyString, text: string(10_000) } });
const rawNumber: Rule = object({
  required: ['value', 'text'],
  fields: {
    type: anyString,
    text: string(10_000),
    value: (value, at, run) => {
      if (typeof value !== 'number') complain(run, at, 'must be a number');
    },
  },
});
const cell: Rule = byType({ raw_text: rawText, raw_number: rawNumber, rich_text: richText });

const table: Rule = block(
  {
    rows: list(list(cell, 20), 100),
    column_settings: list(
      object({ fields: { align: oneOf('left', 'center', 'right'), is_wrapped: boolean } }),
      20,
    ),
  },
  ['rows'],
);

const dataTable: Rule = block(
  {
    rows: list(list(cell, 20), 201),
    caption: string(255),
    page_size: integer(1, 100),
    row_header_column_index: integer(0, 19),
  },
  ['rows', 'caption'],
);

const chartPoint: Rule = object({
  required: ['label', 'value'],
  fields: { label: string(20), value: anyNumber },
});

function anyNumber(value: unknown, at: string, run: CheckRun): void {
  if (typeof value !== 'number') complain(run, at, 'must be a number');
}

const cartesian: Rule = object({
  required: ['series', 'axis_config'],
  fields: {
    type: anyString,
    series: list(
      object({ required: ['name', 'data'], fields: { name: string(20), data: list(chartPoint, 20) } }),
      12,
    ),
    axis_config: object({
      required: ['categories'],
      fields: { categories: list(string(20), 20), x_label: string(50), y_label: string(50) },
    }),
  },
});

const dataVisualization: Rule = block(
  {
    title: string(50),
    chart: byType({
      line: cartesian,
      bar: cartesian,
      area: cartesian,
      pie: object({
        required: ['segments'],
        fields: { type: anyString, segments: list(chartPoint, 12) },
      }),
    }),
  },
  ['title', 'chart'],
);

const card: Rule = (value, at, run) => {
  block({
    hero_image: image({}),
    icon: image({}),
    title: mrkdwn(150),
    subtitle: mrkdwn(150),
    body: mrkdwn(200),
    actions: list(button, 3),
  })(value, at, run);
  if (
    isRecord(value) &&
    !['hero_image', 'title', 'actions', 'body'].some((key) => value[key] !== undefined)
  ) {
    complain(run, at, 'must define at least one of `hero_image`, `title`, `actions` or `body`');
  }
};

const taskCard: Rule = block(
  {
    task_id: string(255),
    title: string(3000),
    details: richText,
    output: richText,
    sources: list(
      object({
        required: ['url', 'text'],
        fields: { type: anyString, url: string(3000), text: string(255) },
      }),
      100,
    ),
    status: oneOf('pending', 'in_progress', 'complete', 'error'),
  },
  ['task_id', 'title', 'status'],
);

const video: Rule = block(
  {
    video_url: string(3000),
    thumbnail_url: string(3000),
    alt_text: string(2000),
    title: plainText(200),
    title_url: string(3000),
    author_name: string(50),
    provider_name: string(255),
    provider_icon_url: string(3000),
    description: plainText(200),
  },
  ['video_url', 'thumbnail_url', 'alt_text', 'title'],
);

const input: Rule = block(
  {
    label: plainText(2000),
    hint: plainText(2000),
    optional: boolean,
    element: inputElement,
    dispatch_action: boolean,
  },
  ['label', 'element'],
);

const simple: Readonly<Record<string, Rule>> = {
  actions: block({ elements: list(actionsElement, 25) }, ['elements']),
  context: block({ elements: list(contextElement, 10) }, ['elements']),
  divider: block({}),
  file: block({ source: oneOf('remote'), external_id: string(255) }, ['source', 'external_id']),
  header: block({ text: plainText(150) }, ['text']),
  image: image({ block_id: string(255), title: plainText(2000) }),
  input,
  rich_text: richText,
  section,
  table,
  video,
};

const container: Rule = block(
  {
    title: plainText(150),
    rich_text_title: richText,
    subtitle: anyText(150),
    child_blocks: list(byType(simple), 10),
    width: oneOf('narrow', 'standard', 'wide', 'full'),
    icon: image({}),
    is_collapsible: boolean,
    default_collapsed: boolean,
    has_header_divider: boolean,
  },
  ['child_blocks'],
);

const all: Readonly<Record<string, Rule>> = {
  ...simple,
  alert: block({ text: anyText(200), level: oneOf('default', 'info', 'warning', 'error', 'success') }, [
    'text',
  ]),
  card,
  carousel: block({ elements: list(byType({ card }), 10) }, ['elements']),
  container,
  context_actions: block({ elements: list(contextActionElement, 5) }, ['elements']),
  data_table: dataTable,
  data_visualization: dataVisualization,
  markdown: block({ text: string(12_000) }, ['text']),
  plan: block({ title: string(3000), tasks: list(byType({ task_card: taskCard }), 50, 0) }, ['title']),
  task_card: taskCard,
};

/** What each surface refuses (docs.slack.dev/blocks.json, corrected by live tests). */
const REFUSED: Readonly<Record<Surface, readonly string[]>> = {
  message: ['alert', 'file'],
  modal: [
    'card',
    'carousel',
    'container',
    'context_actions',
    'data_table',
    'data_visualization',
    'file',
    'markdown',
    'plan',
    'table',
    'task_card',
  ],
  home: ['alert', 'context_actions', 'data_table', 'file', 'markdown', 'plan', 'table', 'task_card'],
};

function rulesFor(surface: Surface): Rule {
  return byType(Object.fromEntries(Object.entries(all).filter(([type]) => !REFUSED[surface].includes(type))));
}

const bySurface: Readonly<Record<Surface, Rule>> = {
  message: rulesFor('message'),
  modal: rulesFor('modal'),
  home: rulesFor('home'),
};

/** Every element of one block that carries an action_id, with where it stands. */
export function elementsOf(value: Record<string, unknown>, at: string): [Record<string, unknown>, string][] {
  const found: [Record<string, unknown>, string][] = [];
  const keep = (inner: unknown, where: string): void => {
    if (isRecord(inner) && inner['type'] !== 'card') found.push([inner, where]);
    else if (isRecord(inner)) found.push(...elementsOf(inner, where));
  };
  for (const key of ['accessory', 'element'] as const) keep(value[key], below(at, key));
  for (const key of ['elements', 'actions'] as const) {
    const items = value[key];
    if (Array.isArray(items)) {
      for (const [index, item] of items.entries()) keep(item, below(below(at, key), index));
    }
  }
  return found;
}

function checkIds(value: Record<string, unknown>, at: string, run: CheckRun): void {
  const id = value['block_id'];
  if (typeof id === 'string') {
    if (run.block_ids.has(id)) complain(run, below(at, 'block_id'), `\`block_id\` "${id}" already exists`);
    run.block_ids.add(id);
  }
  const actions = new Set<string>();
  for (const [element, where] of elementsOf(value, at)) {
    const action = element['action_id'];
    if (typeof action !== 'string') continue;
    if (actions.has(action)) {
      complain(run, below(where, 'action_id'), `\`action_id\` "${action}" already exists`);
    }
    actions.add(action);
  }
  const children = value['child_blocks'];
  if (!Array.isArray(children)) return;
  for (const [index, child] of children.entries()) {
    if (isRecord(child)) checkIds(child, below(below(at, 'child_blocks'), index), run);
  }
}

/** Checks one block in place on its surface: shape, limits, and ids against the blocks before it. */
export function checkBlock(value: unknown, at: string, run: CheckRun): void {
  bySurface[run.surface](value, at, run);
  if (isRecord(value)) checkIds(value, at, run);
}
