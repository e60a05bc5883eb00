import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Browser } from 'playwright-core';
import { startPage } from '../../src/lab/page/page.ts';
import type { LabPage } from '../../src/lab/page/page.ts';
import { DATA_CHANNEL, PEOPLE } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { until } from '../../src/lab/watching.ts';
import { openIncident, PRODUCT, startStory } from './range-for-test.ts';
import { CHROMIUM, haveBrowser, openWorkspace, startBrowser } from './workspace-page.ts';
import type { WorkspacePage } from './workspace-page.ts';

/** The story of issue 2 by mouse: everything that the people do, they do on the lab's page in a real browser. */
if (!haveBrowser()) process.stdout.write(`SKIPPED: the story in a browser, ${CHROMIUM} is not installed\n`);

describe.skipIf(!haveBrowser())('Spark driver OOM, clicked through in a browser', () => {
  let range: Range;
  let page: LabPage;
  let browser: Browser;
  let maya: WorkspacePage;
  const poll = (look: () => Promise<string>) => expect.poll(look, { timeout: 30_000, interval: 100 });

  beforeAll(async () => {
    [range, browser] = await Promise.all([startStory(), startBrowser()]);
    page = await startPage({
      slack: range.twins.slack,
      token: randomBytes(18).toString('base64url'),
      port: 0,
      first: { user: PEOPLE.maya, channel: DATA_CHANNEL },
    });
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await page?.close();
    await range?.close();
  });

  it('shows the incident to the person on call, who presses Activate', async () => {
    await openIncident(range);
    maya = await openWorkspace(browser, page.url);
    await poll(() => maya.tab.locator('[data-testid="simulated"]').innerText()).toContain('Simulated Slack');
    const replies = maya.tab.locator('[data-testid="replies"]');
    await maya.tab.click('[data-testid="message"] [data-testid="action-incident.activate"]');
    await replies.waitFor();
    await replies.click();
    await poll(maya.textOf(maya.inThread('message'))).toContain('Maya Ortiz asked Aegis to investigate');
  });

  it('puts the diff, the risk and the missing approvals on the approval card', async () => {
    await poll(maya.textOf(maya.inThread('message'))).toContain('Approval needed');
    const card = await maya.inThread('message').filter({ hasText: 'Approval needed' }).innerText();
    expect(card).toMatch(/-\s+memory: 1g/);
    expect(card).toMatch(/\+\s+memory: 2g/);
    expect(card).toContain('Blast radius');
    expect(card).toContain('partner banks book a day later');
    expect(card).toContain('0 of 2');
    expect(card).toContain('SIMULATED');
  });

  it('opens the evidence, unchanged since it was captured', async () => {
    await maya.press('evidence.open');
    await poll(() => maya.modal().innerText()).toContain('Unchanged since capture');
    expect(await maya.modal().innerText()).toContain('OOMKilled');
    await maya.modal('modal-close').click();
    await expect.poll(() => maya.modal().isVisible()).toBe(false);
  });

  it('refuses Maya, who asked for the run, in words that only she sees', async () => {
    await maya.reviewAndApprove();
    await poll(maya.textOf(maya.inThread('ephemeral'))).toContain(
      'You asked for this run, so you cannot approve it yourself',
    );
    await maya.actAs('Dan Weber');
    await expect.poll(() => maya.inThread('ephemeral').count()).toBe(0);
    expect(range.twins.kubernetes.mutations()).toEqual([]);
  });

  it('counts Dan and then Inês, and writes only after both', async () => {
    await maya.reviewAndApprove();
    await poll(maya.textOf(maya.inThread('message'))).toContain('1 of 2 given');
    expect(range.twins.kubernetes.mutations()).toEqual([]);
    await maya.actAs('Inês Costa');
    await maya.reviewAndApprove();
    await poll(maya.textOf(maya.inThread('message'))).toContain('Approved and carried out');
    expect(range.twins.kubernetes.mutations()).toHaveLength(1);
  });

  it('ends with the outcome on the root card and the postmortem in the thread', async () => {
    const root = maya.inThread('message').first();
    await poll(() => root.innerText()).toMatch(/Outcome: .*3 of 3 checks passed/);
    expect(await root.innerText()).toContain('Closed');
    await poll(maya.textOf(maya.inThread('message'))).toContain('Postmortem INC-');
    expect(maya.faults).toEqual([]);
    expect(range.twins.slack.store.troubles).toEqual([]);
  });
});

describe('the lab that a person starts', () => {
  it('prints the address of its page, lets in only who has it, and ends with everything that it started', async () => {
    const lab = startLab();
    onTestFinished(() => lab.kill());
    try {
      const url = await until(
        'the address of the page',
        () => /http:\/\/127\.0\.0\.1:\d+\/\?token=\S+/.exec(lab.printed())?.[0],
        30_000,
      );
      await checkDoor(new URL(url));
      if (haveBrowser()) await checkOpens(url);
      await until('the incident', () => (lab.printed().includes('Ctrl-C ends the lab') ? true : undefined));
    } finally {
      lab.interrupt();
    }
    expect(await lab.ended()).toBe(0);
    expect(lab.printed()).toMatch(/ledger verified: \d+ entries\n$/);
    expect(lab.anythingLeft()).toBe(false);
  }, 60_000);
});

interface RunningLab {
  printed(): string;
  /** Ctrl-C as a terminal sends it: to the whole group of processes. */
  interrupt(): void;
  ended(): Promise<number | null>;
  anythingLeft(): boolean;
  /** After a failed test. */
  kill(): void;
}

function startLab(): RunningLab {
  const child = spawn(PRODUCT.command, [...PRODUCT.args, 'lab', 'spark-driver-oom', '--port', '0'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const group = -(child.pid ?? 0);
  const exit = once(child, 'exit');
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')));
  return {
    printed: () => printed,
    interrupt: () => void signalled(group, 'SIGINT'),
    ended: async () => ((await exit) as [number | null])[0],
    anythingLeft: () => signalled(group, 0),
    kill: () => void signalled(group, 'SIGKILL'),
  };
}

/** False when the group has no process any more. */
function signalled(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(group, signal);
  } catch {
    return false;
  }
}

async function checkDoor(url: URL): Promise<void> {
  const right = `/?token=${url.searchParams.get('token') ?? ''}`;
  expect((await ask(url, '/')).status).toBe(401);
  expect((await ask(url, '/?token=wrong')).status).toBe(401);
  expect((await ask(url, right, { host: 'evil.example' })).status).toBe(403);
  const opened = await ask(url, right);
  expect(opened.status).toBe(303);
  const cookie = opened.cookie.split(';')[0] ?? '';
  const say = JSON.stringify({ as: PEOPLE.maya, channel: DATA_CHANNEL, text: 'hello' });
  expect((await ask(url, '/', { cookie })).status).toBe(200);
  expect((await ask(url, '/state', { cookie, host: 'evil.example' })).status).toBe(403);
  expect((await ask(url, '/say', { cookie, origin: 'http://evil.example' }, say)).status).toBe(403);
  expect((await ask(url, '/say', { cookie }, say)).status).toBe(403);
  expect((await ask(url, '/say', { origin: url.origin }, say)).status).toBe(401);
}

async function checkOpens(url: string): Promise<void> {
  const browser = await startBrowser();
  try {
    const seen = await openWorkspace(browser, url);
    await seen.tab.locator('[data-testid="action-incident.activate"]').waitFor();
    expect(seen.faults).toEqual([]);
  } finally {
    await browser.close();
  }
}

/** A raw request: unlike fetch it may lie about Host and Origin. */
function ask(
  url: URL,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<{ status: number; cookie: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: url.port,
        path,
        method: body === undefined ? 'GET' : 'POST',
        headers: { host: url.host, ...headers },
      },
      (response) => {
        response.resume();
        resolve({ status: response.statusCode ?? 0, cookie: String(response.headers['set-cookie'] ?? '') });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
