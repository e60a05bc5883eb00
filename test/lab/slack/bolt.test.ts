import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { App } from '@slack/bolt';
import type { SlackTwin } from '../../../src/lab/slack/twin.ts';
import { actions, button, section, startAcme, type Block } from './acme.ts';
import { startBolt, type RunningBolt } from './bolt-app.ts';

let twin: SlackTwin;
let bolt: RunningBolt | undefined;

async function connect(listeners: (app: App) => void): Promise<void> {
  bolt = await startBolt(twin, listeners);
}

beforeEach(async () => {
  twin = await startAcme({ ack_timeout_ms: 600 });
});
afterEach(async () => {
  await bolt?.stop();
  bolt = undefined;
  await twin.stop();
});

async function until(what: () => boolean): Promise<void> {
  const deadline = Date.now() + 4_000;
  while (!what()) {
    if (Date.now() > deadline) throw new Error('it did not happen in 4 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const modal = (title: string, fields: Block = {}): never =>
  ({
    type: 'modal',
    title: { type: 'plain_text', text: title },
    blocks: [section('body')],
    ...fields,
  }) as never;

describe('a Bolt app in the simulated workspace', () => {
  it('hears a mention in a thread and answers there', async () => {
    await connect((app) => {
      app.event('app_mention', async ({ event, say }) => {
        await say({ text: `heard: ${event.text}`, thread_ts: event.thread_ts ?? event.ts });
      });
    });
    const { message, attempts } = await twin.as('maya').mention('data-oncall', 'investigate <!channel> & go');
    expect(attempts.map((attempt) => attempt.status)).toEqual([200]);
    await until(() => twin.store.thread('C0DATA', message.ts).length === 2);
    expect(twin.store.thread('C0DATA', message.ts)[1]).toMatchObject({
      user: 'U0AEGIS',
      text: 'heard: <@U0AEGIS> investigate &lt;!channel&gt; &amp; go',
    });
  });

  it('does not deliver a mention from a channel that the bot is not in, and tells the writer', async () => {
    await connect(() => {});
    const { attempts } = await twin.as('maya').mention('random', 'hello');
    expect(attempts).toEqual([]);
    expect(twin.as('maya').latestEphemeral()).toMatchObject({ from: 'slackbot' });
  });

  it('carries a slash command with escaped mentions, and shows its answer to the caller only', async () => {
    await connect((app) => {
      app.command('/aegis', async ({ command, ack }) => ack({ text: `you said ${command.text}` }));
    });
    await twin.as('maya').command('/aegis ask @dan in #random', 'data-oncall');
    expect(twin.as('maya').latestEphemeral()?.text).toBe('you said ask <@U0DAN|dan> in <#C0RAND|random>');
    expect(twin.as('dan').latestEphemeral()).toBeUndefined();
    await twin.as('maya').command('/nope', 'data-oncall');
    expect(twin.as('maya').latestEphemeral()?.text).toContain('not a valid command');
  });

  it('shows a timeout to the person when the app does not acknowledge in time', async () => {
    await connect((app) => {
      app.command('/aegis', async () => {});
    });
    await twin.as('maya').command('/aegis status', 'data-oncall');
    expect(twin.as('maya').latestEphemeral()?.text).toContain('operation_timeout');
    expect(twin.store.troubles).toHaveLength(1);
  });

  it('presses the real button of the real message and applies its confirm dialog', async () => {
    const clicks: unknown[] = [];
    await connect((app) => {
      app.action('approve', async ({ ack, action, body, respond }) => {
        await ack();
        clicks.push({ action, user: body.user.id });
        await respond({ text: 'noted', replace_original: false });
      });
    });
    const confirm = {
      title: { type: 'plain_text', text: 'Sure?' },
      text: { type: 'plain_text', text: 'Really?' },
    };
    const posted = await bolt!.app.client.chat.postMessage({
      channel: 'C0DATA',
      text: 'card',
      blocks: [actions('act', button('approve', 'plan-1', { confirm }))] as never[],
    });
    const there = { channel: 'C0DATA', ts: posted.ts!, action_id: 'approve' };
    const declined = await twin.as('dan').click({ ...there, confirm: false });
    expect(declined).toMatchObject({ sent: false, confirm });
    expect(clicks).toEqual([]);
    const pressed = await twin.as('dan').click(there);
    expect(pressed).toMatchObject({ sent: true, confirm, attempt: { status: 200 } });
    expect(clicks).toMatchObject([
      { user: 'U0DAN', action: { type: 'button', value: 'plan-1', block_id: 'act' } },
    ]);
    await until(() => twin.as('dan').latestEphemeral()?.text === 'noted');
  });

  it('fails loudly when there is nothing to press, several, or no right to see it', async () => {
    await connect(() => {});
    const blocks = [actions('a', button('go', '1')), actions('b', button('go', '2'))] as never[];
    const { ts } = await bolt!.app.client.chat.postMessage({ channel: 'C0DATA', text: 'x', blocks });
    const there = { channel: 'C0DATA', ts: ts! };
    await expect(twin.as('dan').click({ ...there, action_id: 'stop' })).rejects.toThrow(
      /found no "stop".*go, go/,
    );
    await expect(twin.as('dan').click({ ...there, action_id: 'go' })).rejects.toThrow(/2 times/);
    await expect(twin.as('dan').click({ ...there, ts: '1.1', action_id: 'go' })).rejects.toThrow(
      /no message/,
    );
    await bolt!.app.client.chat.postMessage({ channel: 'G0OPS', text: 'x', blocks });
    const hidden = twin.store.messages('G0OPS')[0]!.ts;
    await expect(twin.as('dan').click({ channel: 'ops', ts: hidden, action_id: 'go' })).rejects.toThrow(
      /not a member/,
    );
    expect(() => twin.as('old')).toThrow(/deactivated/);
    const chosen = await twin.as('dan').click({ ...there, action_id: 'go', value: '2' });
    expect(chosen.sent).toBe(true);
  });

  it('picks from an overflow menu, and refuses an option that is not offered', async () => {
    const picked: unknown[] = [];
    await connect((app) => {
      app.action('more', async ({ ack, action }) => {
        await ack();
        picked.push(action);
      });
    });
    const options = ['freeze', 'ledger'].map((value) => ({
      text: { type: 'plain_text', text: value },
      value,
    }));
    const blocks = [actions('a', { type: 'overflow', action_id: 'more', options })] as never[];
    const { ts } = await bolt!.app.client.chat.postMessage({ channel: 'C0DATA', text: 'x', blocks });
    const there = { channel: 'C0DATA', ts: ts!, action_id: 'more' };
    await twin.as('dan').click({ ...there, choice: 'ledger' });
    expect(picked).toMatchObject([{ type: 'overflow', selected_option: { value: 'ledger' } }]);
    await expect(twin.as('dan').click({ ...there, choice: 'format' })).rejects.toThrow(
      /offers: freeze, ledger/,
    );
  });

  it('lets a person with a stale screen press what an older revision showed', async () => {
    const values: string[] = [];
    await connect((app) => {
      app.action('go', async ({ ack, action }) => {
        await ack();
        values.push((action as { value: string }).value);
      });
    });
    const { ts } = await bolt!.app.client.chat.postMessage({
      channel: 'C0DATA',
      text: 'x',
      blocks: [actions('a1', button('go', 'rev 1'))] as never[],
    });
    await bolt!.app.client.chat.update({
      channel: 'C0DATA',
      ts: ts!,
      text: 'x',
      blocks: [actions('a2', button('go', 'rev 2'))] as never[],
    });
    await twin.as('dan').click({ channel: 'C0DATA', ts: ts!, action_id: 'go', revision: 0 });
    await twin.as('dan').click({ channel: 'C0DATA', ts: ts!, action_id: 'go' });
    expect(values).toEqual(['rev 1', 'rev 2']);
  });

  it('receives message shortcuts, app home openings and other events', async () => {
    const seen: string[] = [];
    await connect((app) => {
      app.shortcut('sc_investigate', async ({ ack, shortcut }) => {
        await ack();
        seen.push(`${shortcut.type} ${(shortcut as { message: { text: string } }).message.text}`);
      });
      app.event('app_home_opened', async ({ event, client }) => {
        seen.push(`home ${event.tab}`);
        await client.views.publish({
          user_id: event.user,
          view: { type: 'home', blocks: [section('hi') as never] },
        });
      });
      app.event('subteam_members_changed', async () => void seen.push('group'));
      app.message(async ({ message }) => void seen.push(`dm ${(message as { text: string }).text}`));
    });
    const { message } = await twin.as('maya').say('data-oncall', 'look at this');
    await twin.as('maya').messageAction('data-oncall', message.ts, 'sc_investigate');
    await twin.as('maya').openHome();
    await until(() => twin.as('maya').home() !== undefined);
    await twin.event({ type: 'subteam_members_changed', subteam_id: 'S0PLAT' });
    const dm = twin.workspace.directMessage('U0MAYA');
    await twin.as('maya').say(dm.id, 'hello');
    await until(() => seen.length === 4);
    expect(seen).toEqual(['message_action look at this', 'home home', 'group', 'dm hello']);
  });
});

describe('modals', () => {
  const reason: Block = {
    type: 'input',
    block_id: 'reason',
    label: { type: 'plain_text', text: 'Reason' },
    element: { type: 'plain_text_input', action_id: 'text', min_length: 10, max_length: 500 },
  };
  const submit = { type: 'plain_text', text: 'Deny' };

  async function withModal(onSubmit: (app: App) => void): Promise<void> {
    await connect((app) => {
      app.command('/aegis', async ({ ack, client, body }) => {
        await ack();
        const view = modal('Deny', { callback_id: 'deny', submit, notify_on_close: true, blocks: [reason] });
        await client.views.open({ trigger_id: body.trigger_id, view });
      });
      onSubmit(app);
    });
    await twin.as('dan').command('/aegis deny', 'data-oncall');
    await until(() => twin.as('dan').views().length === 1);
  }

  it('are filled in, checked by the client, refused by the app, and closed', async () => {
    const got: string[] = [];
    await withModal((app) => {
      app.view('deny', async ({ ack, view }) => {
        const text = view.state.values['reason']?.['text']?.value ?? '';
        got.push(text);
        if (text.startsWith('because'))
          await ack({ response_action: 'errors', errors: { reason: 'Say more.' } });
        else await ack();
      });
    });
    const dan = twin.as('dan');
    expect(await dan.submit()).toMatchObject({ accepted: false, errors: { reason: /required/ } } as never);
    expect(await dan.submit({ reason: 'no' })).toMatchObject({ accepted: false });
    expect(got).toEqual([]);
    expect(await dan.submit({ reason: 'because of things' })).toMatchObject({
      accepted: false,
      errors: { reason: 'Say more.' },
    });
    expect(dan.views()[0]?.errors).toEqual({ reason: 'Say more.' });
    expect(await dan.submit({ text: 'the cause is wrong' })).toMatchObject({
      accepted: true,
      response_action: 'close',
    });
    expect(dan.views()).toHaveLength(0);
    await expect(dan.submit({ text: 'again' })).rejects.toThrow(/no open modal/);
  });

  it('can be updated, pushed three deep and cleared by the answer', async () => {
    let step = 0;
    await withModal((app) => {
      app.view(/.*/, async ({ ack }) => {
        step += 1;
        const next = modal(`Step ${step}`, { submit, callback_id: `s${step}` });
        if (step === 1) await ack({ response_action: 'update', view: next });
        else if (step < 5) await ack({ response_action: 'push', view: next });
        else await ack({ response_action: 'clear' });
      });
    });
    const dan = twin.as('dan');
    expect(await dan.submit({ reason: 'ten characters' })).toMatchObject({ response_action: 'update' });
    expect(dan.views()).toHaveLength(1);
    await dan.submit();
    await dan.submit();
    expect(dan.views()).toHaveLength(3);
    expect(await dan.submit()).toMatchObject({ accepted: false, response_action: 'none' });
    expect(twin.store.troubles.at(-1)?.what).toContain('push_limit_reached');
    expect(await dan.submit()).toMatchObject({ response_action: 'clear' });
    expect(dan.views()).toHaveLength(0);
  });

  it('tell the app when they are closed, if it asked', async () => {
    let closed = '';
    await withModal((app) => {
      app.view({ callback_id: 'deny', type: 'view_closed' }, async ({ ack, view }) => {
        await ack();
        closed = view.callback_id;
      });
    });
    await twin.as('dan').closeView();
    expect(closed).toBe('deny');
  });

  it('show "trouble connecting" when the app answers with errors for a block that is not there', async () => {
    await withModal((app) => {
      app.view('deny', async ({ ack }) => ack({ response_action: 'errors', errors: { nowhere: 'x' } }));
    });
    const result = await twin.as('dan').submit({ reason: 'ten characters' });
    expect(result).toMatchObject({ accepted: false, response_action: 'none' });
    expect(twin.store.troubles.at(-1)?.what).toContain('nowhere');
    await expect(twin.as('dan').submit({ raeson: 'x' })).rejects.toThrow(/no input named "raeson"/);
  });

  it('open only once and only within three seconds of the click', async () => {
    let now = 1_800_000_000_000;
    await twin.stop();
    twin = await startAcme({ clock: () => now, ack_timeout_ms: 600 });
    const triggers: string[] = [];
    await connect((app) => {
      app.command('/aegis', async ({ ack, body }) => {
        await ack();
        triggers.push(body.trigger_id);
      });
    });
    // Bolt compares the signature's time with its own clock.
    now = Date.now();
    await twin.as('dan').command('/aegis a', 'data-oncall');
    await twin.as('dan').command('/aegis b', 'data-oncall');
    const open = (trigger_id: string) => bolt!.app.client.views.open({ trigger_id, view: modal('M') });
    await open(triggers[0]!);
    await expect(open(triggers[0]!)).rejects.toThrow(/exchanged_trigger_id/);
    now += 3_001;
    await expect(open(triggers[1]!)).rejects.toThrow(/expired_trigger_id/);
    await expect(open('1.2.made-up')).rejects.toThrow(/invalid_arguments/);
  });

  it('refuse an update under an old hash, and keep what was typed', async () => {
    await withModal(() => {});
    const dan = twin.as('dan');
    const first = dan.views()[0]!.view;
    const update = (hash: string) =>
      bolt!.app.client.views.update({
        view_id: first.id,
        hash,
        view: modal('New', { submit, blocks: [reason] }),
      });
    await update(first.hash);
    await expect(update(first.hash)).rejects.toThrow(/hash_conflict/);
    await dan.closeView();
    await expect(update(dan.views()[0]?.view.hash ?? first.hash)).rejects.toThrow(/not_found/);
  });
});

describe('a response URL', () => {
  it('works five times within 30 minutes and can replace or delete the message', async () => {
    let now = Date.now();
    await twin.stop();
    twin = await startAcme({ clock: () => now, ack_timeout_ms: 600 });
    const urls: string[] = [];
    await connect((app) => {
      app.action('go', async ({ ack, body }) => {
        await ack();
        urls.push((body as { response_url: string }).response_url);
      });
    });
    const { ts } = await bolt!.app.client.chat.postMessage({
      channel: 'C0DATA',
      text: 'x',
      blocks: [actions('a', button('go', '1'))] as never[],
    });
    const click = () => twin.as('dan').click({ channel: 'C0DATA', ts: ts!, action_id: 'go' });
    await click();
    await click();
    const say = async (url: string, body: Block) => {
      const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
      return `${answer.status} ${await answer.text()}`;
    };
    expect(await say(urls[0]!, { replace_original: true, text: 'y', blocks: [section('y')] })).toBe('200 ok');
    expect(twin.store.get('C0DATA', ts!)?.text).toBe('y');
    expect(await say(urls[0]!, { text: 'x', blocks: [{ type: 'banana' }] })).toContain('invalid_blocks');
    for (let i = 0; i < 3; i += 1) expect(await say(urls[0]!, { text: `${i}` })).toBe('200 ok');
    expect(await say(urls[0]!, { text: 'sixth' })).toBe('404 {"ok":false,"error":"used_url"}');
    now += 30 * 60_000 + 1;
    expect(await say(urls[1]!, { text: 'late' })).toBe('404 {"ok":false,"error":"expired_url"}');
    expect(await say(`${twin.url}/actions/T0ACME/1/made-up`, { text: 'x' })).toContain('invalid_url');
  });
});
