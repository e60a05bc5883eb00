// Open incidents and freezes as blocks, for `/aegis status`, `@aegis status` and the Home tab. Pure.
import type { RichTextBlock, RichTextElement, RichTextSection } from '@slack/types';
import { IncidentState } from '../contract/incident.ts';
import type { StatusView } from '../harness/inspect.ts';
import { cut, topText } from './block-limits.ts';
import { oneLine } from '../contract/visible.ts';
import { bold, code, paragraph, richText, say, when } from './blocks.ts';
import { stateWords } from './cards/incident.ts';
import type { Answer } from './listeners/listener.ts';

const SHOWN_MAX = 20;

type IncidentLine = StatusView['incidents'][number];

function stateOf(state: string): string {
  const known = IncidentState.safeParse(state);
  return known.success ? stateWords(known.data) : state;
}

function threadUrl(base: string | null, line: IncidentLine): string | null {
  return base === null || line.thread_ts === null
    ? null
    : `${base}archives/${line.channel}/p${line.thread_ts.replace('.', '')}`;
}

function incidentLine(line: IncidentLine, base: string | null): RichTextSection {
  const url = threadUrl(base, line);
  const name: RichTextElement =
    url === null
      ? bold(line.incident_id)
      : { type: 'link', url, text: line.incident_id, style: { bold: true } };
  const wait = line.waiting_for === null ? '' : `, waiting for ${cut(oneLine(line.waiting_for), 120)}`;
  return paragraph([
    name,
    say(' '),
    code(`${line.team}/${line.env}`),
    say(` ${cut(oneLine(line.title), 140)}: ${stateOf(line.state)}${wait}`),
  ]);
}

export function incidentList(
  block_id: string,
  incidents: readonly IncidentLine[],
  base: string | null,
): RichTextBlock {
  const shown = incidents.slice(0, SHOWN_MAX).map((line) => incidentLine(line, base));
  const more = incidents.length - shown.length;
  const rest = more > 0 ? [paragraph([say(`and ${more} more`)])] : [];
  return richText(block_id, [{ type: 'rich_text_list', style: 'bullet', elements: [...shown, ...rest] }]);
}

export function freezeList(block_id: string, freezes: StatusView['freezes']): RichTextBlock {
  const lines = freezes.slice(0, SHOWN_MAX).map((freeze) => {
    const until: RichTextElement[] =
      freeze.until === null ? [say(' until it is lifted')] : [say(' until '), when(freeze.until)];
    return paragraph([
      say('🧊 frozen '),
      code(freeze.scope),
      say(` by ${freeze.by}`),
      ...until,
      say(`: ${cut(oneLine(freeze.reason), 200)}`),
    ]);
  });
  return richText(block_id, [{ type: 'rich_text_list', style: 'bullet', elements: lines }]);
}

export function statusAnswer(status: StatusView, base: string | null): Answer {
  const { incidents, freezes } = status;
  if (incidents.length === 0 && freezes.length === 0) {
    const words = 'Nothing is open in what you may see, and nothing is frozen.';
    return { text: words, blocks: [richText('st.none', [paragraph([say(words)])])] };
  }
  const blocks = [
    ...(incidents.length === 0
      ? []
      : [
          richText('st.head', [paragraph([bold(`${incidents.length} open`)])]),
          incidentList('st.list', incidents, base),
        ]),
    ...(freezes.length === 0 ? [] : [freezeList('st.frozen', freezes)]),
  ];
  return {
    text: topText(
      `${incidents.length} open: ${incidents
        .slice(0, 5)
        .map((line) => `${line.incident_id} ${stateOf(line.state)}`)
        .join('; ')}. ${freezes.length} freezes.`,
    ),
    blocks,
  };
}
