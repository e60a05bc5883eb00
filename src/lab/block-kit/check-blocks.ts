// The Block Kit checker: says of a message or a view exactly what Slack's servers would say. It knows every limit that we
// have a source for and refuses what it does not know. Pure; it must not import anything from the product, because its
// worth is that it was written from Slack's side.
import { checkBlock } from './blocks.ts';
import {
  below,
  boolean,
  byType,
  characters,
  complain,
  isRecord,
  list,
  object,
  oneOf,
  string,
  type CheckRun,
  type Finding,
  type Rule,
  type Surface,
} from './findings.ts';
import { plainText } from './texts.ts';

export type { Finding } from './findings.ts';

/** Characters of text in all blocks of one message; the undocumented ceiling was measured between 11,341 and 13,200. */
export const MESSAGE_TEXT_CHARS_MAX = 12_000;
/** Bytes of a view as JSON. */
export const VIEW_BYTES_MAX = 250 * 1024;

const BLOCKS_MAX: Readonly<Record<Surface, number>> = { message: 50, modal: 100, home: 100 };

export type BlocksError = 'invalid_blocks' | 'msg_blocks_too_long';

export interface BlocksVerdict {
  /** Slack's error word, or undefined when the blocks are fine. */
  error: BlocksError | undefined;
  findings: Finding[];
}

function newRun(surface: Surface): CheckRun {
  return { surface, findings: [], block_ids: new Set() };
}

/** Sum of every `text` string in the tree: how Slack's ceiling was measured from outside. */
export function textCharacters(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + textCharacters(item), 0);
  if (!isRecord(value)) return 0;
  let sum = 0;
  for (const [key, inner] of Object.entries(value)) {
    sum += key === 'text' && typeof inner === 'string' ? characters(inner) : textCharacters(inner);
  }
  return sum;
}

interface Ceiling {
  types: readonly string[];
  chars_max: number;
}

/** Sums that bind the whole message rather than one block. */
const CEILINGS: readonly Ceiling[] = [
  { types: ['table'], chars_max: 10_000 },
  { types: ['data_table'], chars_max: 20_000 },
  { types: ['markdown'], chars_max: 12_000 },
];

function checkTogether(blocks: readonly unknown[], at: string, run: CheckRun): void {
  for (const ceiling of CEILINGS) {
    const mine = blocks.filter((block) => isRecord(block) && ceiling.types.includes(String(block['type'])));
    if (textCharacters(mine) > ceiling.chars_max) {
      const words = `all ${ceiling.types.join(' and ')} blocks together`;
      complain(run, at, `${words} must be less than ${ceiling.chars_max + 1} characters`);
    }
  }
  const charts = blocks.filter((block) => isRecord(block) && block['type'] === 'data_visualization');
  if (charts.length > 2) complain(run, at, 'no more than 2 data_visualization blocks allowed');
}

function blocksRule(surface: Surface, min: number): Rule {
  return (value, at, run) => {
    list((item, where) => checkBlock(item, where, run), BLOCKS_MAX[surface], min)(value, at, run);
    if (Array.isArray(value) && surface === 'message') checkTogether(value, at, run);
  };
}

/** Checks the `blocks` of a message; `at` is where the list hangs (`/blocks`, or empty for blocks.validate). */
export function checkMessageBlocks(blocks: unknown, at = '/blocks'): BlocksVerdict {
  const run = newRun('message');
  blocksRule('message', 0)(blocks, at, run);
  if (run.findings.length > 0) return { error: 'invalid_blocks', findings: run.findings };
  const too_long = textCharacters(blocks) > MESSAGE_TEXT_CHARS_MAX;
  return { error: too_long ? 'msg_blocks_too_long' : undefined, findings: [] };
}

const viewBase = {
  type: oneOf('modal', 'home'),
  callback_id: string(255, 0),
  external_id: string(255, 0),
  private_metadata: string(3000, 0),
};

const modal: Rule = (value, at, run) => {
  object({
    required: ['title', 'blocks'],
    fields: {
      ...viewBase,
      title: plainText(24),
      submit: plainText(24),
      close: plainText(24),
      clear_on_close: boolean,
      notify_on_close: boolean,
      blocks: blocksRule('modal', 0),
    },
  })(value, at, run);
  if (!isRecord(value) || value['submit'] !== undefined || !Array.isArray(value['blocks'])) return;
  for (const [index, block] of value['blocks'].entries()) {
    if (isRecord(block) && block['type'] === 'input') {
      const where = below(below(below(at, 'blocks'), index), 'input');
      complain(run, where, 'must define `submit` to use an `input` block in modals');
    }
  }
};

const home: Rule = object({ required: ['blocks'], fields: { ...viewBase, blocks: blocksRule('home', 0) } });

export interface ViewVerdict {
  error: 'invalid_arguments' | 'view_too_large' | undefined;
  findings: Finding[];
}

/** Checks a view; `at` is where it hangs (`/view`, or empty for blocks.validate). */
export function checkView(view: unknown, at = '/view'): ViewVerdict {
  if (Buffer.byteLength(JSON.stringify(view) ?? '') > VIEW_BYTES_MAX) {
    return { error: 'view_too_large', findings: [] };
  }
  const type = isRecord(view) ? view['type'] : undefined;
  const run = newRun(type === 'home' ? 'home' : 'modal');
  byType({ modal, home })(view, at, run);
  return { error: run.findings.length > 0 ? 'invalid_arguments' : undefined, findings: run.findings };
}

/** The sentence form of Slack's `errors` list. */
export function sentence(finding: Finding): string {
  return `${finding.message} [json-pointer:${finding.pointer}]`;
}
