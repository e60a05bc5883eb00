// `@aegis <verb>` in a channel or thread: the way to talk to Aegis where slash commands do not work. Acts become durable
// before Slack is told that the event arrived; reads answer only the person who asked.
import { isRefusal } from '../../contract/verdict.ts';
import type { SlackAccount } from '../../harness/intake.ts';
import { helpAnswer, refusalAnswer, sentence, tell } from '../answers.ts';
import { bold, paragraph, richText, say } from '../blocks.ts';
import { cut, topText } from '../block-limits.ts';
import { oneLine } from '../../contract/visible.ts';
import { eventKey } from '../dedup-keys.ts';
import { redactTexts } from '../../contract/redact-texts.ts';
import { afterMention } from '../slack-text.ts';
import { statusAnswer } from '../status-blocks.ts';
import { incidentIn, MENTION_VERBS, parseVerb, type Spoken } from '../verbs.ts';
import { verdictWords } from '../views/evidence-view.ts';
import { originOf } from './incident-act.ts';
import type { Answer, EventListener, Happening, ListenerTools, Place } from './listener.ts';

type Verb = (typeof MENTION_VERBS)[number];

/** Reads are not repeated for an event that Slack delivers again within this time. */
const READ_MEMORY_MS = 60 * 60_000;
const TEXT_MAX = 3_000;
const DID_MAX = 500;
const CLAIMS_SHOWN = 12;

export const appMention: EventListener = {
  kind: 'event',
  event_type: 'app_mention',
  async handle(happening, tools, ack) {
    const { event } = happening;
    const { user, channel, text, thread_ts } = event;
    // Other bots may mention us; talking to them would never end.
    if (typeof user !== 'string' || typeof channel !== 'string' || event['bot_id'] !== undefined)
      return ack();
    const place: Place = { channel, thread_ts: typeof thread_ts === 'string' ? thread_ts : null };
    const spoken = parseVerb(afterMention(typeof text === 'string' ? text : ''), MENTION_VERBS);
    const account = await tools.accounts.of(user);
    if (isRefusal(account)) {
      ack();
      return tell(tools, user, place, refusalAnswer(account, tools));
    }
    const answer = await actOn(spoken, account, place, happening, tools);
    if (answer !== 'read') {
      ack();
      return answer === null ? undefined : tell(tools, user, place, answer);
    }
    const fresh = await tools.inbox.rememberOnce(
      `${eventKey(happening)} read`,
      tools.clock.now() + READ_MEMORY_MS,
    );
    ack();
    if (!fresh) return undefined;
    return tell(tools, user, place, await readFor(spoken, account, place, tools));
  },
};

/** Writes an act down. Null: written, the thread will show it. An answer: nothing was written. `read`: no act at all. */
async function actOn(
  spoken: Spoken<Verb>,
  account: SlackAccount,
  place: Place,
  happening: Happening,
  tools: ListenerTools,
): Promise<Answer | null | 'read'> {
  const origin = originOf(account, place);
  const key = eventKey(happening);
  if (spoken.verb === 'investigate') {
    const incident_id = await incidentHere(place, tools);
    if (incident_id !== null) await tools.intake.person({ act: 'activate', origin, incident_id }, key);
    else if (spoken.rest === '')
      return sentence(
        'Say what you see: @aegis investigate <what happens, since when>. In the thread of an incident, @aegis investigate alone is enough.',
        tools,
      );
    else await tools.intake.person({ act: 'investigate', origin, text: spoken.rest.slice(0, TEXT_MAX) }, key);
    return null;
  }
  if (spoken.verb === 'did') {
    const named = incidentIn(spoken.rest);
    const text = (named === null ? spoken.rest : spoken.rest.trim().slice(named.length)).trim();
    const incident_id = named ?? (await incidentHere(place, tools));
    if (incident_id === null || text === '')
      return sentence(
        "Say it in the incident's thread: @aegis did <what you did> because <the cause, if you know it>",
        tools,
      );
    await tools.intake.person({ act: 'did', origin, incident_id, text: text.slice(0, DID_MAX) }, key);
    return null;
  }
  if (spoken.verb === 'hold' || spoken.verb === 'stop') {
    const incident_id = incidentIn(spoken.rest) ?? (await incidentHere(place, tools));
    if (incident_id === null)
      return sentence(
        `Name the incident: @aegis ${spoken.verb} INC-2026-1123-001, or say it in the incident's thread.`,
        tools,
      );
    const reason =
      spoken.verb === 'hold'
        ? 'Held with @aegis hold: no new call until somebody resumes'
        : 'Stopped with @aegis stop';
    await tools.intake.person({ act: 'stop', origin, incident_id, reason }, key);
    return null;
  }
  return 'read';
}

async function incidentHere(place: Place, tools: ListenerTools): Promise<string | null> {
  return place.thread_ts === null ? null : tools.inspect.incidentOfThread(place.channel, place.thread_ts);
}

async function readFor(
  spoken: Spoken<Verb>,
  account: SlackAccount,
  place: Place,
  tools: ListenerTools,
): Promise<Answer> {
  if (spoken.verb === 'status') {
    const view = await tools.inspect.status(account);
    if (isRefusal(view)) return refusalAnswer(view, tools);
    const here = await incidentHere(place, tools);
    const incidents =
      here === null ? view.incidents : view.incidents.filter((line) => line.incident_id === here);
    return statusAnswer(redactTexts({ ...view, incidents }, tools.redact), tools.workspace_url());
  }
  if (spoken.verb === 'why') return why(account, place, tools);
  return helpAnswer(spoken.verb === null ? spoken.said : '', spoken.meant, '@aegis');
}

async function why(account: SlackAccount, place: Place, tools: ListenerTools): Promise<Answer> {
  const incident_id = await incidentHere(place, tools);
  if (incident_id === null) return sentence('Ask @aegis why in the thread of an incident.', tools);
  const found = await tools.inspect.evidence(account, incident_id);
  if (isRefusal(found)) return refusalAnswer(found, tools);
  const view = redactTexts(found, tools.redact);
  if (view.items.length === 0)
    return sentence('No evidence has been captured yet, so there is no cause to explain.', tools);
  const lines = view.items
    .slice(0, CLAIMS_SHOWN)
    .map((item) => paragraph([say(`${verdictWords(item.holds.status)}: ${cut(oneLine(item.claim), 300)}`)]));
  const more = view.items.length - lines.length;
  const rest = more > 0 ? [paragraph([say(`and ${more} more behind the Evidence button`)])] : [];
  return {
    text: topText(`${incident_id}: ${view.items.length} pieces of evidence. ${view.items[0]?.claim ?? ''}`),
    blocks: [
      richText('why', [
        paragraph([bold(`What ${incident_id} rests on, checked just now`)]),
        { type: 'rich_text_list', style: 'bullet', elements: [...lines, ...rest] },
      ]),
    ],
  };
}
