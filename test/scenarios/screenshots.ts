// Makes the pictures of the README from the real product: `npx tsx test/scenarios/screenshots.ts [folder]`.
import { mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { startPage } from '../../src/lab/page/page.ts';
import { DATA_CHANNEL, PEOPLE } from '../../src/lab/people.ts';
import { reviewAndSubmit, until } from '../../src/lab/watching.ts';
import compileWhenStale from '../built-product.ts';
import { approveByTwo, planIncident, startStory, threadText } from './range-for-test.ts';
import { openWorkspace, startBrowser } from './workspace-page.ts';
import type { WorkspacePage } from './workspace-page.ts';

const BYTES_MAX = 400_000;
/** Time for the last change to be drawn. */
const SETTLE_MS = 600;

compileWhenStale();
const folder = process.argv[2] ?? fileURLToPath(new URL('../../docs', import.meta.url));

function checkSize(path: string): void {
  const { size } = statSync(path);
  process.stdout.write(`${path} ${size} bytes\n`);
  if (size > BYTES_MAX) throw new Error(`${path} has ${size} bytes, more than ${BYTES_MAX}`);
}

async function openThread(people: WorkspacePage, name: string): Promise<void> {
  await people.actAs(name);
  await people.tab.locator('[data-testid="replies"]').click();
  await people.inThread('message').first().waitFor();
  await people.tab.mouse.move(700, 10);
}

/** The approval card alone, as Dan sees it before he decides. */
async function pictureApproval(browser: Browser, url: string): Promise<void> {
  const people = await openWorkspace(browser, url, { width: 1900, height: 1500 }, 1.25);
  await openThread(people, 'Dan Weber');
  await people.inThread('action-approval.review').waitFor();
  await people.tab.waitForTimeout(SETTLE_MS);
  const path = `${folder}/approval.png`;
  const box = await people.inThread('message').filter({ hasText: 'Approval needed' }).boundingBox();
  if (box === null) throw new Error('the approval card does not show');
  // Without the edge of the pane.
  await people.tab.screenshot({ path, clip: { ...box, width: box.width - 4 } });
  await people.tab.close();
  checkSize(path);
}

/** The workspace when the story has ended: the root card, the decisions and what was carried out. */
async function pictureThread(browser: Browser, url: string): Promise<void> {
  const people = await openWorkspace(browser, url);
  await openThread(people, 'Maya Ortiz');
  await people.tab.waitForTimeout(SETTLE_MS);
  // The refusal that only Maya sees, then the decisions, at the upper edge of the thread.
  await people.tab.evaluate(`(() => {
    const rows = document.querySelector('#thread-rows');
    const first = [...rows.children].find((row) => row.textContent.includes('You asked for this run'));
    rows.scrollTop = first.offsetTop - rows.offsetTop - 8;
  })()`);
  await people.tab.waitForTimeout(SETTLE_MS);
  const path = `${folder}/thread.png`;
  await people.tab.screenshot({ path });
  await people.tab.close();
  checkSize(path);
}

mkdirSync(folder, { recursive: true });
const range = await startStory();
const browser = await startBrowser();
const page = await startPage({
  slack: range.twins.slack,
  token: 'picture',
  port: 0,
  first: { user: PEOPLE.maya, channel: DATA_CHANNEL },
  info: () => [range.scenario.summary],
});
try {
  const { root, card } = await planIncident(range);
  await pictureApproval(browser, page.url);
  await reviewAndSubmit(range.twins.slack, 'maya', card);
  await approveByTwo(range, card);
  const done = () => (threadText(range, root).includes('Postmortem INC-') ? true : undefined);
  await until('the postmortem', done, 40_000);
  await pictureThread(browser, page.url);
} finally {
  await browser.close();
  await page.close();
  await range.close();
}
