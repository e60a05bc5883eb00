import type { Driver, CallHandle } from '../drivers/driver.ts';
import { connectDriver } from '../drivers/driver-server.ts';
import type { McpPeer, PeerAnswer } from '../mcp-peer.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import { pinOf, type RegisteredTool } from './registry.ts';

/** The MCP servers behind the gateway: connected on first need, their tools compared with the pinned definitions. */
export class Peers {
  readonly #drivers: ReadonlyMap<string, Driver>;
  readonly #connected = new Map<string, Promise<ConnectedPeer>>();
  readonly #handles = new Map<string, CallHandle>();

  constructor(drivers: readonly Driver[]) {
    this.#drivers = new Map(drivers.map((driver) => [driver.system, driver]));
  }

  /** Step 3: the server lists this tool exactly as it was pinned. */
  async checkPinned(entry: RegisteredTool): Promise<Refusal | null> {
    const { pins } = await this.#peer(entry.tool.system);
    for (const [name, pin] of entry.pins()) {
      if (pins.get(name) !== pin)
        return refuse(
          'tool-changed',
          `The server of ${entry.tool.name} describes it differently from what was pinned.`,
          'A person must look at the new definition before it is used.',
        );
    }
    return null;
  }

  /** One MCP call of the server of that system; the handle exists only while it runs. */
  async call(
    system: string,
    operation: string,
    handle: CallHandle,
    message: { readonly target: string; readonly args: unknown },
    limits: { readonly timeout_ms: number; readonly signal: AbortSignal | undefined },
  ): Promise<PeerAnswer> {
    const { peer } = await this.#peer(system);
    // Two operations of one call (observe, apply) follow each other, so the call's id is free again in between.
    this.#handles.set(handle.call_id, handle);
    try {
      return await peer.call(operation, message, { call_id: handle.call_id, ...limits });
    } finally {
      this.#handles.delete(handle.call_id);
    }
  }

  async close(): Promise<void> {
    for (const connected of this.#connected.values())
      await connected.then(({ peer }) => peer.close()).catch(() => undefined);
    this.#connected.clear();
  }

  #peer(system: string): Promise<ConnectedPeer> {
    let connected = this.#connected.get(system);
    if (connected === undefined) {
      connected = this.#connect(system);
      this.#connected.set(system, connected);
      connected.catch(() => this.#connected.delete(system));
    }
    return connected;
  }

  async #connect(system: string): Promise<ConnectedPeer> {
    const driver = this.#drivers.get(system);
    if (driver === undefined) throw new Error(`no driver for the system ${system}`);
    const peer = await connectDriver(driver, (call_id) => this.#handles.get(call_id));
    const pins = new Map((await peer.list()).map((tool) => [tool.name, pinOf(tool)]));
    return { peer, pins };
  }
}

interface ConnectedPeer {
  readonly peer: McpPeer;
  readonly pins: ReadonlyMap<string, string>;
}
