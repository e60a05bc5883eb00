// What a listener is: one thing that people do in Slack, with everything it may use passed in. A listener understands the
// act, writes it down through intake and acknowledges; it never decides. Reads go through inspect with the reader's rights.
import type { Block, KnownBlock, ModalView } from '@slack/types';
import type { Clock, Log } from '../../contract/ports.ts';
import type { Inspect } from '../../harness/inspect.ts';
import type { Intake } from '../../harness/intake.ts';
import type { InboxStore } from '../../store/store.ts';
import type { Accounts } from '../accounts.ts';
import type { SlackApi } from '../slack-api.ts';

export interface ListenerTools {
  readonly api: SlackApi;
  readonly accounts: Accounts;
  readonly intake: Intake;
  readonly inspect: Inspect;
  readonly inbox: Pick<InboxStore, 'rememberOnce'>;
  readonly redact: (text: string) => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly simulated: boolean;
  /** `https://acme.slack.com/` once Slack has told us. */
  readonly workspace_url: () => string | null;
}

/** Where an act happened, so that its answer goes there. */
export interface Place {
  readonly channel: string;
  readonly thread_ts: string | null;
}

/** A modal on somebody's screen. */
interface ShownView {
  readonly id: string;
  readonly hash: string;
  readonly private_metadata: string;
}

export interface Click {
  readonly workspace: string;
  readonly user: string;
  readonly action_id: string;
  readonly action_ts: string;
  readonly value: string | undefined;
  readonly trigger_id: string;
  /** Message of the button; the view's id when the button stands in a modal. */
  readonly message_ts: string;
  readonly place: Place | null;
  readonly view: ShownView | null;
}

export interface ButtonListener {
  readonly kind: 'button';
  readonly action_ids: readonly string[];
  /** Calls `ack` once what had to be durable is durable; throws when it is not. */
  handle(click: Click, tools: ListenerTools, ack: () => Promise<void>): Promise<void>;
}

export interface Submit {
  readonly workspace: string;
  readonly user: string;
  readonly view: ShownView;
  /** Values by block id, the first action of each block. */
  readonly values: Readonly<Record<string, string>>;
}

export type SubmitAnswer =
  | { readonly response_action: 'clear' }
  | { readonly response_action: 'update'; readonly view: ModalView }
  | { readonly response_action: 'errors'; readonly errors: Record<string, string> };

export interface SubmitListener {
  readonly kind: 'submit';
  readonly callback_id: string;
  handle(submit: Submit, tools: ListenerTools): Promise<SubmitAnswer>;
}

export interface SlashCall {
  readonly workspace: string;
  readonly user: string;
  readonly command: string;
  readonly text: string;
  readonly trigger_id: string;
  readonly place: Place;
}

/** What the caller alone sees. */
export interface Answer {
  readonly text: string;
  readonly blocks: (KnownBlock | Block)[];
}

export interface CommandListener {
  readonly kind: 'command';
  readonly command: string;
  handle(call: SlashCall, tools: ListenerTools): Promise<Answer>;
}

export interface Happening {
  readonly workspace: string;
  readonly event_id: string;
  readonly event: Readonly<Record<string, unknown>>;
}

export interface EventListener {
  readonly kind: 'event';
  readonly event_type: string;
  /** Calls `ack` once what had to be durable is durable; before that Slack delivers again. */
  handle(happening: Happening, tools: ListenerTools, ack: () => void): Promise<void>;
}

export interface ShortcutCall {
  readonly workspace: string;
  readonly user: string;
  readonly callback_id: string;
  readonly action_ts: string;
  readonly message_ts: string;
  readonly message_text: string;
  readonly place: Place;
}

export interface ShortcutListener {
  readonly kind: 'shortcut';
  readonly callback_id: string;
  handle(call: ShortcutCall, tools: ListenerTools, ack: () => Promise<void>): Promise<void>;
}

export type Listener = ButtonListener | SubmitListener | CommandListener | EventListener | ShortcutListener;
