import { WebClient, WebAPIPlatformError, WebAPIRateLimitedError, WebAPIRequestError } from '@slack/web-api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SlackTwin } from '../../../src/lab/slack/twin.ts';
import { actions, button, section, startAcme, TOKEN, type Block } from './acme.ts';

let twin: SlackTwin;
let client: WebClient;

function clientFor(token: string): WebClient {
  return new WebClient(token, {
    slackApiUrl: twin.api_url,
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    logger: {
      debug() {},
      info() {},
      warn() {},
      error() {},
      setLevel() {},
      setName() {},
      getLevel: () => 'error' as never,
    },
  });
}

async function refusal(call: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    await call;
  } catch (error) {
    if (error instanceof WebAPIPlatformError) return error.data as unknown as Record<string, unknown>;
    throw error;
  }
  throw new Error('the call was not refused');
}

async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return (await refusal(call))['error'];
}

beforeEach(async () => {
  twin = await startAcme();
  client = clientFor(TOKEN);
});
afterEach(() => twin.stop());

describe('rate limits', () => {
  it('lets a burst of posts into a channel, then asks to wait a second; other channels are free', async () => {
    let now = 1_800_000_000_000;
    await twin.stop();
    twin = await startAcme({ clock: () => now, limits: { enforced: true, post_burst: 3 } });
    client = clientFor(TOKEN);
    const post = (channel: string) => client.chat.postMessage({ channel, text: 'x' });
    for (let i = 0; i < 3; i += 1) await post('C0DATA');
    const limited = await post('#data-oncall').catch((error: unknown) => error);
    expect(limited).toBeInstanceOf(WebAPIRateLimitedError);
    expect((limited as WebAPIRateLimitedError).retryAfter).toBe(1);
    await post('G0OPS');
    now += 1_000;
    await post('C0DATA');
  });

  it('counts a tier 3 method to 50 a minute for the whole workspace', async () => {
    let now = 1_800_000_000_000;
    await twin.stop();
    twin = await startAcme({ clock: () => now, limits: { enforced: true } });
    client = clientFor(TOKEN);
    const { ts } = await client.chat.postMessage({ channel: 'C0DATA', text: 'x' });
    for (let i = 0; i < 50; i += 1) await client.chat.update({ channel: 'C0DATA', ts: ts!, text: `${i}` });
    const limited = await client.chat
      .update({ channel: 'C0DATA', ts: ts!, text: 'more' })
      .catch((error: unknown) => error);
    expect((limited as WebAPIRateLimitedError).retryAfter).toBe(60);
    now += 60_001;
    await client.chat.update({ channel: 'C0DATA', ts: ts!, text: 'again' });
  });
});

describe('faults on demand', () => {
  it('drops the connection after the post was stored: the client cannot know, the message is there', async () => {
    twin.faults.next('chat.postMessage', { kind: 'drop_after' });
    await expect(client.chat.postMessage({ channel: 'C0DATA', text: 'once' })).rejects.toBeInstanceOf(
      WebAPIRequestError,
    );
    expect(twin.store.messages('C0DATA').map((message) => message.text)).toEqual(['once']);
    twin.faults.next('chat.postMessage', { kind: 'drop_before' });
    await expect(client.chat.postMessage({ channel: 'C0DATA', text: 'never' })).rejects.toBeInstanceOf(
      WebAPIRequestError,
    );
    expect(twin.store.messages('C0DATA')).toHaveLength(1);
  });

  it('answers 5xx, a rate limit or an error word when told to', async () => {
    twin.faults.next('*', { kind: 'http', status: 503 });
    await expect(client.auth.test()).rejects.toThrow();
    twin.faults.next('auth.test', { kind: 'ratelimit', retry_after_s: 7 });
    const limited = await client.auth.test().catch((error: unknown) => error);
    expect((limited as WebAPIRateLimitedError).retryAfter).toBe(7);
    twin.faults.next('auth.test', { kind: 'error', error: 'account_inactive' });
    expect(await errorOf(client.auth.test())).toBe('account_inactive');
    expect((await client.auth.test()).ok).toBe(true);
  });

  it('keeps everything over stop and start, on the same port', async () => {
    const { ts } = await client.chat.postMessage({ channel: 'C0DATA', text: 'before' });
    const url = twin.url;
    await twin.stop();
    await expect(client.auth.test()).rejects.toThrow();
    await expect(twin.as('maya').openHome()).rejects.toThrow(/Slack is down/);
    await twin.start();
    expect(twin.url).toBe(url);
    await client.chat.update({ channel: 'C0DATA', ts: ts!, text: 'after' });
    expect(twin.store.get('C0DATA', ts!)?.text).toBe('after');
  });
});

describe('quiet, as a number', () => {
  const why = () => twin.store.notifications.map(({ user, why }) => `${user} ${why}`);
  const post = (blocks: Block[], thread_ts?: string) =>
    client.chat.postMessage({
      channel: 'C0DATA',
      text: 'x',
      blocks: blocks as never[],
      ...(thread_ts ? { thread_ts } : {}),
    });

  it('counts a group mention once per member and thread followers on replies', async () => {
    const { ts } = await post([section('<!subteam^S0PLAT> please')]);
    expect(why()).toEqual(['U0LEE usergroup', 'U0DAN usergroup']);
    await twin.as('maya').say('data-oncall', 'on it', ts);
    twin.store.notifications.length = 0;
    await post([section('progress')], ts);
    expect(why()).toEqual(['U0MAYA thread']);
  });

  it('does not hear a mention in plain text, in a raw cell, in code or in escaped text', async () => {
    await post([
      { type: 'section', text: { type: 'plain_text', text: '<@U0MAYA> <!channel>' } },
      { type: 'table', rows: [[{ type: 'raw_text', text: '<!channel>' }]] },
      {
        type: 'rich_text',
        elements: [{ type: 'rich_text_preformatted', elements: [{ type: 'text', text: '<!here>' }] }],
      },
      section('`<@U0DAN>` &lt;!channel&gt;'),
    ]);
    expect(why()).toEqual([]);
  });

  it('notifies nobody on an edit, and writes down an edit that adds a mention', async () => {
    const { ts } = await post([section('a')]);
    await client.chat.update({ channel: 'C0DATA', ts: ts!, text: 'b', blocks: [section('b')] as never[] });
    expect(why()).toEqual([]);
    await client.chat.update({
      channel: 'C0DATA',
      ts: ts!,
      text: 'c',
      blocks: [section('<@U0DAN>')] as never[],
    });
    expect(why()).toEqual(['U0DAN edit_mention']);
  });

  it('does not count a mention inside a confirm dialog', async () => {
    const confirm = { text: { type: 'mrkdwn', text: 'Ask <@U0MAYA>?' } };
    await post([actions('a', button('go', '1', { confirm }))]);
    expect(why()).toEqual([]);
  });

  it('counts a direct message', async () => {
    await client.chat.postMessage({ channel: 'U0MAYA', text: 'waiting for you' });
    expect(why()).toEqual(['U0MAYA dm']);
  });
});
