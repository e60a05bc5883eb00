import { visible } from '../contract/visible.ts';

/** Markup that this room wrote itself; the only way to make one is the `markup` tag, which escapes every string put into it. */
export interface Markup {
  readonly html: string;
}

export function markup(
  literals: TemplateStringsArray,
  ...values: (string | Markup | readonly Markup[])[]
): Markup {
  return { html: literals.map((literal, at) => literal + textOf(values[at] ?? '')).join('') };
}

function textOf(value: string | Markup | readonly Markup[]): string {
  if (typeof value === 'string') return escaped(value);
  return 'html' in value ? value.html : value.map((part) => part.html).join('');
}

function escaped(text: string): string {
  return visible(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
