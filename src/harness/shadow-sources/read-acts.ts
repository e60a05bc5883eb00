import type { EffectInput } from '../effects/effect.ts';
import { incidentOf } from '../state.ts';
import { isOutage } from '../world-session.ts';
import type { ReadSession } from '../world-session.ts';
import type { Looked } from './source.ts';

/**
 * Reads a file of people's acts since the incident opened, through the same door as everything else.
 *
 * @param file below `/teams/<team>/<env>`
 * @param place what nobody can say anything about when it cannot be read
 * @param parse null: the text is no such file
 */
export async function readActs<T extends Looked>(
  input: EffectInput,
  read: ReadSession,
  ask: {
    readonly file: string;
    readonly more?: Readonly<Record<string, string | number>>;
    readonly why_needed: string;
    readonly place: string;
    readonly parse: (text: string) => T | null | Promise<T | null>;
  },
): Promise<T | Looked> {
  const { scope, opened_at } = incidentOf(input.context);
  const more = Object.entries(ask.more ?? {}).map(([name, value]) => `&${name}=${value}`);
  const command = `read /teams/${scope.team}/${scope.env}/${ask.file}?since=${opened_at}${more.join('')}`;
  const { why_needed } = ask;
  const response = await read.world.call({ op: 'run', command, why_needed }, input.signal);
  const blind = (why: string, outage = false): Looked => ({
    changes: [],
    unseen: [{ place: ask.place.slice(0, 300), why: why.slice(0, 300) }],
    outage,
  });
  if (!response.ok) return blind(response.refusal.reason, isOutage(response.refusal.code));
  if (response.op !== 'run') return blind('the answer is no file');
  const opened = await input.deps.store.evidence.open(response.capture.pointer.evidence_id);
  if ('problem' in opened) return blind(`what was read cannot be opened (${opened.problem})`);
  return (await ask.parse(opened.text)) ?? blind('the file has another form');
}
