// A person at a keyboard. An actor can only do what Slack would let that person do: press what is really there in the real
// stored message, write where they are a member. Where something is missing it fails loudly, because a test that
// presses nothing proves nothing.
import { str, type Json } from './json.ts';
import { piecesOf, escapeText } from './mrkdwn.ts';
import { ApiRefusal } from './method.ts';
import { post, type Core } from './core.ts';
import type { Attempt } from './deliveries.ts';
import { actionOf, interactiveElements, type Choice, type Found } from './interactive.ts';
import { closeView, submitView, type FormValues, type SubmitResult } from './on-views.ts';
import {
  blockActionsPayload,
  commandPayload,
  eventEnvelope,
  messageActionPayload,
  messageEvent,
  type ClickPlace,
} from './payloads.ts';
import { showAnswer } from './respond.ts';
import type { OpenView, StoredEphemeral, StoredMessage } from './store.ts';
import type { Channel, UserDefinition } from './workspace.ts';

export interface Click {
  /** With `ts`: a message or an ephemeral. */
  channel?: string;
  ts?: string;
  /** Or a modal or Home view. */
  view_id?: string;
  action_id: string;
  block_id?: string;
  /** Which of several with the same action_id: its exact value, or a test on it. */
  value?: string | ((value: string) => boolean);
  /** What to pick in a menu or to type. */
  choice?: Choice;
  /** Answer to the confirm dialog when there is one. Default yes. */
  confirm?: boolean;
  /** Press on an older revision (0 = first): what a person with a stale screen does. */
  revision?: number;
}

export interface ClickResult {
  /** False when the person said no in the confirm dialog. */
  sent: boolean;
  confirm?: Json;
  opened_url?: string;
  attempt?: Attempt;
}

export interface Said {
  message: StoredMessage;
  /** First delivery attempt of each event that went out. */
  attempts: Attempt[];
}

export class ActorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ActorError';
  }
}

export class Actor {
  readonly user: UserDefinition;
  private readonly core: Core;

  constructor(core: Core, user: UserDefinition) {
    this.core = core;
    this.user = user;
  }

  /** Writes `@<bot> text`. */
  mention(channel: string, text: string, thread_ts?: string): Promise<Said> {
    return this.say(channel, `@${this.core.workspace.definition.bot.name} ${text}`, thread_ts);
  }

  /** Writes into a channel, thread or direct message; `@name` and `#channel` become mentions. */
  async say(channel_name: string, text: string, thread_ts?: string): Promise<Said> {
    const channel = this.memberOf(channel_name);
    if (channel.archived) throw new ActorError(`#${channel.name} is archived: nobody can write there`);
    const { workspace } = this.core;
    const message = post(this.core, {
      channel: channel.id,
      user: this.user.id,
      text: this.resolve(text, false),
      blocks: [],
      ...(this.user.role === 'bot' ? { bot_id: `B${this.user.id.slice(1)}` } : {}),
      ...(thread_ts ? { thread_ts: this.rootOf(channel, thread_ts) } : {}),
    });
    const mentioned = piecesOf(message.text).some(
      (piece) => piece.kind === 'user' && piece.id === workspace.bot_user_id,
    );
    if (!channel.members.includes(workspace.bot_user_id)) {
      if (mentioned) {
        this.slackbot(
          channel.id,
          `You mentioned <@${workspace.bot_user_id}>, but they’re not in this channel.`,
        );
      }
      return { message, attempts: [] };
    }
    const kind = channel.im_user ? 'message.im' : channel.private ? 'message.groups' : 'message.channels';
    const types: ('app_mention' | 'message')[] = [];
    if (mentioned && !channel.im_user && this.core.bot_events.includes('app_mention'))
      types.push('app_mention');
    if (this.core.bot_events.includes(kind)) types.push('message');
    const attempts = await Promise.all(
      types.map((type) => this.event(messageEvent(this.core, message, type))),
    );
    return { message, attempts };
  }

  /** Types a slash command, e.g. `/aegis status`. Slack has no commands inside threads. */
  async command(line: string, channel_name: string): Promise<Attempt | undefined> {
    const channel = this.memberOf(channel_name);
    const [command = '', ...words] = line.trim().split(' ');
    if (!this.core.commands.includes(command)) {
      this.slackbot(channel.id, `\`${escapeText(command)}\` is not a valid command.`);
      return undefined;
    }
    const text = this.resolve(words.join(' '), true);
    const payload = commandPayload(this.core, { command, text, user: this.user, channel });
    const attempt = await this.core.deliveries.send('command', payload);
    this.showCommandAnswer(command, channel, attempt);
    return attempt;
  }

  /** Presses a button, picks in a menu, changes an input. */
  async click(click: Click): Promise<ClickResult> {
    this.mustBeUp();
    const { place, blocks } = this.placeOf(click);
    const found = this.find(blocks, click);
    const confirm = found.element['confirm'] as Json | undefined;
    if (confirm && click.confirm === false) return { sent: false, confirm };
    const action = actionOf(found, click.choice, this.core.store.nextTs());
    const payload = blockActionsPayload(this.core, this.user, place, action);
    const attempt = await this.core.deliveries.send('interaction', payload);
    if (attempt.status !== 200) {
      const why = attempt.problem ?? `HTTP ${attempt.status}`;
      this.core.store.trouble(this.user.id, `The button did not answer (${click.action_id}: ${why})`);
    }
    const opened_url = found.element['url'];
    return {
      sent: true,
      attempt,
      ...(confirm ? { confirm } : {}),
      ...(typeof opened_url === 'string' ? { opened_url } : {}),
    };
  }

  /** Uses a message shortcut ("More actions"). */
  async messageAction(channel_name: string, ts: string, callback_id: string): Promise<Attempt> {
    const channel = this.memberOf(channel_name);
    const message = this.core.store.get(channel.id, ts);
    if (!message || message.deleted) throw new ActorError(`there is no message ${ts} in #${channel.name}`);
    const payload = messageActionPayload(this.core, this.user, message, callback_id);
    return this.core.deliveries.send('interaction', payload);
  }

  /** Opens the app's Home tab (or its messages tab). */
  async openHome(tab: 'home' | 'messages' = 'home'): Promise<Attempt> {
    this.mustBeUp();
    const home = this.core.store.homeOf(this.user.id);
    return this.event({
      type: 'app_home_opened',
      user: this.user.id,
      channel: this.core.workspace.directMessage(this.user.id).id,
      tab,
      ...(home && tab === 'home' ? { view: home.view } : {}),
      event_ts: this.core.store.nextTs(),
    });
  }

  /** Open modals, the bottom one first. */
  views(): OpenView[] {
    return this.core.store.stackOf(this.user.id);
  }

  home(): OpenView | undefined {
    return this.core.store.homeOf(this.user.id);
  }

  /** Fills in and submits a modal, by default the one on top. */
  async submit(values: FormValues = {}, view_id?: string): Promise<SubmitResult> {
    this.mustBeUp();
    return submitView(this.core, this.user, this.modal(view_id), values);
  }

  async closeView(view_id?: string): Promise<Attempt | undefined> {
    this.mustBeUp();
    return closeView(this.core, this.user, this.modal(view_id));
  }

  ephemerals(): StoredEphemeral[] {
    return this.core.store.ephemerals.filter((entry) => entry.user === this.user.id && !entry.deleted);
  }

  latestEphemeral(): StoredEphemeral | undefined {
    return this.ephemerals().at(-1);
  }

  private event(event: Json): Promise<Attempt> {
    return this.core.deliveries.send('event', eventEnvelope(this.core, event, this.user));
  }

  private mustBeUp(): void {
    if (!this.core.up()) throw new ActorError('Slack is down: nobody can do anything in it');
  }

  private memberOf(name: string): Channel {
    this.mustBeUp();
    const channel = this.core.workspace.findChannel(name);
    if (!channel) throw new ActorError(`there is no channel "${name}"`);
    if (!channel.members.includes(this.user.id)) {
      throw new ActorError(`${this.user.name} is not a member of #${channel.name}`);
    }
    return channel;
  }

  private rootOf(channel: Channel, ts: string): string {
    const message = this.core.store.get(channel.id, ts);
    if (!message) throw new ActorError(`there is no thread ${ts} in #${channel.name}`);
    return message.thread_ts ?? message.ts;
  }

  /** What Slack makes of typed text: entities escaped, names turned into ids (with the name, in commands). */
  private resolve(text: string, with_name: boolean): string {
    const { workspace } = this.core;
    return escapeText(text).replace(
      /(^|\s)([@#])([\w.-]*\w)/g,
      (whole, before: string, sign: string, name: string) => {
        if (sign === '#') {
          const channel = workspace.findChannel(name);
          return channel ? `${before}<#${channel.id}|${channel.name}>` : whole;
        }
        const user = workspace.findUser(name);
        if (user) return `${before}<@${user.id}${with_name ? `|${user.name}` : ''}>`;
        const group = [...workspace.usergroups.values()].find((candidate) => candidate.handle === name);
        if (group) return `${before}<!subteam^${group.id}${with_name ? `|@${group.handle}` : ''}>`;
        return ['here', 'channel', 'everyone'].includes(name) ? `${before}<!${name}>` : whole;
      },
    );
  }

  private slackbot(channel: string, text: string): void {
    const ts = this.core.store.nextTs();
    this.core.store.addEphemeral({ channel, ts, user: this.user.id, text, blocks: [], from: 'slackbot' });
  }

  private showCommandAnswer(command: string, channel: Channel, attempt: Attempt): void {
    if (attempt.status !== 200) {
      const timeout = attempt.problem === 'http_timeout';
      const word = timeout ? 'operation_timeout' : 'dispatch_failed';
      this.core.store.trouble(this.user.id, `${command} failed with the error "${word}"`);
      this.slackbot(channel.id, `${command} failed with the error "${word}"`);
      return;
    }
    if (attempt.body === '') return;
    const is_json = str(attempt.headers['content-type']).startsWith('application/json');
    const body: Json = is_json ? (JSON.parse(attempt.body) as Json) : { text: attempt.body };
    try {
      showAnswer(this.core, { channel: channel.id, user: this.user.id }, body);
    } catch (error) {
      if (!(error instanceof ApiRefusal)) throw error;
      this.core.store.trouble(this.user.id, `${command}: Slack refused the answer (${error.message})`);
    }
  }

  private placeOf(click: Click): { place: ClickPlace; blocks: Json[] } {
    if (click.view_id !== undefined) {
      const entry = this.core.store.views.get(click.view_id);
      if (!entry?.open || entry.user !== this.user.id) {
        throw new ActorError(`${this.user.name} has no open view ${click.view_id}`);
      }
      return { place: { kind: 'view', view: entry.view }, blocks: entry.view.blocks };
    }
    const channel = this.memberOf(click.channel ?? '');
    const ephemeral = this.ephemerals().find(
      (entry) => entry.ts === click.ts && entry.channel === channel.id,
    );
    if (ephemeral) return { place: { kind: 'ephemeral', ephemeral }, blocks: ephemeral.blocks };
    const message = this.core.store.get(channel.id, click.ts ?? '');
    if (!message || (message.deleted && click.revision === undefined)) {
      throw new ActorError(
        `there is no message ${click.ts} in #${channel.name} that ${this.user.name} can see`,
      );
    }
    const blocks = click.revision === undefined ? message.blocks : message.revisions[click.revision]?.blocks;
    if (!blocks) throw new ActorError(`message ${click.ts} has no revision ${click.revision}`);
    return { place: { kind: 'message', message, revision_blocks: blocks }, blocks };
  }

  private find(blocks: readonly Json[], click: Click): Found {
    const all = interactiveElements(blocks);
    const { value } = click;
    const matching = all.filter(({ block, element }) => {
      if (element['action_id'] !== click.action_id) return false;
      if (click.block_id !== undefined && block['block_id'] !== click.block_id) return false;
      if (value === undefined) return true;
      const own = str(element['value']);
      return typeof value === 'string' ? own === value : value(own);
    });
    if (matching.length === 1) return matching[0]!;
    const there = all.map(({ element }) => str(element['action_id'])).join(', ') || 'nothing';
    const how = matching.length === 0 ? 'no' : `${matching.length} times`;
    throw new ActorError(`found ${how} "${click.action_id}" to press; there is: ${there}`);
  }

  private modal(view_id: string | undefined): OpenView {
    const stack = this.views();
    const entry = view_id === undefined ? stack.at(-1) : stack.find((each) => each.view.id === view_id);
    if (!entry) throw new ActorError(`${this.user.name} has no open modal${view_id ? ` ${view_id}` : ''}`);
    return entry;
  }
}
