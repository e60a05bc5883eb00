// Text objects as HTML. Everything a person, a log line or a model wrote goes through `esc`; markup is made only here, from
// parsed mrkdwn, and only for what Slack itself would turn into markup. The rendering library never sees such text.
import { drawEmoji, formatDate, parseMrkdwn, type Inline } from '../slack/mrkdwn.ts';
import { str, type Json } from '../slack/json.ts';
import type { Workspace } from '../slack/workspace.ts';

/** For whom a page is drawn. */
export interface Viewer {
  workspace: Workspace;
  user_id: string;
  /** IANA name; dates are shown in it, as Slack does. */
  time_zone: string;
}

export function esc(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** `channel/ts/thread_ts` when a link points to a message of this workspace. */
export function messageOfLink(viewer: Viewer, url: string): string | undefined {
  const domain = viewer.workspace.definition.team.domain;
  const prefix = `https://${domain}.slack.com/archives/`;
  if (!url.startsWith(prefix)) return undefined;
  const found = /^([A-Z0-9]+)\/p(\d{10})(\d{6})(?:\?thread_ts=(\d+\.\d+))?/.exec(url.slice(prefix.length));
  if (!found) return undefined;
  const ts = `${found[2]}.${found[3]}`;
  return `${found[1]}/${ts}/${found[4] ?? ts}`;
}

export function drawLink(viewer: Viewer, url: string, label: string): string {
  const message = messageOfLink(viewer, url);
  const inside = message === undefined ? '' : ` data-message="${esc(message)}"`;
  return `<a class="link" href="${esc(url)}" target="_blank" rel="noopener noreferrer"${inside}>${esc(label)}</a>`;
}

function mention(text: string, own: boolean): string {
  return `<span class="mention${own ? ' own' : ''}">${esc(text)}</span>`;
}

function group(viewer: Viewer, id: string): string {
  const found = viewer.workspace.usergroups.get(id);
  return mention(`@${found?.handle ?? id}`, found?.users.includes(viewer.user_id) === true);
}

function marked(piece: Extract<Inline, { kind: 'text' }>): string {
  let html = esc(drawEmoji(piece.text));
  if (piece.strike) html = `<s>${html}</s>`;
  if (piece.italic) html = `<em>${html}</em>`;
  return piece.bold ? `<strong>${html}</strong>` : html;
}

function drawInline(piece: Inline, viewer: Viewer): string {
  const { workspace } = viewer;
  switch (piece.kind) {
    case 'text':
      return marked(piece);
    case 'code':
      return `<code class="code">${esc(piece.text)}</code>`;
    case 'link':
      return drawLink(viewer, piece.url, piece.label);
    case 'user':
      return mention(`@${workspace.users.get(piece.id)?.name ?? piece.id}`, piece.id === viewer.user_id);
    case 'channel':
      return mention(`#${workspace.channels.get(piece.id)?.name ?? piece.id}`, false);
    case 'usergroup':
      return group(viewer, piece.id);
    case 'broadcast':
      return mention(`@${piece.range}`, true);
    case 'date':
    default: {
      const iso = new Date(piece.unix * 1000).toISOString();
      const shown = formatDate(piece.unix, piece.format, viewer.time_zone);
      return `<time datetime="${iso}" title="${esc(piece.fallback)}">${esc(shown)}</time>`;
    }
  }
}

export function drawMrkdwn(text: string, viewer: Viewer): string {
  let html = '';
  let in_line = false;
  for (const part of parseMrkdwn(text)) {
    if (part.kind === 'pre') {
      html += `<span class="pre">${esc(part.text)}</span>`;
      in_line = false;
      continue;
    }
    const line = part.inline.map((piece) => drawInline(piece, viewer)).join('');
    if (part.quote) html += `<span class="quote">${line}</span>`;
    else html += in_line ? `<br>${line}` : line;
    in_line = !part.quote;
  }
  return html;
}

/** A plain_text or mrkdwn object. */
export function drawText(text: unknown, viewer: Viewer): string {
  const { type, text: words } = (text ?? {}) as Json;
  if (type === 'mrkdwn') return drawMrkdwn(str(words), viewer);
  return esc(drawEmoji(str(words))).replaceAll('\n', '<br>');
}

/** The same without markup, for attributes. */
export function wordsOf(text: unknown): string {
  return drawEmoji(str(((text ?? {}) as Json)['text']));
}
