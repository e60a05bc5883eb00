// `/aegis help | status | investigate <text> | did <INC> <text> | raise <place> | stop <INC>`. The answer goes into the acknowledgement, so that it also
// arrives in channels where Aegis is not a member. Nothing is acknowledged as done before it is durable.
import { isRefusal } from '../../contract/verdict.ts';
import type { SlackAccount } from '../../harness/intake.ts';
import { helpAnswer, refusalAnswer, sentence } from '../answers.ts';
import { commandKey } from '../dedup-keys.ts';
import { redactTexts } from '../../contract/redact-texts.ts';
import { typedText } from '../slack-text.ts';
import { statusAnswer } from '../status-blocks.ts';
import { incidentIn, parseVerb, SLASH_VERBS } from '../verbs.ts';
import { originOf } from './incident-act.ts';
import type { Answer, CommandListener, ListenerTools, SlashCall } from './listener.ts';

const TEXT_MAX = 3_000;
const DID_MAX = 500;
const SAY_WHAT_YOU_DID =
  'Say what you did, and why if you know: /aegis did rolled settlement-api back because 2.15.0 crashes';

export const slashAegis: CommandListener = {
  kind: 'command',
  command: '/aegis',
  async handle(call, tools) {
    const spoken = parseVerb(typedText(call.text), SLASH_VERBS);
    if (spoken.verb === null || spoken.verb === 'help')
      return helpAnswer(spoken.verb === null ? spoken.said : '', spoken.meant, '/aegis');
    const account = await tools.accounts.of(call.user);
    if (isRefusal(account)) return refusalAnswer(account, tools);
    if (spoken.verb === 'status') return status(account, tools);
    if (spoken.verb === 'did') return did(account, spoken.rest, call, tools);
    if (spoken.verb === 'raise') return raise(account, spoken.rest, call, tools);
    return spoken.verb === 'investigate'
      ? investigate(account, spoken.rest, call, tools)
      : stop(account, spoken.rest, call, tools);
  },
};

async function status(account: SlackAccount, tools: ListenerTools): Promise<Answer> {
  const view = await tools.inspect.status(account);
  return isRefusal(view)
    ? refusalAnswer(view, tools)
    : statusAnswer(redactTexts(view, tools.redact), tools.workspace_url());
}

async function investigate(
  account: SlackAccount,
  text: string,
  call: SlashCall,
  tools: ListenerTools,
): Promise<Answer> {
  if (text === '')
    return sentence(
      'Say what you see: /aegis investigate <what happens, since when>. For example: /aegis investigate nightly-settlement fails since 02:10',
      tools,
    );
  await tools.intake.person(
    { act: 'investigate', origin: originOf(account, call.place), text: text.slice(0, TEXT_MAX) },
    commandKey(call),
  );
  return sentence(
    'Written down. The incident opens in the channel of this service; the investigation is read-only.',
    tools,
  );
}

/** In a channel with one open incident nobody has to type its id. */
async function did(
  account: SlackAccount,
  rest: string,
  call: SlashCall,
  tools: ListenerTools,
): Promise<Answer> {
  const named = incidentIn(rest);
  const text = (named === null ? rest : rest.trim().slice(named.length)).trim();
  if (text === '') return sentence(SAY_WHAT_YOU_DID, tools);
  const view = named === null ? await tools.inspect.status(account) : null;
  if (view !== null && isRefusal(view)) return refusalAnswer(view, tools);
  const here = (view?.incidents ?? []).filter((line) => line.channel === call.place.channel);
  const incident_id = named ?? (here.length === 1 ? (here[0]?.incident_id ?? null) : null);
  if (incident_id === null)
    return sentence(
      `${here.length === 0 ? 'No incident is' : `${here.length} incidents are`} open in this channel. Name it: /aegis did INC-2026-1123-001 ${text.slice(0, 60)}`,
      tools,
    );
  await tools.intake.person(
    { act: 'did', origin: originOf(account, call.place), incident_id, text: text.slice(0, DID_MAX) },
    commandKey(call),
  );
  return sentence(`Written down for ${incident_id}.`, tools);
}

async function raise(
  account: SlackAccount,
  rest: string,
  call: SlashCall,
  tools: ListenerTools,
): Promise<Answer> {
  const place = rest.trim().slice(0, 300);
  if (place === '')
    return sentence(
      'Name the place: /aegis raise team/environment/service, as "aegis ladder" lists it.',
      tools,
    );
  await tools.intake.person({ act: 'raise', origin: originOf(account, call.place), place }, commandKey(call));
  return sentence('Written down. The answer follows in a moment.', tools);
}

async function stop(
  account: SlackAccount,
  rest: string,
  call: SlashCall,
  tools: ListenerTools,
): Promise<Answer> {
  const incident_id = incidentIn(rest);
  if (incident_id === null)
    return sentence(
      'Name the incident: /aegis stop INC-2026-1123-001. /aegis status lists what is open.',
      tools,
    );
  const reason = rest.trim().slice(incident_id.length).trim().slice(0, 500) || 'Stopped with /aegis stop';
  await tools.intake.person(
    { act: 'stop', origin: originOf(account, call.place), incident_id, reason },
    commandKey(call),
  );
  return sentence(
    `Written down: stop ${incident_id}. No new call leaves; its card says what did and did not happen.`,
    tools,
  );
}
