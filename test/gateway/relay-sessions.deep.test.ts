import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
  type ClientCapabilities,
} from '@modelcontextprotocol/sdk/types.js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { call, connectRelay, textOf, type RelayClient } from './relay-client.ts';
import { startRelayStage, type RelayStage, type RelayStageOptions } from './relay-stage.ts';
import { LENT, PLANTED, startRelayUpstream, type RelayUpstream } from './relay-upstream.ts';

// What a relayed session lives through: questions of the server, tokens that end, servers that die or change, limits.

const PATIENCE = { timeout: 30_000 };
vi.setConfig({ testTimeout: 60_000 });

let upstream: RelayUpstream;
let stage: RelayStage;
let pooled = 0;
const clients: Client[] = [];

beforeEach(async () => {
  upstream = await startRelayUpstream();
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await stage.close();
  await upstream.close();
});

async function start(
  more: Record<string, unknown> = {},
  options: Partial<RelayStageOptions> = {},
): Promise<void> {
  const upstreams = { leaky: upstream.settings(more) };
  stage = await startRelayStage({ upstreams, secrets: { LENT }, ...options });
  await stage.approve('leaky');
  pooled = upstream.sessions();
}

/** Sessions of the server that belong to the relay: looking at it left one of the gateway's own. */
const relayed = (): number => upstream.sessions() - pooled;

async function connect(
  token: string,
  capabilities: ClientCapabilities = {},
  before?: (client: Client) => void,
): Promise<RelayClient> {
  const more = before === undefined ? {} : { before };
  const connected = await connectRelay(stage.url('leaky'), token, { capabilities, ...more });
  clients.push(connected.client);
  return connected;
}

const SAMPLING = {
  method: 'sampling/createMessage',
  params: {
    messages: [{ role: 'user', content: { type: 'text', text: `think of ${PLANTED[0]}` } }],
    maxTokens: 9,
  },
};
const FORM = {
  method: 'elicitation/create',
  params: { message: 'who?', requestedSchema: { type: 'object', properties: {} } },
};

/** Answers questions of the server and notes them. */
function answering(seen: string[], name: string) {
  return (client: Client): void => {
    client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
      seen.push(`${name}: ${JSON.stringify(params.messages)}`);
      return {
        model: 'm',
        role: 'assistant' as const,
        content: { type: 'text' as const, text: `says ${name}` },
      };
    });
  };
}

describe('questions of the server', () => {
  it('reach the client of that session only, redacted, when it offers to answer', async () => {
    await start();
    const seen: string[] = [];
    const token = await stage.token();
    const one = await connect(token, { sampling: {} }, answering(seen, 'one'));
    const two = await connect(token, { sampling: {} }, answering(seen, 'two'));
    const [first, second] = await Promise.all([
      call(one.client, 'ask', SAMPLING),
      call(two.client, 'ask', SAMPLING),
    ]);
    expect([textOf(first), textOf(second)]).toEqual([
      expect.stringContaining('says one'),
      expect.stringContaining('says two'),
    ]);
    expect(seen.sort()).toEqual([
      expect.stringMatching(/^one: .*think of \[REDACTED_CLOUD_KEY\]/),
      expect.stringMatching(/^two: .*think of \[REDACTED_CLOUD_KEY\]/),
    ]);
    expect(one.wire() + two.wire()).not.toContain(PLANTED[0]);
  });

  it('are refused for what the client does not offer, for addresses to open, and for everything else', async () => {
    await start();
    const none = await connect(await stage.token());
    expect(textOf(await call(none.client, 'ask', SAMPLING))).toMatch(/^refused: .*-32601/);
    const form = await connect(await stage.token(), { elicitation: { form: {}, url: {} } }, (client) =>
      client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { ok: true } })),
    );
    expect(textOf(await call(form.client, 'ask', FORM))).toContain('"ok":true');
    const params = { mode: 'url', message: 'open', url: 'https://evil.example.com', elicitationId: '1' };
    const url = { method: 'elicitation/create', params };
    expect(textOf(await call(form.client, 'ask', url))).toMatch(/refused: .*Only forms/);
    expect(textOf(await call(form.client, 'ask', { method: 'tasks/list', params: {} }))).toMatch(/-32601/);
  });

  it('stop the server’s time, so that a person may think longer than a call may take', async () => {
    await start({ call_timeout_ms: 5000 });
    const slow = await connect(await stage.token(), { sampling: {} }, (client) =>
      client.setRequestHandler(CreateMessageRequestSchema, async () => {
        await new Promise((resolve) => setTimeout(resolve, 6000));
        return {
          model: 'm',
          role: 'assistant' as const,
          content: { type: 'text' as const, text: 'at last' },
        };
      }),
    );
    expect(textOf(await call(slow.client, 'ask', SAMPLING))).toContain('at last');
  });
});

describe('a token that is revoked', () => {
  it('ends its session: nothing more is answered or told, and the server is left', async () => {
    await start();
    const updated: string[] = [];
    const token = await stage.token({ token_id: 'tok_revoked' });
    const { client } = await connect(token, {}, (one) =>
      one.setNotificationHandler(
        ResourceUpdatedNotificationSchema,
        ({ params }) => void updated.push(params.uri),
      ),
    );
    await call(client, 'fine');
    await stage.store.tokens.revoke('tok_revoked');
    await expect(call(client, 'fine')).rejects.toThrow(/revoked/);
    const other = await connect(await stage.token());
    await call(other.client, 'fine');
    await expect.poll(relayed, PATIENCE).toBe(1);
    expect(updated).toEqual([]);
  });

  it('while its call runs gets nothing of the answer', async () => {
    await start();
    const token = await stage.token({ token_id: 'tok_running' });
    const { client, wire } = await connect(token);
    const running = call(client, 'hang');
    await expect.poll(() => upstream.called.at(-1), PATIENCE).toBe('hang');
    await stage.store.tokens.revoke('tok_running');
    upstream.release();
    const answer = await running;
    expect([answer.isError, textOf(answer)]).toEqual([true, expect.stringMatching(/revoked.*withheld/)]);
    expect(wire()).not.toContain('released');
  });
});

describe('a server that', () => {
  it('is down is said to be so at once', async () => {
    await start();
    await upstream.kill();
    await expect(connect(await stage.token())).rejects.toThrow(/mcp:\/\/mcp\/leaky.*Check that it is up/);
  });

  it('dies in mid-call gives a clear error, and a new session when it is asked again', async () => {
    await start();
    const { client } = await connect(await stage.token());
    const running = call(client, 'hang');
    await expect.poll(() => upstream.called.at(-1), PATIENCE).toBe('hang');
    await upstream.kill();
    const answer = await running;
    expect(answer.isError).toBe(true);
    expect(textOf(answer)).toMatch(
      /mcp:\/\/mcp\/leaky\/-\/tool\/hang: ended its answer before it was complete/,
    );
  });

  it('does not answer is given up after its time, and told to stop', async () => {
    await start({ call_timeout_ms: 300 });
    const { client } = await connect(await stage.token());
    const answer = await call(client, 'hang');
    expect(textOf(answer)).toMatch(/did not answer within 300 ms/);
    await expect.poll(() => upstream.cancelled, PATIENCE).toEqual(['hang']);
  });

  it('is told when the client takes its request back', async () => {
    await start();
    const { client } = await connect(await stage.token());
    const taken = new AbortController();
    const running = client.callTool({ name: 'hang' }, undefined, { signal: taken.signal });
    await expect.poll(() => upstream.called.at(-1), PATIENCE).toBe('hang');
    taken.abort();
    await expect(running).rejects.toThrow();
    await expect.poll(() => upstream.cancelled, PATIENCE).toEqual(['hang']);
  });

  it('describes a tool anew loses it until a person has looked, in list and call; the others stay', async () => {
    await start();
    let changed = 0;
    const { client } = await connect(await stage.token(), {}, (one) =>
      one.setNotificationHandler(ToolListChangedNotificationSchema, () => void (changed += 1)),
    );
    await call(client, 'leak');
    upstream.redefine();
    await client.subscribeResource({ uri: 'note://one' });
    await expect.poll(() => changed, PATIENCE).toBe(1);
    await expect(call(client, 'leak')).rejects.toMatchObject({ code: -32_602 });
    expect((await client.listTools()).tools.map(({ name }) => name)).not.toContain('leak');
    expect(textOf(await call(client, 'fine'))).toBe('fine');
    await stage.approve('leaky');
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('leak');
  });
});

describe('without', () => {
  it('an audit row before it, no call reaches the server', async () => {
    let broken = false;
    const wrapStore = (store: Store): Store => ({
      ...store,
      ledger: {
        ...store.ledger,
        append: (chain, entries) =>
          broken ? Promise.reject(new Error('disk full')) : store.ledger.append(chain, entries),
      },
    });
    await start({}, { wrapStore });
    const { client } = await connect(await stage.token());
    broken = true;
    const answer = await call(client, 'fine');
    expect(textOf(answer)).toMatch(/audit row could not be written, so nothing was called/);
    await expect(client.readResource({ uri: 'note://one' })).rejects.toThrow(/nothing was called/);
    expect(upstream.called).toEqual([]);
  });

  it('a person’s approval nothing is offered, and the server’s instructions are not passed on', async () => {
    stage = await startRelayStage({ upstreams: { leaky: upstream.settings() }, secrets: { LENT } });
    const { client } = await connect(await stage.token());
    expect((await client.listTools()).tools).toEqual([]);
    expect(client.getInstructions()).toBeUndefined();
    await expect(call(client, 'fine')).rejects.toMatchObject({ code: -32_602 });
    expect(upstream.called).toEqual([]);
  });
});

describe('sessions', () => {
  it('are few for each token: the longest idle one makes room, and its server is left', async () => {
    await start();
    const token = await stage.token();
    const first = await connect(token);
    for (let n = 0; n < 8; n += 1) await connect(token);
    await expect(call(first.client, 'fine')).rejects.toThrow(/Session not found/);
    await expect.poll(relayed, PATIENCE).toBe(8);
    const other = await connect(await stage.token());
    expect(textOf(await call(other.client, 'fine'))).toBe('fine');
  });

  it('at work are not ended for another; the next one is refused with the way out', async () => {
    await start({ call_timeout_ms: 60_000 });
    const token = await stage.token();
    const running: Promise<unknown>[] = [];
    for (let n = 0; n < 8; n += 1) {
      const { client } = await connect(token);
      running.push(call(client, 'hang'));
    }
    await expect.poll(() => upstream.called.length, PATIENCE).toBe(8);
    await expect(connect(token)).rejects.toThrow(/8 sessions, and all of them are at work/);
    upstream.release();
    await Promise.all(running);
  });

  it('end when nothing was asked for long, and after their whole time', async () => {
    await start();
    const token = await stage.token();
    const idle = await connect(token);
    stage.skip(601_000);
    await expect(call(idle.client, 'fine')).rejects.toThrow(/Session not found/);
    const busy = await connect(token);
    for (let n = 0; n < 6; n += 1) {
      stage.skip(590_000);
      expect(textOf(await call(busy.client, 'fine'))).toBe('fine');
    }
    stage.skip(590_000);
    await expect(call(busy.client, 'fine')).rejects.toThrow(/Session not found/);
  });

  it('end when their client says so, and with the gateway', async () => {
    await start();
    const token = await stage.token();
    const { session } = await connect(token);
    await connect(token);
    expect(relayed()).toBe(2);
    const headers = { authorization: `Bearer ${token}`, 'mcp-session-id': session };
    const ended = await fetch(stage.url('leaky'), { method: 'DELETE', headers });
    expect(ended.status).toBe(200);
    await expect.poll(relayed, PATIENCE).toBe(1);
    await stage.gateway.close();
    await expect.poll(() => upstream.sessions(), PATIENCE).toBe(0);
  });
});
