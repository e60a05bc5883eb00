import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Browser } from 'playwright-core';
import { startPage } from '../../src/lab/page/page.ts';
import type { LabPage } from '../../src/lab/page/page.ts';
import { DATA_CHANNEL, PEOPLE } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { openIncident, startStory } from './range-for-test.ts';
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
    await maya.tab.locator('[data-testid="message"] [data-testid="action-incident.activate"]').click();
    await maya.tab.locator('[data-testid="replies"]').click();
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
