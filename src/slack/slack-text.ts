// Text that people type to Aegis, as Slack encodes it: mentions become names, links become their address, entities signs.
import { visible } from '../contract/visible.ts';

/** Undoes Slack's encoding. The result is foreign text like any other; ids are never taken from it. */
export function typedText(encoded: string): string {
  const plain = encoded.replace(/<([^<>]*)>/g, (_, inner: string) => {
    const [head, label] = inner.split('|', 2) as [string, string | undefined];
    if (head.startsWith('@')) return label === undefined ? head : `@${label}`;
    if (head.startsWith('#')) return label === undefined ? head : `#${label}`;
    if (head.startsWith('!')) return label ?? '';
    return head;
  });
  return visible(plain.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')).trim();
}

/** What follows the first mention of the bot; the whole text when it stands elsewhere. */
export function afterMention(encoded: string): string {
  return typedText(encoded.replace(/^\s*<@[UW][A-Z0-9]+(\|[^<>]*)?>\s*/, ''));
}
