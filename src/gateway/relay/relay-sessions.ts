import { refuse, isRefusal, type Refusal } from '../../contract/verdict.ts';
import type { Visitor } from '../endpoint/visitor.ts';
import type { GatewayCore } from '../pipeline/core.ts';
import { RelaySession } from './relay-session.ts';

/** The sessions that are open: bounded in number, in idle time and in life, and known to their own token only. */
export interface RelayLimits {
  readonly sessions_max: number;
  /** Each of them may be a process. */
  readonly sessions_per_server_max: number;
  /** A token's longest idle session makes room for its next one. */
  readonly sessions_per_token_max: number;
  readonly idle_ms_max: number;
  readonly life_ms_max: number;
}

export const RELAY_LIMITS: RelayLimits = {
  sessions_max: 128,
  sessions_per_server_max: 32,
  sessions_per_token_max: 8,
  idle_ms_max: 600_000,
  life_ms_max: 3_600_000,
};

const SWEEP_EVERY_MS = 30_000;
const ID_BYTES = 24;

const CLOSING = refuse('gateway-closing', 'Aegis is stopping.', 'Connect again when it is back.');

interface Place {
  readonly server: string;
  readonly token_id: string;
}

interface Entry {
  readonly session: RelaySession;
  readonly opened_ms: number;
  used_ms: number;
}

export class RelaySessions {
  readonly #core: GatewayCore;
  readonly #limits: RelayLimits;
  readonly #entries = new Map<string, Entry>();
  /** Places that are taken by sessions whose server is still being reached. */
  readonly #opening = new Set<Place>();
  #sweeper: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(core: GatewayCore, limits: RelayLimits) {
    this.#core = core;
    this.#limits = limits;
  }

  /** Null for a session that is missing, over, another server's or another token's: nobody can tell which. */
  async find(id: string, server: string, { grant }: Visitor): Promise<RelaySession | null> {
    await this.#sweep();
    const entry = this.#entries.get(id);
    if (entry === undefined) return null;
    if (entry.session.server !== server || entry.session.token_id !== grant.token_id) return null;
    entry.used_ms = this.#core.clock.now();
    return entry.session;
  }

  /** @param hello `params` of the client's `initialize`. */
  async open(server: string, visitor: Visitor, hello: unknown): Promise<RelaySession | Refusal> {
    await this.#sweep();
    if (this.#closed) return CLOSING;
    const { token_id } = visitor.grant;
    const place: Place = { server, token_id };
    const full = this.#makeRoom(place);
    if (full !== null) return full;
    this.#opening.add(place);
    const id = this.#core.ids.secret(ID_BYTES);
    try {
      const onend = (): void => void this.#entries.delete(id);
      const session = new RelaySession(this.#core, { id, server, visitor, hello, onend });
      const refused = await session.open();
      if (isRefusal(refused)) return refused;
      if (this.#closed) {
        await session.close();
        return CLOSING;
      }
      const now = this.#core.clock.now();
      this.#entries.set(id, { session, opened_ms: now, used_ms: now });
      this.#sweeper ??= setInterval(() => void this.#sweep(), SWEEP_EVERY_MS).unref();
      return session;
    } finally {
      this.#opening.delete(place);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#sweeper !== null) clearInterval(this.#sweeper);
    this.#sweeper = null;
    await Promise.all([...this.#entries.values()].map(({ session }) => session.close()));
  }

  #makeRoom({ server, token_id }: Place): Refusal | null {
    const { sessions_max, sessions_per_server_max, sessions_per_token_max } = this.#limits;
    const sessions = [...this.#entries.values()].map(({ session }) => session);
    const taken = (here: (place: Place) => boolean): number =>
      [...sessions, ...this.#opening].filter(here).length;
    const crowded = taken((place) => place.token_id === token_id) >= sessions_per_token_max;
    const full =
      taken(() => true) >= sessions_max ||
      taken((place) => place.server === server) >= sessions_per_server_max;
    if (!crowded && !full) return null;
    const [idle] = [...this.#entries.values()]
      .filter(({ session }) => session.token_id === token_id && !session.busy)
      .filter(({ session }) => crowded || session.server === server)
      .sort((a, b) => a.used_ms - b.used_ms);
    if (idle !== undefined) {
      void idle.session.close();
      return null;
    }
    return crowded
      ? refuse(
          'sessions-used-up',
          `This token has ${sessions_per_token_max} sessions, and all of them are at work.`,
          'End one of them, or wait until one has finished.',
        )
      : refuse(
          'sessions-used-up',
          'All sessions that Aegis relays at a time are taken.',
          'Ask again in a few minutes; idle sessions end by themselves.',
        );
  }

  async #sweep(): Promise<void> {
    if (this.#closed) return;
    const { idle_ms_max, life_ms_max } = this.#limits;
    const now = this.#core.clock.now();
    for (const { session, opened_ms, used_ms } of this.#entries.values()) {
      const idle = !session.busy && now - used_ms > idle_ms_max;
      if (idle || now - opened_ms > life_ms_max || !(await session.alive())) void session.close();
    }
  }
}
