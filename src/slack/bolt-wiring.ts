// Hangs the listeners of the registry into Bolt: turns its payloads into our acts, acknowledges through it, and answers
// whatever nobody listens to. A listener that fails before it acknowledged leaves the act unacknowledged, and says so.
import type { App, BlockAction, BlockElementAction, SlackShortcut, ViewSubmitAction } from '@slack/bolt';
import { isRefusal, refuse } from '../contract/verdict.ts';
import { helpAnswer, refusalAnswer, sentence, tell } from './answers.ts';
import type { ReceiverContext } from './bolt-receiver.ts';
import type {
  ButtonListener,
  Click,
  CommandListener,
  EventListener,
  Listener,
  ListenerTools,
  Place,
  ShortcutCall,
  ShortcutListener,
  Submit,
  SubmitListener,
} from './listeners/listener.ts';
import { clickKey } from './dedup-keys.ts';
import { originOf } from './listeners/incident-act.ts';
import { placeOrNone } from './listeners/open-modal.ts';
import { wordsView } from './views/modal.ts';

const NOT_WRITTEN =
  'I could not write that down, so nothing happened. Press again; if it stays like this, use the aegis command line.';

const UNKNOWN_BUTTON = refuse(
  'unknown-button',
  'This button is from another version of Aegis and does nothing.',
  'Use the newest card in the thread, or @aegis help.',
);

interface Registry {
  readonly buttons: ReadonlyMap<string, ButtonListener>;
  readonly submits: ReadonlyMap<string, SubmitListener>;
  readonly commands: ReadonlyMap<string, CommandListener>;
  readonly shortcuts: ReadonlyMap<string, ShortcutListener>;
  readonly events: readonly EventListener[];
}

function registryOf(listeners: readonly Listener[]): Registry {
  const of = <K extends Listener['kind']>(kind: K): Extract<Listener, { kind: K }>[] =>
    listeners.filter((listener): listener is Extract<Listener, { kind: K }> => listener.kind === kind);
  return {
    buttons: new Map(
      of('button').flatMap((listener) =>
        listener.action_ids.map((id): [string, ButtonListener] => [id, listener]),
      ),
    ),
    submits: new Map(of('submit').map((listener) => [listener.callback_id, listener])),
    commands: new Map(of('command').map((listener) => [listener.command, listener])),
    shortcuts: new Map(of('shortcut').map((listener) => [listener.callback_id, listener])),
    events: of('event'),
  };
}

const ANY = /^[\s\S]*$/;

export function wireListeners(app: App, listeners: readonly Listener[], tools: ListenerTools): void {
  const registry = registryOf(listeners);
  app.action(ANY, async ({ body, action, ack }) => {
    if (body.type === 'block_actions')
      await runClick(clickOf(body, action as BlockElementAction), registry, tools, () => ack());
    else await ack();
  });
  app.view(ANY, async ({ body, ack }) => {
    await ack(await runSubmit(submitOf(body as ViewSubmitAction), registry, tools));
  });
  app.command(ANY, async ({ command, ack }) => {
    const { team_id: workspace, user_id: user, channel_id: channel, text, trigger_id } = command;
    const listener = registry.commands.get(command.command);
    const call = {
      workspace,
      user,
      command: command.command,
      text,
      trigger_id,
      place: { channel, thread_ts: null },
    };
    const answer =
      listener === undefined
        ? helpAnswer(command.command, '/aegis', '/aegis')
        : await settled(listener.handle(call, tools), tools, 'command');
    await ack({ response_type: 'ephemeral', ...(answer ?? sentence(NOT_WRITTEN, tools)) });
  });
  app.shortcut(ANY, async ({ shortcut, ack }) => {
    const call = shortcutOf(shortcut);
    const listener = call === null ? undefined : registry.shortcuts.get(call.callback_id);
    if (call === null || listener === undefined) return ack();
    return guarded(
      listener.handle(call, tools, () => ack()),
      tools,
      call.user,
      call.place,
    );
  });
  for (const listener of registry.events) {
    app.event(listener.event_type, async ({ event, body, context }) => {
      const { eventIsDurable } = context as unknown as ReceiverContext;
      const happening = {
        workspace: body.team_id,
        event_id: body.event_id,
        event: event as unknown as Record<string, unknown>,
      };
      await listener.handle(happening, tools, eventIsDurable);
    });
  }
}

async function runClick(
  click: Click,
  registry: Registry,
  tools: ListenerTools,
  ack: () => Promise<void>,
): Promise<void> {
  const listener = registry.buttons.get(click.action_id);
  if (listener !== undefined)
    return guarded(listener.handle(click, tools, ack), tools, click.user, click.place);
  await ack();
  // Inputs inside a modal report themselves too; only an unknown button in a message deserves words.
  if (click.view !== null) return undefined;
  const account = await tools.accounts.of(click.user);
  if (!isRefusal(account)) {
    const origin = originOf(account, placeOrNone(click));
    const about = `button ${click.action_id}`.slice(0, 100);
    await tools.intake.refused(
      { origin, approval_id: null, about, refusal: UNKNOWN_BUTTON, tell: false },
      clickKey(click),
    );
  }
  return tell(tools, click.user, click.place, refusalAnswer(UNKNOWN_BUTTON, tools));
}

async function runSubmit(
  submit: Submit & { callback_id: string },
  registry: Registry,
  tools: ListenerTools,
): Promise<Awaited<ReturnType<SubmitListener['handle']>>> {
  const listener = registry.submits.get(submit.callback_id);
  const answer =
    listener === undefined ? null : await settled(listener.handle(submit, tools), tools, submit.callback_id);
  return (
    answer ?? { response_action: 'update', view: wordsView('Not recorded', NOT_WRITTEN, tools.simulated) }
  );
}

/** The result, or null after the fault was logged. */
async function settled<T>(work: Promise<T>, tools: ListenerTools, what: string): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    tools.log.error({ room: 'slack', what, error: String(error) }, 'an act could not be written down');
    return null;
  }
}

/** Tells the person, then lets the fault through: without an acknowledgement Slack shows an error at the button. */
async function guarded(
  work: Promise<void>,
  tools: ListenerTools,
  user: string,
  place: Place | null,
): Promise<void> {
  try {
    await work;
  } catch (error) {
    void tell(tools, user, place, sentence(NOT_WRITTEN, tools)).catch(() => undefined);
    throw error;
  }
}

function clickOf(body: BlockAction, action: BlockElementAction): Click {
  const { container, view } = body;
  const message_ts = typeof container['message_ts'] === 'string' ? container['message_ts'] : body.message?.ts;
  const channel =
    body.channel?.id ?? (typeof container['channel_id'] === 'string' ? container['channel_id'] : undefined);
  const thread_ts = typeof container['thread_ts'] === 'string' ? container['thread_ts'] : message_ts;
  // Some surfaces send no ephemeral thread; the message itself is then the thread's root.
  const place =
    channel === undefined
      ? null
      : {
          channel,
          thread_ts:
            container['is_ephemeral'] === true && typeof container['thread_ts'] !== 'string'
              ? null
              : (thread_ts ?? null),
        };
  return {
    workspace: body.team?.id ?? '',
    user: body.user.id,
    action_id: action.action_id,
    action_ts: action.action_ts,
    value: 'value' in action && typeof action.value === 'string' ? action.value : undefined,
    trigger_id: body.trigger_id,
    message_ts: message_ts ?? view?.id ?? '',
    place: place ?? placeOfMeta(view?.private_metadata),
    view:
      view === undefined ? null : { id: view.id, hash: view.hash, private_metadata: view.private_metadata },
  };
}

/** A modal stands in no channel; ours remember where they were opened. */
function placeOfMeta(metadata: string | undefined): Place | null {
  try {
    const meta = JSON.parse(metadata ?? '') as { channel?: unknown; thread_ts?: unknown };
    if (typeof meta.channel !== 'string' || meta.channel === '') return null;
    return { channel: meta.channel, thread_ts: typeof meta.thread_ts === 'string' ? meta.thread_ts : null };
  } catch {
    return null;
  }
}

function submitOf(body: ViewSubmitAction): Submit & { callback_id: string } {
  const { view } = body;
  const values: Record<string, string> = {};
  for (const [block_id, actions] of Object.entries(view.state.values)) {
    const state = Object.values(actions)[0];
    const value = state?.value ?? state?.selected_option?.value;
    if (typeof value === 'string') values[block_id] = value;
  }
  return {
    callback_id: view.callback_id,
    workspace: body.team?.id ?? '',
    user: body.user.id,
    view: { id: view.id, hash: view.hash, private_metadata: view.private_metadata },
    values,
  };
}

function shortcutOf(shortcut: SlackShortcut): ShortcutCall | null {
  if (shortcut.type !== 'message_action') return null;
  const { team, user, callback_id, action_ts, message_ts, message, channel } = shortcut;
  const thread_ts = typeof message['thread_ts'] === 'string' ? message['thread_ts'] : null;
  return {
    workspace: team?.id ?? '',
    user: user.id,
    callback_id,
    action_ts,
    message_ts,
    message_text: message.text ?? '',
    place: { channel: channel.id, thread_ts },
  };
}
