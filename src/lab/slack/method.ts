// What a Web API method is made of: its arguments, its refusals, its tier and the scopes it needs.
import { str, type Json } from './json.ts';
import { sentence, type Finding } from '../block-kit/check-blocks.ts';
import type { Core } from './core.ts';
import type { Tier } from './rate-limits.ts';
import type { Channel } from './workspace.ts';

/** Ends a call with Slack's `{ok:false, error}`. */
export class ApiRefusal extends Error {
  readonly body: Json;

  constructor(error: string, extra: Json = {}) {
    super(error);
    this.name = 'ApiRefusal';
    this.body = { ok: false, error, ...extra };
  }
}

export function refuse(error: string, extra: Json = {}): never {
  throw new ApiRefusal(error, extra);
}

/** The error body that lists what is wrong where. */
export function refuseFindings(error: string, findings: readonly Finding[], with_errors: boolean): never {
  const errors = findings.map(sentence);
  refuse(error, {
    ...(with_errors ? { errors } : {}),
    response_metadata: { messages: errors.map((line) => `[ERROR] ${line}`) },
  });
}

export function refuseArgument(message: string, name: string): never {
  refuseFindings('invalid_arguments', [{ pointer: `/${name}`, message }], false);
}

/** The arguments of one call, from a form or from JSON. */
export class Args {
  readonly raw: Json;

  constructor(raw: Json) {
    this.raw = raw;
  }

  text(name: string): string | undefined {
    const value = this.raw[name];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    return refuseArgument('must be a string', name);
  }

  need(name: string): string {
    return (
      this.text(name) ??
      refuseFindings(
        'invalid_arguments',
        [{ pointer: '', message: `missing required field: ${name}` }],
        false,
      )
    );
  }

  flag(name: string): boolean {
    return ['true', '1'].includes(str(this.raw[name]));
  }

  count(name: string, fallback: number, max: number): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const count = Number(text);
    if (!Number.isInteger(count) || count < 1 || count > max) refuse('invalid_limit');
    return count;
  }

  /** A structure: an object in a JSON body, a JSON string in a form. `error` is Slack's word when it is not JSON. */
  structure(name: string, error: string): unknown {
    const value = this.raw[name];
    if (value === undefined || value === '') return undefined;
    if (typeof value !== 'string') return value;
    try {
      return JSON.parse(value) as unknown;
    } catch {
      return refuse(error);
    }
  }

  /** Stops on an argument that this twin does not play: an error is better than a silent difference. */
  unsupported(...names: string[]): void {
    for (const name of names) {
      if (this.raw[name] !== undefined) refuse('twin_unsupported_argument', { argument: name });
    }
  }
}

export interface Method {
  tier: Tier;
  /** A fixed scope; `read` or `history` (then the kind of conversation decides); or none. */
  scope?: string;
  run: (core: Core, args: Args) => Json;
}

const KIND_OF: Readonly<Record<string, 'channels' | 'groups' | 'im'>> = {
  C: 'channels',
  G: 'groups',
  D: 'im',
};

export function scopeFor(core: Core, scope: string | undefined, args: Args): string | undefined {
  if (scope !== 'read' && scope !== 'history') return scope;
  const id = str(args.raw['channel']);
  const channel = core.workspace.channels.get(id);
  const kind = channel?.private ? 'groups' : (KIND_OF[id[0] ?? ''] ?? 'channels');
  return `${kind}:${scope}`;
}

/** The conversation that the bot may see under this id; otherwise Slack says it does not exist. */
export function visibleChannel(core: Core, id: string): Channel {
  const channel = core.workspace.channels.get(id);
  if (!channel) return refuse('channel_not_found');
  const member = channel.members.includes(core.workspace.bot_user_id);
  if ((channel.private || channel.im_user) && !member) return refuse('channel_not_found');
  return channel;
}

/** The same, and the bot is in it. */
export function joinedChannel(core: Core, id: string): Channel {
  const channel = visibleChannel(core, id);
  if (!channel.members.includes(core.workspace.bot_user_id)) return refuse('not_in_channel');
  return channel;
}

/** One page of a list, with Slack's base64 cursor. */
export function page<T>(
  items: readonly T[],
  args: Args,
  fallback: number,
): { items: T[]; next_cursor: string } {
  const limit = args.count('limit', fallback, 1000);
  const cursor = args.text('cursor');
  const start = cursor === undefined ? 0 : Number(/^next:(\d+)$/.exec(decode(cursor))?.[1] ?? Number.NaN);
  if (Number.isNaN(start)) return refuse('invalid_cursor');
  const end = start + limit;
  const next_cursor = end < items.length ? Buffer.from(`next:${end}`).toString('base64') : '';
  return { items: items.slice(start, end), next_cursor };
}

function decode(cursor: string): string {
  return Buffer.from(cursor, 'base64').toString('utf8');
}
