// Slack's mrkdwn as a tree. One parser serves the notification count, the terminal rendering and the page, so that all
// three agree on what is a mention and what is only text. Text that was escaped (`&lt;!channel&gt;`) stays text.

export type Inline =
  | { kind: 'text'; text: string; bold?: boolean; italic?: boolean; strike?: boolean }
  | { kind: 'code'; text: string }
  | { kind: 'link'; url: string; label: string }
  | { kind: 'user'; id: string }
  | { kind: 'channel'; id: string }
  | { kind: 'usergroup'; id: string }
  | { kind: 'broadcast'; range: string }
  | { kind: 'date'; unix: number; format: string; fallback: string };

export type Part = { kind: 'line'; quote: boolean; inline: Inline[] } | { kind: 'pre'; text: string };

/** Undoes Slack's three entities; nothing else is an entity to Slack. */
export function unescapeText(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function dateToken(body: string): Inline | undefined {
  const [, unix, rest = ''] = body.split('^', 3);
  if (!unix || !/^\d+$/.test(unix)) return undefined;
  const format = rest.split('|', 1).join('');
  const fallback = body.split('|').slice(1).join('|');
  return { kind: 'date', unix: Number(unix), format, fallback: unescapeText(fallback) };
}

function bangToken(body: string): Inline | undefined {
  const [head = '', label = ''] = body.slice(1).split('|', 2);
  if (head === 'here' || head === 'channel' || head === 'everyone') return { kind: 'broadcast', range: head };
  if (head.startsWith('subteam^')) return { kind: 'usergroup', id: head.slice('subteam^'.length) };
  if (head.startsWith('date^')) return dateToken(body.slice(1));
  return { kind: 'text', text: unescapeText(label || head) };
}

/** What stands between `<` and `>`; undefined when Slack would show the brackets. */
function token(body: string): Inline | undefined {
  if (body.startsWith('!')) return bangToken(body);
  const [head = '', ...labels] = body.split('|');
  const label = labels.join('|');
  if (/^@[UW][A-Z0-9]+$/.test(head)) return { kind: 'user', id: head.slice(1) };
  if (/^#C[A-Z0-9]+$/.test(head)) return { kind: 'channel', id: head.slice(1) };
  if (/^(https?:\/\/|mailto:|tel:|slack:\/\/)/.test(head)) {
    return { kind: 'link', url: unescapeText(head), label: unescapeText(label || head) };
  }
  return undefined;
}

interface Marks {
  bold: boolean;
  italic: boolean;
  strike: boolean;
}

const MARKS: Readonly<Record<string, keyof Marks>> = { '*': 'bold', _: 'italic', '~': 'strike' };

function opensMark(text: string, at: number): boolean {
  const mark = text[at]!;
  const before = at === 0 ? ' ' : text[at - 1]!;
  const after = text[at + 1];
  if (!/[\s([{"'*_~>–—-]/.test(before) || after === undefined || /\s/.test(after) || after === mark)
    return false;
  const close = text.indexOf(mark, at + 1);
  return close > at + 1 && !text.slice(at, close).includes('\n');
}

function closesMark(text: string, at: number): boolean {
  const after = text[at + 1] ?? ' ';
  return !/\s/.test(text[at - 1] ?? ' ') && !/[A-Za-z0-9]/.test(after);
}

/** Parses one line (or any text without blocks) into inline pieces. */
export function parseInline(text: string): Inline[] {
  const out: Inline[] = [];
  const marks: Marks = { bold: false, italic: false, strike: false };
  let plain = '';
  const flush = (): void => {
    if (plain !== '') out.push({ kind: 'text', text: unescapeText(plain), ...on(marks) });
    plain = '';
  };
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]!;
    const mark = MARKS[char];
    if (char === '<' || char === '`') {
      const close = text.indexOf(char === '<' ? '>' : '`', at + 1);
      const body = close > at + 1 ? text.slice(at + 1, close) : '';
      const piece: Inline | undefined =
        body === '' ? undefined : char === '<' ? token(body) : { kind: 'code', text: unescapeText(body) };
      if (piece) {
        flush();
        out.push(piece);
        at = close;
        continue;
      }
    } else if (mark && (marks[mark] ? closesMark(text, at) : opensMark(text, at))) {
      flush();
      marks[mark] = !marks[mark];
      continue;
    }
    plain += char;
  }
  flush();
  return out;
}

function on(marks: Marks): Partial<Marks> {
  return {
    ...(marks.bold ? { bold: true } : {}),
    ...(marks.italic ? { italic: true } : {}),
    ...(marks.strike ? { strike: true } : {}),
  };
}

/** Parses a whole mrkdwn text: fenced blocks, quotes and lines. */
export function parseMrkdwn(text: string): Part[] {
  const parts: Part[] = [];
  for (const [index, piece] of text.split('```').entries()) {
    if (index % 2 === 1) {
      parts.push({ kind: 'pre', text: unescapeText(piece.replace(/^\n/, '').replace(/\n$/, '')) });
      continue;
    }
    const trimmed = index === 0 ? piece : piece.replace(/^\n/, '');
    if (trimmed === '' && index > 0) continue;
    for (const line of trimmed.split('\n')) {
      const quote = /^(&gt;|>)\s?/.exec(line);
      const body = quote ? line.slice(quote[0].length) : line;
      parts.push({ kind: 'line', quote: quote !== null, inline: parseInline(body) });
    }
  }
  return parts;
}

/** All inline pieces of a text, in order. */
export function piecesOf(text: string): Inline[] {
  return parseMrkdwn(text).flatMap((part) => (part.kind === 'line' ? part.inline : []));
}

function part(date: Date, time_zone: string, options: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat('en-US', { ...options, timeZone: time_zone }).format(date);
}

function dayNumbers(date: Date, time_zone: string): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone: time_zone }).format(date);
}

function clockTime(date: Date, time_zone: string, seconds: boolean): string {
  return part(date, time_zone, {
    hour: 'numeric',
    minute: '2-digit',
    ...(seconds ? { second: '2-digit' } : {}),
  });
}

/** A `<!date^…>` in the reader's time zone. */
export function formatDate(unix: number, format: string, time_zone: string): string {
  const date = new Date(unix * 1000);
  const long = { month: 'long', day: 'numeric', year: 'numeric' } as const;
  const short = { month: 'short', day: 'numeric', year: 'numeric' } as const;
  const words: Readonly<Record<string, () => string>> = {
    date_num: () => dayNumbers(date, time_zone),
    date: () => part(date, time_zone, long),
    date_pretty: () => part(date, time_zone, long),
    date_short: () => part(date, time_zone, short),
    date_short_pretty: () => part(date, time_zone, short),
    date_long: () => part(date, time_zone, { weekday: 'long', ...long }),
    date_long_pretty: () => part(date, time_zone, { weekday: 'long', ...long }),
    time: () => clockTime(date, time_zone, false),
    time_secs: () => clockTime(date, time_zone, true),
  };
  return format.replace(/\{(\w+)\}/g, (whole, word: string) => words[word]?.() ?? whole);
}

const EMOJI: Readonly<Record<string, string>> = {
  white_check_mark: '✅',
  heavy_check_mark: '✔️',
  x: '❌',
  warning: '⚠️',
  hourglass_flowing_sand: '⏳',
  hourglass: '⌛',
  rotating_light: '🚨',
  fire: '🔥',
  eyes: '👀',
  mag: '🔍',
  lock: '🔒',
  ice_cube: '🧊',
  robot_face: '🤖',
  wave: '👋',
  tada: '🎉',
  thumbsup: '👍',
  '+1': '👍',
  thumbsdown: '👎',
  '-1': '👎',
  red_circle: '🔴',
  large_green_circle: '🟢',
  large_yellow_circle: '🟡',
  memo: '📝',
  chart_with_upwards_trend: '📈',
  no_entry: '⛔',
};

/** Known `:names:` become signs; an unknown one stays as typed. */
export function drawEmoji(text: string): string {
  return text.replace(/:([a-z0-9_+-]+):/g, (whole, name: string) => EMOJI[name] ?? whole);
}
