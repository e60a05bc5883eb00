import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { afterEach, beforeAll, afterAll, describe, expect, it, vi } from 'vitest';
import { call, connectRelay, textOf, type RelayClient } from './relay-client.ts';
import { startRelayStage, type RelayStage } from './relay-stage.ts';
import { hostile } from './upstream-stage.ts';

// Relayed servers that are processes, each misbehaving in its own way beside one that does not.

const PATIENCE = { timeout: 30_000 };
vi.setConfig({ testTimeout: 60_000 });
const KEY = 'standing-key-of-no-known-shape-77';
const MODES = ['good', 'dies', 'hangs', 'floods', 'floods-notes', 'malformed', 'deep', 'curious', 'blabs'];

let stage: RelayStage;
const clients: Client[] = [];

beforeAll(async () => {
  const more = (mode: string) => ({
    relay: true,
    call_timeout_ms: mode === 'hangs' ? 500 : 20_000,
    ...(mode === 'blabs' ? { env: { API_KEY: { env: 'API_KEY' } } } : {}),
  });
  stage = await startRelayStage({
    upstreams: Object.fromEntries(MODES.map((mode) => [mode, hostile(mode, more(mode))])),
    secrets: { API_KEY: KEY },
  });
  for (const mode of MODES) await stage.approve(mode);
}, 120_000);
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});
afterAll(() => stage.close());

async function connect(mode: string, token?: string): Promise<RelayClient> {
  const connected = await connectRelay(stage.url(mode), token ?? (await stage.token()));
  clients.push(connected.client);
  return connected;
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a process behind the relay', () => {
  it('belongs to one session, knows nothing of ours, and ends with it', async () => {
    const token = await stage.token();
    const one = await connect('curious', token);
    const two = await connect('curious', token);
    const seen = async ({ client }: RelayClient) =>
      JSON.parse(textOf(await call(client, 'look'))) as { env: Record<string, string>; groups: number };
    const [first, second] = [await seen(one), await seen(two)];
    expect(first.groups).not.toBe(second.groups);
    expect(
      Object.keys(first.env).filter((name) => !['PATH', 'HOME', 'TMPDIR', 'AEGIS_UPSTREAM'].includes(name)),
    ).toEqual([]);
    const headers = { authorization: `Bearer ${token}`, 'mcp-session-id': one.session };
    expect((await fetch(stage.url('curious'), { method: 'DELETE', headers })).status).toBe(200);
    await expect.poll(() => isAlive(first.groups), PATIENCE).toBe(false);
    expect(isAlive(second.groups)).toBe(true);
  });

  it('that dies in mid-call is said to have died; the session is over, the next one works', async () => {
    const { client } = await connect('dies');
    const answer = await call(client, 'look');
    expect([answer.isError, textOf(answer)]).toEqual([true, expect.stringContaining('ended with code 7')]);
    await expect(client.listTools()).rejects.toThrow(/Session not found/);
    const again = await connect('dies');
    expect((await again.client.listTools()).tools).toHaveLength(1);
  });

  it('that repeats a secret of its environment is not heard', async () => {
    const { client, wire } = await connect('blabs');
    expect(textOf(await call(client, 'look'))).toBe('my key is [REDACTED_CREDENTIAL]');
    expect(wire()).not.toContain(KEY);
  });

  it.each([
    ['hangs', /did not answer within 500 ms/],
    ['floods', /message of more than/],
    ['malformed', /mcp:\/\/mcp\/malformed/],
    ['deep', /nested deeper|too deep|not JSON|mcp:\/\/mcp\/deep/],
    ['floods-notes', /nobody asked for/],
  ])('that %s gets an error, and its neighbour answers', async (mode, words) => {
    const bad = await connect(mode);
    const good = await connect('good');
    const [answer, fine] = await Promise.all([
      call(bad.client, 'look'),
      call(good.client, 'look', { at: 'home' }),
    ]);
    expect(answer.isError).toBe(true);
    expect(textOf(answer)).toMatch(words);
    expect(textOf(fine)).toBe('saw home');
  });
});
