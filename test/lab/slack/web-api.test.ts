import { WebClient, WebAPIPlatformError } from '@slack/web-api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SlackTwin } from '../../../src/lab/slack/twin.ts';
import { section, startAcme, TOKEN } from './acme.ts';

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

describe('the Web API of the Slack twin, driven by the official client', () => {
  it('says who the bot is', async () => {
    const who = await client.auth.test();
    expect(who).toMatchObject({ ok: true, team_id: 'T0ACME', user_id: 'U0AEGIS', bot_id: 'B0AEGIS' });
    expect(who.response_metadata?.scopes).toContain('chat:write');
  });

  it('refuses a missing, a wrong and a revoked token', async () => {
    const bare = await fetch(`${twin.api_url}auth.test`, { method: 'POST' });
    expect(await bare.json()).toEqual({ ok: false, error: 'not_authed' });
    expect(await errorOf(clientFor('xoxb-wrong').auth.test())).toBe('invalid_auth');
    twin.revokeToken();
    expect(await errorOf(client.auth.test())).toBe('token_revoked');
    twin.restoreToken();
    expect((await client.auth.test()).ok).toBe(true);
  });

  it('reads a JSON body with the token in the header, and refuses bodies that are not what they say', async () => {
    const call = (content_type: string, body: string) =>
      fetch(`${twin.api_url}chat.postMessage`, {
        method: 'POST',
        headers: { 'content-type': content_type, authorization: `Bearer ${TOKEN}` },
        body,
      }).then((answer) => answer.json());
    expect(await call('application/json; charset=utf-8', '{"channel":"C0DATA","text":"hi"}')).toMatchObject({
      ok: true,
    });
    expect(await call('application/json', '{"channel":')).toMatchObject({ error: 'invalid_json' });
    expect(await call('application/json', '[1]')).toMatchObject({ error: 'json_not_object' });
    expect(await call('text/xml', '<x/>')).toMatchObject({ error: 'invalid_post_type' });
    const in_body = await fetch(`${twin.api_url}auth.test`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token: TOKEN }),
    });
    expect(await in_body.json()).toMatchObject({ error: 'not_authed' });
  });

  it('answers an unknown method with an error and a log entry, never with an empty success', async () => {
    expect(await errorOf(client.apiCall('stars.add', { channel: 'C0DATA' }))).toBe('unknown_method');
    expect(twin.api.log.at(-1)).toMatchObject({ method: 'stars.add', ok: false, error: 'unknown_method' });
  });

  it('names the scope that is missing and those that are there', async () => {
    twin.setScopes(['chat:write', 'users:read']);
    expect(await refusal(client.usergroups.list())).toMatchObject({
      error: 'missing_scope',
      needed: 'usergroups:read',
      provided: 'chat:write,users:read',
    });
    expect(await refusal(client.conversations.replies({ channel: 'G0OPS', ts: '1.1' }))).toMatchObject({
      needed: 'groups:history',
    });
  });

  it('posts, threads, edits and deletes, and keeps every revision', async () => {
    const root = await client.chat.postMessage({
      channel: '#data-oncall',
      text: 'one',
      blocks: [section('one') as never],
    });
    const ts = root.ts!;
    const reply = await client.chat.postMessage({ channel: 'C0DATA', text: 'reply', thread_ts: ts });
    await client.chat.update({ channel: 'C0DATA', ts, text: 'two', blocks: [section('two') as never] });
    const thread = await client.conversations.replies({ channel: 'C0DATA', ts });
    expect(thread.messages?.map((message) => message.text)).toEqual(['two', 'reply']);
    expect(thread.messages?.[0]).toMatchObject({ reply_count: 1, latest_reply: reply.ts });
    expect(thread.messages?.[0]).not.toHaveProperty('edited');
    expect(twin.store.get('C0DATA', ts)?.revisions.map((revision) => revision.text)).toEqual(['one', 'two']);
    await client.chat.delete({ channel: 'C0DATA', ts: reply.ts! });
    expect((await client.conversations.replies({ channel: 'C0DATA', ts })).messages).toHaveLength(1);
    expect(await errorOf(client.chat.update({ channel: 'C0DATA', ts: reply.ts!, text: 'x' }))).toBe(
      'message_not_found',
    );
  });

  it('loses the blocks when an update sends text alone, as Slack does', async () => {
    const { ts } = await client.chat.postMessage({
      channel: 'C0DATA',
      text: 'a',
      blocks: [section('a') as never],
    });
    await client.chat.update({ channel: 'C0DATA', ts: ts!, text: 'b' });
    expect(twin.store.get('C0DATA', ts!)).toMatchObject({
      text: 'b',
      blocks: [],
      edited: { user: 'U0AEGIS' },
    });
  });

  it('refuses to post where the bot may not', async () => {
    const post = (channel: string) => client.chat.postMessage({ channel, text: 'x' });
    expect(await errorOf(post('C0RAND'))).toBe('not_in_channel');
    expect(await errorOf(post('G0SEC'))).toBe('channel_not_found');
    expect(await errorOf(post('C0NONE'))).toBe('channel_not_found');
    expect(await errorOf(post('C0ARCH'))).toBe('is_archived');
    expect(await errorOf(client.chat.postMessage({ channel: 'C0DATA', text: '' }))).toBe('no_text');
    expect(
      await errorOf(client.chat.postMessage({ channel: 'C0DATA', text: 'x', thread_ts: '1.000000' })),
    ).toBe('thread_not_found');
  });

  it('refuses to edit what somebody else wrote', async () => {
    const { message } = await twin.as('maya').say('data-oncall', 'mine');
    expect(await errorOf(client.chat.update({ channel: 'C0DATA', ts: message.ts, text: 'x' }))).toBe(
      'cant_update_message',
    );
    expect(await errorOf(client.chat.delete({ channel: 'C0DATA', ts: message.ts }))).toBe(
      'cant_delete_message',
    );
  });

  it('shows metadata only to those who ask for it, and refuses malformed metadata', async () => {
    const metadata = { event_type: 'aegis_incident', event_payload: { rev: 3 } };
    const { ts } = await client.chat.postMessage({ channel: 'C0DATA', text: 'x', metadata });
    const asked = await client.conversations.replies({
      channel: 'C0DATA',
      ts: ts!,
      include_all_metadata: true,
    });
    expect(asked.messages?.[0]).toMatchObject({ metadata });
    const plain = await client.conversations.replies({ channel: 'C0DATA', ts: ts! });
    expect(plain.messages?.[0]).not.toHaveProperty('metadata');
    const bad = { event_type: 'x' } as never;
    expect(await errorOf(client.chat.postMessage({ channel: 'C0DATA', text: 'x', metadata: bad }))).toBe(
      'invalid_metadata_format',
    );
    const fat = { event_type: 'x', event_payload: { a: 'y'.repeat(9_000) } };
    expect(await errorOf(client.chat.postMessage({ channel: 'C0DATA', text: 'x', metadata: fat }))).toBe(
      'metadata_too_large',
    );
  });

  it('answers bad blocks with Slack’s error body, pointers included', async () => {
    const fields = [{ type: 'mrkdwn', text: 'x'.repeat(2001) }];
    const blocks = [section('ok'), { type: 'section', fields }] as never[];
    const body = await refusal(client.chat.postMessage({ channel: 'C0DATA', text: 'x', blocks }));
    expect(body).toMatchObject({
      ok: false,
      error: 'invalid_blocks',
      errors: ['must be less than 2001 characters [json-pointer:/blocks/1/fields/0/text]'],
      response_metadata: {
        messages: ['[ERROR] must be less than 2001 characters [json-pointer:/blocks/1/fields/0/text]'],
      },
    });
    expect(twin.store.messages('C0DATA')).toHaveLength(0);
  });

  it('refuses a message whose blocks hold too much text together', async () => {
    const blocks = Array.from({ length: 5 }, () => section('x'.repeat(2_500))) as never[];
    expect(await errorOf(client.chat.postMessage({ channel: 'C0DATA', text: 'x', blocks }))).toBe(
      'msg_blocks_too_long',
    );
  });

  it('stops loudly on an argument that it does not play', async () => {
    expect(
      await refusal(client.chat.postMessage({ channel: 'C0DATA', text: 'x', link_names: true })),
    ).toMatchObject({
      error: 'twin_unsupported_argument',
      argument: 'link_names',
    });
  });

  it('gives permalinks, pins once, and shows ephemerals to one member only', async () => {
    const { ts } = await client.chat.postMessage({ channel: 'C0DATA', text: 'root' });
    const reply = await client.chat.postMessage({ channel: 'C0DATA', text: 'r', thread_ts: ts! });
    const link = await client.chat.getPermalink({ channel: 'C0DATA', message_ts: reply.ts! });
    expect(link.permalink).toBe(
      `https://acme.slack.com/archives/C0DATA/p${reply.ts!.replace('.', '')}?thread_ts=${ts}&cid=C0DATA`,
    );
    await client.pins.add({ channel: 'C0DATA', timestamp: ts! });
    expect(await errorOf(client.pins.add({ channel: 'C0DATA', timestamp: ts! }))).toBe('already_pinned');
    await client.chat.postEphemeral({ channel: 'C0DATA', user: 'U0DAN', text: 'only you' });
    expect(twin.as('dan').latestEphemeral()?.text).toBe('only you');
    expect(twin.as('maya').latestEphemeral()).toBeUndefined();
    expect(await errorOf(client.chat.postEphemeral({ channel: 'G0OPS', user: 'U0DAN', text: 'x' }))).toBe(
      'user_not_in_channel',
    );
  });

  it('describes members by role, channels, and groups', async () => {
    const user = async (id: string) => (await client.users.info({ user: id })).user!;
    expect(await user('U0GUS')).toMatchObject({ is_restricted: true });
    expect(await user('U0OLD')).toMatchObject({ deleted: true });
    expect(await user('U0CI')).toMatchObject({ is_bot: true });
    expect(await user('U0FOR')).toMatchObject({ team_id: 'T0OTHER', is_stranger: true });
    expect(await errorOf(client.users.info({ user: 'U0NOBODY' }))).toBe('user_not_found');
    expect((await client.usergroups.users.list({ usergroup: 'S0PLAT' })).users).toEqual(['U0LEE', 'U0DAN']);
    expect(await errorOf(client.usergroups.users.list({ usergroup: 'S0NONE' }))).toBe('no_such_subteam');
    expect((await client.usergroups.list({ include_users: true })).usergroups?.[0]).toMatchObject({
      handle: 'platform-leads',
    });
    const names = (
      await client.conversations.list({ types: 'public_channel,private_channel' })
    ).channels?.map((c) => c.name);
    expect(names).toEqual(['data-oncall', 'random', 'archive', 'ops']);
    expect(await errorOf(client.conversations.info({ channel: 'G0SEC' }))).toBe('channel_not_found');
  });

  it('pages through lists with a cursor', async () => {
    const seen: string[] = [];
    for await (const page of client.paginate('users.list', { limit: 3 })) {
      seen.push(...(page as unknown as { members: { id: string }[] }).members.map((user) => user.id));
    }
    expect(seen).toHaveLength(8);
    expect(await errorOf(client.users.list({ cursor: 'bm9uc2Vuc2U=' }))).toBe('invalid_cursor');
  });

  it('takes a file in three steps and refuses other bytes than announced', async () => {
    const { ts } = await client.chat.postMessage({ channel: 'C0DATA', text: 'root' });
    await client.filesUploadV2({
      channel_id: 'C0DATA',
      thread_ts: ts!,
      filename: 'plan.txt',
      content: 'hello plan',
    });
    expect(twin.store.thread('C0DATA', ts!).at(-1)?.files).toMatchObject([{ name: 'plan.txt', size: 10 }]);
    const start = await client.files.getUploadURLExternal({ filename: 'x', length: 3 });
    expect((await fetch(start.upload_url!, { method: 'POST', body: 'four' })).status).toBe(400);
    expect(await errorOf(client.files.completeUploadExternal({ files: [{ id: start.file_id! }] }))).toBe(
      'file_not_found',
    );
  });

  it('validates blocks over the wire, with the constraint', async () => {
    const blocks = [{ type: 'section', text: { type: 'invalid', text: 'x' } }];
    expect(await refusal(client.apiCall('blocks.validate', { blocks }))).toMatchObject({
      error: 'invalid_blocks',
      errors: [
        {
          code: 'failed_constraint',
          pointer: '/0/text/type',
          message: 'unsupported type: invalid',
          constraint: { type: 'enum', expected: ['plain_text', 'mrkdwn'] },
        },
      ],
    });
    expect((await client.apiCall('blocks.validate', { blocks: [section('x')] })).ok).toBe(true);
    expect(await errorOf(client.apiCall('blocks.validate', {}))).toBe('invalid_arguments');
  });

  it('shows and clears a thread status', async () => {
    const { ts } = await client.chat.postMessage({ channel: 'C0DATA', text: 'root' });
    await client.assistant.threads.setStatus({
      channel_id: 'C0DATA',
      thread_ts: ts!,
      status: 'is reading logs…',
    });
    expect(twin.store.thread_status.get(`C0DATA/${ts}`)).toBe('is reading logs…');
    await client.chat.postMessage({ channel: 'C0DATA', text: 'done', thread_ts: ts! });
    expect(twin.store.thread_status.size).toBe(0);
  });
});
