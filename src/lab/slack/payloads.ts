// The bodies of what Slack sends: events, commands and interactions, field by field as documented.
import type { Json } from './json.ts';
import { messageRecord, type Core } from './core.ts';
import { slackId, type ResponseTarget } from './short-lived.ts';
import type { StoredEphemeral, StoredMessage, StoredView } from './store.ts';
import type { Channel, UserDefinition } from './workspace.ts';

export function eventEnvelope(core: Core, event: Json, by?: UserDefinition): Json {
  const { workspace } = core;
  return {
    token: core.verification_token,
    team_id: workspace.team_id,
    context_team_id: by ? workspace.teamOf(by) : workspace.team_id,
    context_enterprise_id: null,
    api_app_id: workspace.definition.app_id,
    event,
    type: 'event_callback',
    event_id: slackId('Ev'),
    event_time: Math.floor(core.clock() / 1000),
    authorizations: [
      {
        enterprise_id: null,
        team_id: workspace.team_id,
        user_id: workspace.bot_user_id,
        is_bot: true,
        is_enterprise_install: false,
      },
    ],
    is_ext_shared_channel: by?.role === 'foreign',
    event_context: `4-${slackId('E')}`,
  };
}

/** The event for a message that a person (or another bot) wrote. */
export function messageEvent(core: Core, message: StoredMessage, type: 'message' | 'app_mention'): Json {
  const channel = core.workspace.channels.get(message.channel)!;
  const channel_type = channel.im_user ? 'im' : channel.private ? 'group' : 'channel';
  return {
    user: message.user,
    type,
    ts: message.ts,
    text: message.text,
    team: core.workspace.teamOf(core.workspace.users.get(message.user)!),
    ...(message.bot_id ? { bot_id: message.bot_id } : { client_msg_id: slackId('m') }),
    ...(message.blocks.length > 0 ? { blocks: message.blocks } : {}),
    ...(message.thread_ts ? { thread_ts: message.thread_ts } : {}),
    channel: message.channel,
    event_ts: message.ts,
    ...(type === 'message' ? { channel_type } : {}),
  };
}

export interface CommandInput {
  command: string;
  text: string;
  user: UserDefinition;
  channel: Channel;
}

export function commandPayload(core: Core, input: CommandInput): Json {
  const { workspace } = core;
  const target: ResponseTarget = { channel: input.channel.id, user: input.user.id };
  return {
    token: core.verification_token,
    team_id: workspace.teamOf(input.user),
    team_domain: workspace.definition.team.domain,
    channel_id: input.channel.id,
    channel_name: input.channel.name,
    user_id: input.user.id,
    user_name: input.user.name,
    command: input.command,
    text: input.text,
    api_app_id: workspace.definition.app_id,
    is_enterprise_install: 'false',
    response_url: core.response_urls.issue('commands', workspace.team_id, target),
    trigger_id: core.triggers.issue(input.user.id),
  };
}

function interactionBase(core: Core, type: string, user: UserDefinition, view_id?: string): Json {
  const { workspace } = core;
  return {
    type,
    user: {
      id: user.id,
      username: user.name,
      name: user.name,
      team_id: workspace.teamOf(user),
    },
    api_app_id: workspace.definition.app_id,
    token: core.verification_token,
    trigger_id: core.triggers.issue(user.id, view_id),
    team: { id: workspace.team_id, domain: workspace.definition.team.domain },
    enterprise: null,
    is_enterprise_install: false,
  };
}

export type ClickPlace =
  | { kind: 'message'; message: StoredMessage; revision_blocks: Json[] }
  | { kind: 'ephemeral'; ephemeral: StoredEphemeral }
  | { kind: 'view'; view: StoredView };

export function blockActionsPayload(core: Core, user: UserDefinition, place: ClickPlace, action: Json): Json {
  const { workspace } = core;
  if (place.kind === 'view') {
    return {
      ...interactionBase(core, 'block_actions', user, place.view.id),
      container: { type: 'view', view_id: place.view.id },
      view: place.view,
      actions: [action],
    };
  }
  const source = place.kind === 'message' ? place.message : place.ephemeral;
  const is_ephemeral = place.kind === 'ephemeral';
  const target: ResponseTarget = {
    channel: source.channel,
    user: user.id,
    ...(source.thread_ts ? { thread_ts: source.thread_ts } : {}),
    origin: { ts: source.ts, is_ephemeral },
  };
  const channel = workspace.channels.get(source.channel)!;
  return {
    ...interactionBase(core, 'block_actions', user),
    container: {
      type: 'message',
      message_ts: source.ts,
      channel_id: source.channel,
      is_ephemeral,
      ...(source.thread_ts ? { thread_ts: source.thread_ts } : {}),
    },
    channel: { id: channel.id, name: channel.name },
    ...(place.kind === 'message'
      ? { message: { ...messageRecord(core, place.message), blocks: place.revision_blocks } }
      : {}),
    state: { values: {} },
    response_url: core.response_urls.issue('actions', workspace.team_id, target),
    actions: [action],
  };
}

export function viewPayload(
  core: Core,
  type: 'view_submission' | 'view_closed',
  user: UserDefinition,
  view: StoredView,
): Json {
  const base = interactionBase(core, type, user, view.id);
  if (type === 'view_submission') return { ...base, view, response_urls: [] };
  delete base['trigger_id'];
  return { ...base, view, is_cleared: false };
}

export function messageActionPayload(
  core: Core,
  user: UserDefinition,
  message: StoredMessage,
  callback_id: string,
): Json {
  const channel = core.workspace.channels.get(message.channel)!;
  const target: ResponseTarget = {
    channel: channel.id,
    user: user.id,
    origin: { ts: message.ts, is_ephemeral: false },
  };
  return {
    ...interactionBase(core, 'message_action', user),
    callback_id,
    action_ts: core.store.nextTs(),
    message_ts: message.ts,
    channel: { id: channel.id, name: channel.name },
    message: messageRecord(core, message),
    response_url: core.response_urls.issue('actions', core.workspace.team_id, target),
  };
}
