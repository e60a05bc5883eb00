import { AUDIT_CHANNEL } from './people.ts';
import { styleText } from 'node:util';
import type { StoredMessage } from './slack/store.ts';
import type { SlackTwin } from './slack/twin.ts';

/** Where the story is printed. */
export interface Terminal {
  write(line: string): void;
  /** Columns; longer lines are wrapped. */
  readonly width: number;
  readonly colours: boolean;
}

export interface ThreadPrinter {
  /** A line by the narrator, between what is seen in Slack. */
  tell(line: string): void;
  stop(): void;
}

/** Column at which the words begin, after the seconds. */
const INDENT = '        ';
/** A message with more lines than this is shown up to its last heading before `LINES_SHOWN`. */
const LINES_MAX = 45;
const LINES_SHOWN = 18;
/** An edit is a glance, not a second reading. */
const CHANGED_LINES_MAX = 8;
const CHANGED_CHARS_MAX = 130;

type Style = Parameters<typeof styleText>[0];

/**
 * Prints the simulated workspace as it grows: who said what, each card once in full, then only the lines that an edit
 * changed, and what only one person sees. The word SIMULATED stands on every card and is said once, by the caller.
 */
export function printThread(slack: SlackTwin, terminal: Terminal): ThreadPrinter {
  const shown = new Map<string, readonly string[]>();
  const started = Date.now();
  // The caller knows its terminal; styleText would ask standard output.
  const paint = (style: Style, text: string) =>
    terminal.colours ? styleText(style, text, { validateStream: false }) : text;
  const name = (id: string) => slack.workspace.findUser(id)?.real_name ?? id;
  let blank = false;

  const put = (line: string): void => {
    if (line === '' && blank) return;
    blank = line === '';
    terminal.write(line);
  };
  const show = (who: string, lines: readonly string[], space = true): void => {
    const stamp = `${((Date.now() - started) / 1000).toFixed(1).padStart(5)}s  `;
    const [only = ''] = lines;
    if (space && lines.length > 1) put('');
    const head = lines.length === 1 ? `${who}: ${only}` : `${who}:`;
    wrap(`${stamp}${head}`, terminal.width, INDENT.length).forEach((line, at) =>
      put(at === 0 ? paint('dim', stamp) + line.slice(stamp.length).replace(who, paint('bold', who)) : line),
    );
    if (lines.length === 1) return;
    for (const line of lines)
      for (const piece of wrap(`${INDENT}${line}`, terminal.width, INDENT.length))
        put(paint(styleOf(line), piece));
    if (space) put('');
  };
  const onMessage = (message: StoredMessage, edited: boolean): void => {
    const who = message.bot_id === undefined ? name(message.user) : 'Aegis';
    // The story is the incident's; what the audit channel gets is said in a line.
    if (message.channel === AUDIT_CHANNEL) return show(`${who} to #aegis-audit`, [message.text]);
    const where = message.thread_ts === undefined ? '' : ' in the thread';
    const key = `${message.channel}/${message.ts}`;
    const before = shown.get(key);
    const lines = readable(slack.plainText(message));
    shown.set(key, lines);
    if (!edited || before === undefined) return show(`${who}${where}`, shortened(lines));
    const changed = changedLines(before, lines);
    if (changed.length > 0) show(`${who} edits the card${where}`, changed, false);
  };
  const off = [
    slack.on('message', (message) => onMessage(message, false)),
    slack.on('update', (message) => onMessage(message, true)),
    slack.on('ephemeral', (e) =>
      show(`Aegis to ${name(e.user)} only`, readable(e.text || slack.plainText(e))),
    ),
    slack.on('trouble', (t) => show(`Slack shows ${name(t.user)} a problem`, [t.what])),
  ];
  return {
    tell(line) {
      put('');
      put(paint('cyan', `-- ${line}`));
      blank = true;
    },
    stop: () => off.forEach((stop) => stop()),
  };
}

/** Green and red for a diff, nothing else. */
function styleOf(line: string): Style {
  if (/^\s+\+ /.test(line)) return 'green';
  return /^\s+- /.test(line) ? 'red' : 'reset';
}

function readable(text: string): string[] {
  return text
    .replaceAll(/\s*SIMULATED(: these are not the real systems)? */g, '\n')
    .split('\n')
    .map((line) => line.replace(/ \((pending|in_progress|complete)\)$/, '').trimEnd())
    .filter((line) => line !== '');
}

/** The beginning of a long message up to a heading, and how much is left out. */
function shortened(lines: readonly string[]): string[] {
  if (lines.length <= LINES_MAX) return [...lines];
  const isHeading = (at: number): boolean =>
    /^[^\s•].{0,38}$/.test(lines[at] ?? '') && /^(\s|•)/.test(lines[at + 1] ?? '');
  let end = LINES_SHOWN;
  while (end > 1 && !isHeading(end)) end -= 1;
  if (end === 1) end = LINES_SHOWN;
  return [...lines.slice(0, end), `… ${lines.length - end} more lines`];
}

/**
 * In an edit these are no news: what changes at every step (foot, budget, buttons), what the thread says itself (cause),
 * tasks that wait or run, what a task found, and the row of passed gates.
 */
const NO_NEWS = /^\[ |^(Budget|Owner|Mode|Cause,) |ledger head|updated |^[○◐] |^    |^✅ .*  ✅ .*  ✅ /;

/** Lines that were not there before. */
function changedLines(before: readonly string[], after: readonly string[]): string[] {
  const known = new Set(before);
  const changed = after.filter((line) => !known.has(line) && !NO_NEWS.test(line));
  const cut = changed.slice(0, CHANGED_LINES_MAX).map((line) => clipped(line));
  return changed.length > cut.length ? [...cut, `… ${changed.length - cut.length} more changed lines`] : cut;
}

function clipped(line: string): string {
  return line.length <= CHANGED_CHARS_MAX ? line : `${line.slice(0, CHANGED_CHARS_MAX - 1).trimEnd()}…`;
}

/** Breaks a line between words; the rest hangs under the second column of a table row, or two columns further in. */
function wrap(line: string, width: number, least: number): string[] {
  if (line.length <= width) return [line];
  const column = line.lastIndexOf(' │ ');
  const lead = line.length - line.trimStart().length;
  const hang = ' '.repeat(column > 0 && column < width / 2 ? column + 3 : Math.max(lead, least) + 2);
  const pieces: string[] = [];
  for (let rest = line; rest !== '';) {
    const space = rest.length <= width ? -1 : rest.lastIndexOf(' ', width);
    const end = rest.length <= width || space <= hang.length ? rest.length : space;
    pieces.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
    if (rest !== '') rest = hang + rest;
  }
  return pieces;
}
