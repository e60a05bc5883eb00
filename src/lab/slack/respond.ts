// Answers that the app gives outside the Web API: in the body of its ack to a command, and over a response URL.
import type { Json } from './json.ts';
import { ApiRefusal, refuse } from './method.ts';
import { checkedBlocks } from './methods/chat.ts';
import { post, type Core } from './core.ts';
import { noteEditedMentions } from './notifications.ts';
import type { ResponseTarget } from './short-lived.ts';

interface Answer {
  text: string;
  blocks: Json[];
}

function contentOf(body: Json): Answer {
  const text = typeof body['text'] === 'string' ? body['text'] : '';
  const blocks = checkedBlocks(body['blocks']);
  if (text === '' && blocks.length === 0) refuse('no_text');
  return { text, blocks };
}

function changeOriginal(core: Core, target: ResponseTarget, next: Answer | undefined): void {
  const origin = target.origin;
  if (!origin) return refuse('message_not_found');
  if (origin.is_ephemeral) {
    const shown = core.store.ephemerals.find((entry) => entry.ts === origin.ts && !entry.deleted);
    if (!shown) return refuse('message_not_found');
    if (next) Object.assign(shown, next);
    else shown.deleted = true;
    core.store.emit('ephemeral', shown);
    return undefined;
  }
  const message = core.store.get(target.channel, origin.ts);
  if (!message || message.deleted) return refuse('message_not_found');
  if (!next) {
    core.store.remove(message);
    return undefined;
  }
  const before = { text: message.text, blocks: message.blocks };
  core.store.revise(message, next, core.workspace.bot_user_id);
  noteEditedMentions(core.workspace, core.store, message, before);
  return undefined;
}

/** Shows an answer where it belongs; throws `ApiRefusal` with Slack's word when it cannot be shown. */
export function showAnswer(core: Core, target: ResponseTarget, body: Json): void {
  if (body['delete_original'] === true) return changeOriginal(core, target, undefined);
  const content = contentOf(body);
  if (body['replace_original'] === true) return changeOriginal(core, target, content);
  const wanted_thread = typeof body['thread_ts'] === 'string' ? body['thread_ts'] : target.thread_ts;
  const thread = wanted_thread ? { thread_ts: wanted_thread } : {};
  if (body['response_type'] === 'in_channel') {
    const { user_id, bot_id } = core.workspace.definition.bot;
    post(core, { channel: target.channel, user: user_id, bot_id, ...content, ...thread });
    return undefined;
  }
  core.store.addEphemeral({
    channel: target.channel,
    ts: core.store.nextTs(),
    user: target.user,
    ...content,
    ...thread,
    from: 'app',
  });
  return undefined;
}

/** One POST to a response URL. */
export function useResponseUrl(core: Core, path: string, body: Buffer): { status: number; body: string } {
  const target = core.response_urls.use(path);
  if ('error' in target) return { status: 404, body: JSON.stringify({ ok: false, error: target.error }) };
  try {
    showAnswer(core, target, JSON.parse(body.toString('utf8')) as Json);
    return { status: 200, body: 'ok' };
  } catch (error) {
    const word = error instanceof ApiRefusal ? error.message : 'invalid_payload';
    core.store.trouble(target.user, `an answer over response_url was refused: ${word}`);
    return {
      status: error instanceof ApiRefusal ? 200 : 400,
      body: JSON.stringify({ ok: false, error: word }),
    };
  }
}
