import type { LedgerEntry } from '../contract/ledger.ts';
import { storyOf } from './ledger-story.ts';
import { plain } from './markdown.ts';
import {
  causeSection,
  changeSection,
  costSection,
  decisionSection,
  followUpSection,
  gapSection,
  impactSection,
  ruledOutSection,
  summarySection,
  timelineSection,
  verificationSection,
} from './postmortem-sections.ts';
import type { Names } from './timeline.ts';

/**
 * L5, evolution: what is learnt after an incident. This file drafts the postmortem as a pure function of the ledger:
 * the same entries give the same text, nothing is remembered that was not recorded, and no model polishes it. It may
 * not change anything; people edit and publish. All text from outside is escaped, for a log line may be an attack.
 */
export interface Postmortem {
  /** Plain text, one line. */
  readonly title: string;
  readonly markdown: string;
}

/** The contract's limit of a postmortem notice is 60,000 characters. */
const MARKDOWN_CHARS_MAX = 58_000;
const TITLE_CHARS_MAX = 200;

export function draftPostmortem(
  entries: readonly LedgerEntry[],
  options: { readonly names: Names },
): Postmortem {
  const story = storyOf(entries);
  const id = story.context?.incident_id ?? entries[0]?.incident_id ?? 'unknown incident';
  const subject = story.context?.title ?? 'no opening entry in the ledger';
  const title = `Postmortem ${id}: ${subject}`
    .replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .slice(0, TITLE_CHARS_MAX);
  const { names } = options;
  const sections: readonly (readonly [string, string | null])[] = [
    ['Summary', summarySection(story, names)],
    ['Impact', impactSection(story)],
    ['Timeline (UTC)', timelineSection(story, names)],
    ['Cause', causeSection(story)],
    ['Ruled out', ruledOutSection(story)],
    ['Decisions', decisionSection(story, names)],
    ['Change and effect', changeSection(story)],
    ['Verification', verificationSection(story)],
    ['Cost', costSection(story)],
    ['What could not be seen', gapSection(story)],
    ['Follow-ups', followUpSection(story)],
  ];
  const body = sections.map(([heading, text]) => `## ${heading}\n\n${text ?? 'Nothing recorded.'}`);
  const markdown = [`# ${plain(title, TITLE_CHARS_MAX)}`, ...body].join('\n\n');
  return { title, markdown: markdown.length <= MARKDOWN_CHARS_MAX ? `${markdown}\n` : cut(markdown) };
}

/** Cuts at a line, so that no escape or table row is cut in half. */
function cut(markdown: string): string {
  const end = markdown.lastIndexOf('\n', MARKDOWN_CHARS_MAX);
  return `${markdown.slice(0, end)}\n\nThe rest is in the ledger.\n`;
}
