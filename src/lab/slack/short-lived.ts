// The two things that Slack hands out and takes back: trigger ids (3 s, one use) and response URLs (30 min, 5 uses).
import { randomBytes } from 'node:crypto';

const TRIGGER_TTL_MS = 3_000;
const RESPONSE_URL_TTL_MS = 30 * 60_000;
const RESPONSE_URL_USES_MAX = 5;

interface Trigger {
  user: string;
  issued_ms: number;
  used: boolean;
  /** The modal in which it was born, for `views.push`. */
  view_id: string | undefined;
}

export type TriggerFault = 'invalid_trigger_id' | 'expired_trigger_id' | 'exchanged_trigger_id';

export class Triggers {
  private readonly issued = new Map<string, Trigger>();
  private readonly clock: () => number;

  constructor(clock: () => number) {
    this.clock = clock;
  }

  issue(user: string, view_id?: string): string {
    const id = `${this.clock()}.${randomBytes(5).toString('hex')}.${randomBytes(16).toString('hex')}`;
    this.issued.set(id, { user, issued_ms: this.clock(), used: false, view_id });
    return id;
  }

  /** Spends a trigger: answers who pressed, or why it is no good. */
  exchange(id: string): { user: string; view_id: string | undefined } | TriggerFault {
    const trigger = this.issued.get(id);
    if (!trigger) return 'invalid_trigger_id';
    if (trigger.used) return 'exchanged_trigger_id';
    if (this.clock() - trigger.issued_ms > TRIGGER_TTL_MS) return 'expired_trigger_id';
    trigger.used = true;
    return { user: trigger.user, view_id: trigger.view_id };
  }
}

/** Where an answer over a response URL lands. */
export interface ResponseTarget {
  channel: string;
  user: string;
  thread_ts?: string;
  /** The message whose button was pressed, for `replace_original`. */
  origin?: { ts: string; is_ephemeral: boolean };
}

interface ResponseUrl {
  target: ResponseTarget;
  issued_ms: number;
  uses: number;
}

export class ResponseUrls {
  private readonly issued = new Map<string, ResponseUrl>();
  private readonly clock: () => number;
  private readonly base: () => string;

  constructor(clock: () => number, base: () => string) {
    this.clock = clock;
    this.base = base;
  }

  issue(kind: 'actions' | 'commands', team: string, target: ResponseTarget): string {
    const path = `/${kind}/${team}/${this.clock()}/${randomBytes(12).toString('hex')}`;
    this.issued.set(path, { target, issued_ms: this.clock(), uses: 0 });
    return `${this.base()}${path}`;
  }

  /** Counts one use: answers the target, or Slack's error word. */
  use(path: string): ResponseTarget | { error: 'expired_url' | 'used_url' | 'invalid_url' } {
    const url = this.issued.get(path);
    if (!url) return { error: 'invalid_url' };
    if (this.clock() - url.issued_ms > RESPONSE_URL_TTL_MS) return { error: 'expired_url' };
    if (url.uses >= RESPONSE_URL_USES_MAX) return { error: 'used_url' };
    url.uses += 1;
    return url.target;
  }
}

export function isResponsePath(path: string): boolean {
  return path.startsWith('/actions/') || path.startsWith('/commands/');
}

/** An id like Slack's: a letter and ten capitals or digits. */
export function slackId(letter: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
  const body = [...randomBytes(10)].map((byte) => alphabet[byte % alphabet.length]).join('');
  return `${letter}${body}`;
}
