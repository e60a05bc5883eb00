// Short answers of listeners, drawn like the private card: one or two sentences for the person who acted.
import type { RichTextElement } from '@slack/types';
import type { Refusal } from '../contract/verdict.ts';
import { topText } from './block-limits.ts';
import { bold, code, paragraph, richText, say } from './blocks.ts';
import type { Answer, ListenerTools, Place } from './listeners/listener.ts';

export function sentence(text: string, tools: Pick<ListenerTools, 'redact'>): Answer {
  const shown = tools.redact(text);
  return { text: topText(shown), blocks: [richText('ans', [paragraph([say(shown)])])] };
}

export function refusalAnswer(refusal: Refusal, tools: Pick<ListenerTools, 'redact'>): Answer {
  return sentence(refusalWords(refusal), tools);
}

export function refusalWords(refusal: Refusal): string {
  return refusal.remedy === '' ? refusal.reason : `${refusal.reason} ${refusal.remedy}`;
}

const HELP: Readonly<Record<string, string>> = {
  help: 'this list',
  status: 'what is open and who is waited for',
  'investigate <text>': 'open an incident from what you see; read-only until people approve',
  'did <INC> <text>': 'say what you did by hand, and why: "rolled back because 2.15.0 crashes"',
  'raise <team/env/service>': 'one of two people: let Aegis go one step up the ladder again',
  why: 'in an incident thread: the evidence behind the cause',
  hold: 'in an incident thread: stop making calls until a person resumes',
  'stop <INC>': 'stop a run; one person is enough, nothing new leaves',
};

/** Help, led by what was not understood. */
export function helpAnswer(said: string, meant: string | null, by: '/aegis' | '@aegis'): Answer {
  const elements: RichTextElement[] = [];
  if (said !== '')
    elements.push(
      say(`I do not know "${said}". `),
      ...(meant === null ? [] : [say('Did you mean '), code(`${by} ${meant}`), say('? ')]),
      say('\n'),
    );
  elements.push(bold('What I understand'));
  const lines = Object.entries(HELP).filter(([verb]) =>
    by === '@aegis' ? !verb.startsWith('raise') : !['why', 'hold'].includes(verb),
  );
  for (const [verb, words] of lines) elements.push(say('\n'), code(`${by} ${verb}`), say(`  ${words}`));
  elements.push(
    say('\nIn threads slash commands do not work: use the buttons or '),
    code('@aegis'),
    say('.'),
  );
  const lead =
    said === ''
      ? 'What I understand'
      : `I do not know "${said}".${meant === null ? '' : ` Did you mean ${by} ${meant}?`}`;
  return {
    text: topText(`${lead} Verbs: ${lines.map(([verb]) => verb).join(', ')}`),
    blocks: [richText('help', [paragraph(elements)])],
  };
}

/** Shows an answer to one person in the place where they acted. A failure is logged: there is nobody else to tell. */
export async function tell(
  tools: ListenerTools,
  user: string,
  place: Place | null,
  answer: Answer,
): Promise<void> {
  if (place === null) return;
  const thread = place.thread_ts === null ? {} : { thread_ts: place.thread_ts };
  const sent = await tools.api.call('chat.postEphemeral', {
    channel: place.channel,
    user,
    text: answer.text,
    blocks: answer.blocks,
    ...thread,
  });
  if (!sent.ok) tools.log.warn({ room: 'slack', error: sent.error }, 'a private answer could not be shown');
}
