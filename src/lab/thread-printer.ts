import type { StoredMessage } from './slack/store.ts';
import type { SlackTwin } from './slack/twin.ts';

/** Width of the indent of a message's lines in the terminal. */
const INDENT = '    ';

/**
 * Prints the simulated workspace as it grows: who said what, what a card shows now, what only one person sees. An edit
 * prints the card again only when its words have changed.
 */
export function printThread(slack: SlackTwin, write: (line: string) => void): () => void {
  const last = new Map<string, string>();
  const started = Date.now();
  const stamp = () => `${((Date.now() - started) / 1000).toFixed(1).padStart(5)}s`;
  const name = (id: string) => slack.workspace.findUser(id)?.real_name ?? id;
  const show = (who: string, verb: string, text: string): void => {
    write(`${stamp()}  ${who} ${verb}`);
    for (const line of text.split('\n')) write(`${INDENT}${line}`.trimEnd());
    write('');
  };
  const onMessage = (message: StoredMessage, verb: string): void => {
    const text = slack.plainText(message);
    const key = `${message.channel}/${message.ts}`;
    // The foot of a card (step, ledger head, time) changes at every step: alone it is no news.
    const news = withoutFoot(text);
    if (last.get(key) === news) return;
    last.set(key, news);
    show(
      message.bot_id === undefined ? name(message.user) : 'Aegis',
      message.thread_ts === undefined ? verb : `${verb} in the thread`,
      text,
    );
  };
  const off = [
    slack.on('message', (m) => onMessage(m, 'posts')),
    slack.on('update', (m) => onMessage(m, 'edits')),
    slack.on('ephemeral', (e) => show('Aegis', `tells only ${name(e.user)}`, e.text || slack.plainText(e))),
    slack.on('trouble', (t) => show('Slack', `shows ${name(t.user)} a problem`, t.what)),
  ];
  return () => off.forEach((stop) => stop());
}

function withoutFoot(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/ledger head|updated/i.test(line))
    .join('\n');
}
