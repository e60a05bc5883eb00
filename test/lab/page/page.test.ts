import { existsSync, mkdirSync } from 'node:fs';
import { request } from 'node:http';
import type { App } from '@slack/bolt';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startPage, type LabPage } from '../../../src/lab/page/page.ts';
import type { SlackTwin } from '../../../src/lab/slack/twin.ts';
import { actions, button, section, startAcme, type Block } from '../slack/acme.ts';
import { startBolt, type RunningBolt } from '../slack/bolt-app.ts';
import { approvalCard, rootCard } from '../slack/reference-cards.ts';

const CHROMIUM = '/usr/bin/chromium';
const TOKEN = 'run-token-0123456789';
const SHOTS = process.env['LAB_SCREENSHOTS'];

let twin: SlackTwin;
let page: LabPage;

beforeEach(async () => {
  twin = await startAcme();
  page = await startPage({
    slack: twin,
    token: TOKEN,
    port: 0,
    first: { user: 'maya', channel: '#data-oncall' },
    info: () => ['Scenario: spark-driver-oom'],
  });
});
afterEach(async () => {
  await page.close();
  await twin.stop();
});

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

/** A raw request: unlike fetch it lets a test lie about Host and Origin. */
function ask(path: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> {
  const { port, host } = new URL(page.origin);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method: body === undefined ? 'GET' : 'POST',
        headers: { host, ...headers },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

async function session(): Promise<string> {
  const opened = await ask(`/?token=${TOKEN}`);
  expect(opened).toMatchObject({ status: 303, headers: { location: '/' } });
  return String(opened.headers['set-cookie']).split(';')[0]!;
}

describe('who may talk to the lab page', () => {
  it('gives a strict cookie for the right token and nothing for a wrong one', async () => {
    const opened = await ask(`/?token=${TOKEN}`);
    expect(String(opened.headers['set-cookie'])).toMatch(/HttpOnly; SameSite=Strict/);
    expect(String(opened.headers['set-cookie'])).not.toContain(TOKEN);
    expect((await ask('/?token=wrong')).status).toBe(401);
    expect((await ask('/')).status).toBe(401);
    expect((await ask('/state')).status).toBe(401);
    expect((await ask('/state', { cookie: `aegis_lab_${new URL(page.origin).port}=guess` })).status).toBe(
      401,
    );
  });

  it('refuses another Host, so a rebound name reads nothing', async () => {
    const cookie = await session();
    expect((await ask('/state', { cookie, host: 'evil.example' })).status).toBe(403);
    expect((await ask(`/?token=${TOKEN}`, { host: 'evil.example:80' })).status).toBe(403);
  });

  it('refuses a change from another site or without an Origin', async () => {
    const cookie = await session();
    const say = (headers: Record<string, string>) =>
      ask('/say', { cookie, ...headers }, JSON.stringify({ as: 'U0MAYA', channel: 'C0DATA', text: 'hi' }));
    expect((await say({})).status).toBe(403);
    expect((await say({ origin: 'http://evil.example' })).status).toBe(403);
    expect((await say({ origin: 'null' })).status).toBe(403);
    expect((await say({ origin: page.origin, 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect(twin.store.messages('C0DATA')).toHaveLength(0);
    expect((await say({ origin: page.origin })).status).toBe(200);
    expect(twin.store.messages('C0DATA')).toHaveLength(1);
  });

  it('sends a policy under which no injected script could run', async () => {
    const cookie = await session();
    const { headers } = await ask('/', { cookie });
    expect(headers['content-security-policy']).toMatch(/default-src 'none'; script-src 'self'/);
    expect(headers['content-security-policy']).not.toMatch(/script-src[^;]*unsafe/);
    expect(headers['x-content-type-options']).toBe('nosniff');
  });

  it('answers nonsense and impossible acts with a sentence, and stays up', async () => {
    const cookie = await session();
    const act = (path: string, body: string) => ask(path, { cookie, origin: page.origin }, body);
    expect((await act('/say', '[')).status).toBe(400);
    expect((await act('/say', 'x'.repeat(70_000))).status).toBe(400);
    expect(JSON.parse((await act('/say', '{"as":"U0NOBODY"}')).body)).toEqual({
      error: 'the workspace has no member "U0NOBODY"',
    });
    expect((await act('/click', '{"as":"U0DAN","channel":"C0DATA","ts":"1.1","action_id":"x"}')).status).toBe(
      409,
    );
    expect((await act('/rm', '{"as":"U0DAN"}')).status).toBe(404);
    expect((await ask('/etc/passwd', { cookie })).status).toBe(404);
    expect((await ask('/state', { cookie })).status).toBe(200);
  });

  it('shows a member only what that member may see', async () => {
    const cookie = await session();
    await twin.as('lee').say('ops', 'secret plan');
    const ephemeral = {
      channel: 'C0DATA',
      ts: '1.000001',
      user: 'U0DAN',
      text: 'for dan',
      blocks: [],
      from: 'app' as const,
    };
    twin.store.addEphemeral(ephemeral);
    const seen = async (as: string, channel: string) =>
      (await ask(`/state?as=${as}&channel=${channel}`, { cookie })).body;
    expect(await seen('U0MAYA', 'G0OPS')).not.toContain('secret plan');
    expect(await seen('U0LEE', 'G0OPS')).toContain('secret plan');
    expect(await seen('U0MAYA', 'C0DATA')).not.toContain('for dan');
    expect(await seen('U0DAN', 'C0DATA')).toContain('for dan');
  });
});

const have_browser = existsSync(CHROMIUM);
if (!have_browser) console.log(`skipped: the page in a browser (no ${CHROMIUM})`);

describe.skipIf(!have_browser)('the page in a browser', () => {
  let browser: Browser;
  let tab: Page;
  let bolt: RunningBolt;
  let faults: string[];

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    });
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    faults = [];
    tab = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    tab.setDefaultTimeout(8_000);
    tab.on('pageerror', (error) => faults.push(error.message));
    tab.on(
      'console',
      (line) => void (line.type() === 'error' && !line.text().includes('409') && faults.push(line.text())),
    );
    tab.on(
      'request',
      (each) =>
        void (
          each.url().startsWith(page.origin) ||
          each.url().startsWith('data:') ||
          faults.push(each.url())
        ),
    );
    bolt = await startBolt(twin, incidentApp);
  });
  afterEach(async () => {
    await tab.context().close();
    await bolt.stop();
    expect(faults).toEqual([]);
  });

  const id = (name: string): string => `[data-testid="${name}"]`;
  const inThread = (name: string) => tab.locator(`${id('thread')} ${id(name)}`);

  async function shot(name: string): Promise<void> {
    if (!SHOTS) return;
    mkdirSync(SHOTS, { recursive: true });
    await tab.screenshot({ path: `${SHOTS}/${name}.png` });
  }

  it('lets two people drive a small incident from mention to approval', async () => {
    await tab.goto(page.url);
    expect(tab.url()).toBe(`${page.origin}/`);
    await expect.poll(() => tab.textContent(id('simulated'))).toContain('Simulated Slack');
    await tab.fill(id('composer'), '@aegis investigate');
    await tab.press(id('composer'), 'Enter');
    await tab.click(id('replies'));
    await inThread('action-approval.approve').click();
    await shot('confirm');
    await tab.click(id('confirm-no'));
    expect(twin.store.ephemerals).toHaveLength(0);
    await inThread('action-approval.approve').click();
    await tab.click(id('confirm-yes'));
    await expect.poll(() => inThread('ephemeral').textContent()).toContain('you cannot approve it');
    await tab.selectOption(id('act-as'), 'U0DAN');
    await expect.poll(() => inThread('ephemeral').count()).toBe(0);
    await inThread('action-approval.deny').click();
    await tab.click(id('modal-submit'));
    await expect.poll(() => tab.textContent(id('error-reason'))).toContain('required');
    await tab.fill(`${id('modal')} textarea`, 'too short');
    await tab.check(`${id('choices-kind')} input[value="risk"]`);
    await tab.click(id('modal-submit'));
    await expect.poll(() => tab.textContent(id('error-reason'))).toContain('at least 10');
    expect(await tab.inputValue(`${id('modal')} textarea`)).toBe('too short');
    await shot('modal');
    await tab.click(id('modal-close'));
    await expect.poll(() => tab.isVisible(id('modal'))).toBe(false);
    await inThread('action-approval.deny').click();
    await tab.fill(`${id('modal')} textarea`, 'the blast radius is too large');
    await tab.check(`${id('choices-kind')} input[value="risk"]`);
    await tab.click(id('modal-submit'));
    await expect
      .poll(() => tab.textContent(id('thread')))
      .toContain('dan denied: the blast radius is too large (risk)');
    await shot('thread');
  });

  it('takes slash commands in the channel, refuses them in a thread, and works from the menu', async () => {
    await twin.as('maya').mention('data-oncall', 'investigate');
    await tab.goto(page.url);
    await tab.fill(id('composer'), '/aegis status');
    await tab.press(id('composer'), 'Enter');
    await expect.poll(() => tab.textContent(id('ephemeral'))).toContain('1 incident open');
    await tab.click(id('replies'));
    await tab.fill(id('thread-composer'), '/aegis status');
    await tab.click(id('thread-send'));
    await expect.poll(() => tab.textContent('.toast')).toContain('no slash commands in threads');
    await inThread('action-plan.more').first().click();
    await tab.click(id('option-full'));
    await expect.poll(() => inThread('ephemeral').textContent()).toContain('picked full');
  });

  it('opens the app’s Home and presses what stands there', async () => {
    await tab.goto(page.url);
    await tab.click('[data-channel="home"]');
    await tab.click(`${id('home')} ${id('action-home.ping')}`);
    await expect.poll(() => tab.textContent(id('home'))).toContain('pong for maya');
  });

  it('follows a link to a message into its thread', async () => {
    const { message } = await twin.as('maya').say('data-oncall', 'root');
    const link = `https://acme.slack.com/archives/C0DATA/p${message.ts.replace('.', '')}`;
    await bolt.app.client.chat.postMessage({ channel: 'C0DATA', text: `see <${link}|the message>` });
    await tab.goto(page.url);
    await tab.click('a.link');
    await expect.poll(() => tab.isVisible(id('thread'))).toBe(true);
  });

  it('shows the thread growing without a reload', async () => {
    const { message } = await twin.as('maya').say('data-oncall', 'root');
    await tab.goto(page.url);
    await bolt.app.client.chat.postMessage({ channel: 'C0DATA', thread_ts: message.ts, text: 'one' });
    await tab.click(id('replies'));
    const { ts } = await bolt.app.client.chat.postMessage({
      channel: 'C0DATA',
      thread_ts: message.ts,
      text: 'two',
    });
    await expect.poll(() => tab.textContent(id('thread'))).toContain('two');
    await bolt.app.client.chat.update({ channel: 'C0DATA', ts: ts!, text: 'three' });
    await expect.poll(() => tab.textContent(id('thread'))).toContain('three');
  });

  it('loses no click on a card that changes between press and release', async () => {
    const card = (text: string) => [section(text), actions('a', button('approval.deny', '1'))] as never[];
    const { ts } = await bolt.app.client.chat.postMessage({
      channel: 'C0DATA',
      text: 'card',
      blocks: card('one'),
    });
    await tab.goto(page.url);
    await tab.hover(id('action-approval.deny'));
    await tab.mouse.down();
    const seen = tab.waitForResponse((answer) => answer.url().includes('/state'));
    await bolt.app.client.chat.update({ channel: 'C0DATA', ts: ts!, text: 'card', blocks: card('two') });
    await (await seen).finished();
    await tab.mouse.up();
    await expect.poll(() => tab.isVisible(id('modal'))).toBe(true);
    await expect.poll(() => tab.textContent('#rows')).toContain('two');
  });

  it('runs no markup out of anybody’s words, names included', async () => {
    const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    twin.workspace.users.get('U0DAN')!.real_name = evil;
    await twin.as('dan').say('data-oncall', evil);
    await bolt.app.client.chat.postMessage({
      channel: 'C0DATA',
      text: 'x',
      blocks: [{ type: 'section', text: { type: 'plain_text', text: evil } }, section(evil)] as never[],
    });
    await tab.goto(page.url);
    await expect.poll(() => tab.locator(id('message')).count()).toBe(2);
    expect(await tab.locator(`${id('channel')} img, ${id('channel')} script`).count()).toBe(0);
    expect(await tab.title()).toContain('simulated Slack');
  });

  it('is usable on a phone: nothing is wider than the screen', async () => {
    await tab.setViewportSize({ width: 360, height: 780 });
    await bolt.app.client.chat.postMessage({ channel: 'C0DATA', text: 'x', blocks: rootCard as never[] });
    await bolt.app.client.chat.postMessage({ channel: 'C0DATA', text: 'x', blocks: approvalCard as never[] });
    await tab.goto(page.url);
    await tab.waitForSelector(id('action-approval.approve'));
    await shot('phone');
    const wide =
      '({ page: document.documentElement.scrollWidth, rows: document.getElementById("rows").scrollWidth })';
    expect(await tab.evaluate(wide)).toEqual({ page: 360, rows: 360 });
  });
});

/** A toy product: enough of an incident to press every kind of control. */
function incidentApp(app: App): void {
  const deny: Block[] = [
    {
      type: 'input',
      block_id: 'reason',
      label: { type: 'plain_text', text: 'Why not?' },
      element: { type: 'plain_text_input', action_id: 'text', multiline: true, min_length: 10 },
    },
    {
      type: 'input',
      block_id: 'kind',
      label: { type: 'plain_text', text: 'What is wrong?' },
      element: {
        type: 'radio_buttons',
        action_id: 'kind',
        options: ['cause', 'risk'].map((value) => ({ text: { type: 'plain_text', text: value }, value })),
      },
    },
  ];
  app.event('app_mention', async ({ event, client }) => {
    const thread_ts = event.thread_ts ?? event.ts;
    await client.chat.postMessage({
      channel: event.channel,
      thread_ts,
      text: 'Approval',
      blocks: approvalCard as never[],
    });
  });
  app.event('app_home_opened', async ({ event, client }) => {
    const blocks = [section('Nothing waits for you.'), actions('h', button('home.ping', '1'))] as never[];
    await client.views.publish({ user_id: event.user, view: { type: 'home', blocks } });
  });
  app.action('home.ping', async ({ ack, body, client }) => {
    await ack();
    const blocks = [section(`pong for ${(body as { user: { name?: string } }).user.name}`)] as never[];
    await client.views.publish({ user_id: body.user.id, view: { type: 'home', blocks } });
  });
  app.command('/aegis', async ({ ack }) => ack({ text: '1 incident open' }));
  app.action('approval.approve', async ({ ack, respond }) => {
    await ack();
    await respond({ text: 'You started this run, so you cannot approve it.', replace_original: false });
  });
  app.action('plan.more', async ({ ack, action, respond }) => {
    await ack();
    const picked = (action as { selected_option: { value: string } }).selected_option.value;
    await respond({ text: `picked ${picked}`, replace_original: false });
  });
  app.action('approval.deny', async ({ ack, body, client }) => {
    await ack();
    const { trigger_id, container } = body as never as {
      trigger_id: string;
      container: { thread_ts: string };
    };
    await client.views.open({
      trigger_id,
      view: {
        type: 'modal',
        callback_id: 'deny',
        private_metadata: container.thread_ts,
        title: { type: 'plain_text', text: 'Deny CHG-8891' },
        submit: { type: 'plain_text', text: 'Deny' },
        blocks: [
          { type: 'alert', level: 'warning', text: { type: 'mrkdwn', text: 'A denial *ends* this plan.' } },
          ...deny,
        ] as never[],
      },
    });
  });
  app.view('deny', async ({ ack, view, body, client }) => {
    await ack();
    const reason = view.state.values['reason']?.['text']?.value;
    const kind = view.state.values['kind']?.['kind']?.selected_option?.value;
    await client.chat.postMessage({
      channel: 'C0DATA',
      thread_ts: view.private_metadata,
      text: 'denied',
      blocks: [
        section(`${body.user.name} denied: ${reason} (${kind})`),
        actions('a', button('noop', '1')),
      ] as never[],
    });
  });
}
