import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, Locator, Page } from 'playwright-core';

/** Debian's Chromium; no browser is ever downloaded. */
export const CHROMIUM = '/usr/bin/chromium';

export function haveBrowser(): boolean {
  return existsSync(CHROMIUM);
}

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
}

/** The simulated workspace in a browser, used as a person uses it: by what can be seen and pressed. */
export interface WorkspacePage {
  readonly tab: Page;
  /** Script errors, errors of the console, and requests that left the page's own address. */
  readonly faults: string[];
  /** Acts as this member from now on. */
  actAs(real_name: string): Promise<void>;
  /** Messages of the open thread (the root card is the first). */
  inThread(testid: string): Locator;
  /** Presses the newest button with this action in the open thread. */
  press(action_id: string): Promise<void>;
  modal(testid?: string): Locator;
  /** Opens the review dialog of the approval card and submits it. */
  reviewAndApprove(): Promise<void>;
  /** The text of what matches, each time it is asked. */
  textOf(where: Locator): () => Promise<string>;
}

const PATIENCE_MS = 20_000;

/** Opens the address that the lab printed and the thread of its first incident. */
export async function openWorkspace(
  browser: Browser,
  url: string,
  size = { width: 1440, height: 900 },
  scale = 1,
): Promise<WorkspacePage> {
  const tab = await browser.newPage({ viewport: size, deviceScaleFactor: scale, reducedMotion: 'reduce' });
  tab.setDefaultTimeout(PATIENCE_MS);
  const faults: string[] = [];
  const { origin } = new URL(url);
  tab.on('pageerror', (error) => faults.push(error.message));
  tab.on('console', (line) => void (line.type() === 'error' && faults.push(line.text())));
  tab.on('request', (request) => {
    if (!request.url().startsWith(origin) && !request.url().startsWith('data:')) faults.push(request.url());
  });
  await tab.goto(url);
  const id = (name: string) => `[data-testid="${name}"]`;
  const inThread = (name: string) => tab.locator(`${id('thread')} ${id(name)}`);
  const modal = (name?: string) =>
    tab.locator(name === undefined ? id('modal') : `${id('modal')} ${id(name)}`);
  return {
    tab,
    faults,
    inThread,
    modal,
    async actAs(real_name) {
      const option = tab.locator(`${id('act-as')} option`, { hasText: real_name });
      const value = await option.getAttribute('value');
      await tab.selectOption(id('act-as'), value);
      await tab.locator(`body[data-as="${value}"]`).waitFor();
    },
    press: (action_id) => inThread(`action-${action_id}`).last().click(),
    async reviewAndApprove() {
      await inThread('action-approval.review').last().click();
      await modal('modal-submit').click();
      await modal().waitFor({ state: 'hidden' });
    },
    textOf: (where) => async () => (await where.allTextContents()).join('\n'),
  };
}
