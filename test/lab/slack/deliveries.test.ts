import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signature } from '../../../src/lab/slack/deliveries.ts';
import type { SlackTwin } from '../../../src/lab/slack/twin.ts';
import { SECRET, startAcme } from './acme.ts';
import { startBolt } from './bolt-app.ts';

interface Received {
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

let twin: SlackTwin;
let server: Server;
let received: Received[];
let respond: (index: number) => { status: number; headers?: Record<string, string>; hang?: boolean };

beforeEach(async () => {
  received = [];
  respond = () => ({ status: 200 });
  twin = await startAcme({ ack_timeout_ms: 200 });
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
    request.on('end', () => {
      const { status, headers, hang } = respond(received.length);
      received.push({ headers: request.headers, body });
      if (hang) return;
      response.writeHead(status, headers);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  twin.connectApp(`http://127.0.0.1:${(server.address() as AddressInfo).port}/slack/events`);
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await twin.stop();
});

async function until(what: () => boolean): Promise<void> {
  const deadline = Date.now() + 4_000;
  while (!what()) {
    if (Date.now() > deadline) throw new Error('it did not happen in 4 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('what Slack sends', () => {
  it('is signed over the exact bytes, with Slack’s content types and no charset', async () => {
    await twin.as('maya').mention('data-oncall', 'hi');
    await twin.as('maya').command('/aegis help', 'data-oncall');
    const [event, command] = received;
    for (const each of [event!, command!]) {
      const timestamp = String(each.headers['x-slack-request-timestamp']);
      expect(each.headers['x-slack-signature']).toBe(signature(SECRET, timestamp, each.body));
    }
    expect(event!.headers['content-type']).toBe('application/json');
    expect(command!.headers['content-type']).toBe('application/x-www-form-urlencoded');
    expect(JSON.parse(event!.body)).toMatchObject({
      type: 'event_callback',
      team_id: 'T0ACME',
      event: { type: 'app_mention', user: 'U0MAYA', channel: 'C0DATA' },
      authorizations: [{ team_id: 'T0ACME', user_id: 'U0AEGIS', is_bot: true }],
    });
    expect(JSON.parse(event!.body).event_id).toMatch(/^Ev/);
    expect(new URLSearchParams(command!.body).get('user_id')).toBe('U0MAYA');
  });

  it('retries an event three times with number and reason, a fresh signature and the same event_id', async () => {
    respond = (index) =>
      index === 0 ? { status: 500 } : index === 1 ? { status: 200, hang: true } : { status: 404 };
    await twin.as('maya').mention('data-oncall', 'hi');
    await until(() => received.length === 4);
    expect(
      received.map(({ headers }) => [headers['x-slack-retry-num'], headers['x-slack-retry-reason']]),
    ).toEqual([
      [undefined, undefined],
      ['1', 'http_error'],
      ['2', 'http_timeout'],
      ['3', 'http_error'],
    ]);
    expect(new Set(received.map(({ body }) => body)).size).toBe(1);
  });

  it('stops retrying when the app says so, and never retries a command', async () => {
    respond = () => ({ status: 500, headers: { 'x-slack-no-retry': '1' } });
    await twin.as('maya').mention('data-oncall', 'hi');
    await twin.as('maya').command('/aegis x', 'data-oncall');
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(received).toHaveLength(2);
    expect(twin.as('maya').latestEphemeral()?.text).toContain('dispatch_failed');
  });

  it('spends no retry while Slack itself is down', async () => {
    respond = (index) => ({ status: index === 0 ? 500 : 200 });
    await twin.as('maya').mention('data-oncall', 'hi');
    await twin.stop();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(received).toHaveLength(1);
    await twin.start();
    await until(() => received.length === 2);
  });

  it('can be held and released out of order', async () => {
    const release = twin.deliveries.hold();
    const both = [
      twin.as('maya').command('/aegis one', 'data-oncall'),
      twin.as('maya').command('/aegis two', 'data-oncall'),
    ];
    await until(() => twin.deliveries.waiting === 2);
    await release([1, 0]);
    await Promise.all(both);
    expect(received.map(({ body }) => new URLSearchParams(body).get('text'))).toEqual(['two', 'one']);
    expect(twin.deliveries.waiting).toBe(0);
  });

  it('names the workspace of a foreign member', async () => {
    await twin.as('forrest').mention('data-oncall', 'hi');
    expect(JSON.parse(received[0]!.body)).toMatchObject({
      team_id: 'T0ACME',
      context_team_id: 'T0OTHER',
      is_ext_shared_channel: true,
      event: { team: 'T0OTHER' },
    });
  });

  it('marks what another bot wrote', async () => {
    await twin.as('ci').mention('data-oncall', 'deploy');
    expect(JSON.parse(received[0]!.body).event).toMatchObject({ bot_id: 'B0CI', user: 'U0CI' });
  });
});

describe('what an attacker sends, against a real Bolt receiver', () => {
  it('is refused when forged or old; replays and future times pass Bolt, so the product must catch them', async () => {
    let runs = 0;
    const bolt = await startBolt(twin, (app) => {
      app.command('/aegis', async ({ ack }) => {
        runs += 1;
        await ack();
      });
    });
    try {
      await twin.as('maya').command('/aegis status', 'data-oncall');
      const [sent] = twin.deliveries.log;
      const status = async (how?: Parameters<typeof twin.deliveries.redeliver>[1]) =>
        (await twin.deliveries.redeliver(sent!, how)).status;
      expect(runs).toBe(1);
      expect(await status({ signing_secret: 'somebody else' })).toBe(401);
      expect(await status({ shift_timestamp_s: -360 })).toBe(401);
      expect(await status({ timestamp_without_resigning: String(Math.floor(Date.now() / 1000) + 5) })).toBe(
        401,
      );
      expect(
        await status({ headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' } }),
      ).toBe(400);
      expect(runs).toBe(1);
      expect(await status()).toBe(200);
      expect(await status({ shift_timestamp_s: 3_600 })).toBe(200);
      expect(await status({ edit: (payload) => (payload['team_id'] = 'T0EVIL') })).toBe(200);
      expect(runs).toBe(4);
    } finally {
      await bolt.stop();
    }
  });
});
