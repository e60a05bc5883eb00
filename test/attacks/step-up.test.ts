import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decide } from '../../src/cli/decide.ts';
import type { Approval } from '../../src/contract/approval.ts';
import { reviewAndSubmit, until } from '../../src/lab/watching.ts';
import { mintedFor, revokeToken, withPersonToken } from '../cli/person.ts';
import { patches, refusalsIn, standing } from '../scenarios/looking-in.ts';
import { shown, untilShown } from '../scenarios/range-for-test.ts';
import { CHROMIUM, haveBrowser, startBrowser } from '../scenarios/workspace-page.ts';
import { startCompany, type Company } from './company.ts';
import {
  caughtApproval,
  dialogWords,
  newCard,
  openTwo,
  refusalOf,
  sendBent,
  type Waiting,
} from './presses.ts';

/**
 * The step-up of the top tier, by name: what is tried on its page and around it, on the running product; then two people
 * give what it asks for, one of them in a real browser.
 */
let company: Company;
let inc: Waiting;
let second: Waiting;
let dan: { token: string; token_id: string };
let ines: { token: string; token_id: string };

const slack = () => company.twins.slack;
const approval = async (): Promise<Approval> => {
  const found = (await standing(company, inc.id)).approval;
  if (found === null) throw new Error('no approval');
  return found;
};
const counted = async () => (await approval()).decisions.map((d) => `${d.principal} ${d.decision} ${d.via}`);

async function form(change: Record<string, string> = {}): Promise<Record<string, string>> {
  const { revision, plan_hash, effect_hash } = await approval();
  return { token: ines.token, act: 'approve', revision: String(revision), plan_hash, effect_hash, ...change };
}

async function post(
  fields: Record<string, string>,
  options: { id?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; text: string; headers: Headers }> {
  const id = options.id ?? (await approval()).approval_id;
  const answer = await fetch(`${company.url}/approve/${id}`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...options.headers },
    body: new URLSearchParams(fields).toString(),
  });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

/** Refused at the page itself: the SYSTEM chain says so, and nothing was decided. */
async function refusedAtTheDoor(
  status: number,
  code: string,
  ...what: Parameters<typeof post>
): Promise<string> {
  const before = await counted();
  let text = '';
  const refusal = await refusalOf(company, 'SYSTEM', `http-${status}`, async () => {
    const answer = await post(...what);
    expect(answer.status).toBe(status);
    ({ text } = answer);
  });
  expect(refusal.reason).toContain(code);
  expect(JSON.stringify(refusal)).not.toContain('apt_');
  expect(await counted()).toEqual(before);
  return text;
}

beforeAll(async () => {
  company = await startCompany(({ teams, services }) => {
    teams.data.environments.prod['tier'] = 'tier1';
    for (const service of services) service['tier'] = 'tier1';
  });
  ({ first: inc, second } = await openTwo(company));
  dan = await mintedFor(company.files.config, 'dan', '5h');
  ines = await mintedFor(company.files.config, 'ines', '5h');
}, 120_000);
afterAll(async () => {
  await company?.close();
});

describe('the page', () => {
  it('is linked on the card, says nothing to a stranger, and lets nothing in or out', async () => {
    const { approval_id, rule } = await approval();
    expect(rule).toMatchObject({ name: 'prod-tier1-step-up', people: 2, step_up: true });
    expect(JSON.stringify(inc.card.blocks)).toContain(`${company.url}/approve/${approval_id}|step-up page`);
    expect(shown(company, inc.card)).toContain('must be given outside Slack');
    const real = await fetch(`${company.url}/approve/${approval_id}`);
    const none = await fetch(`${company.url}/approve/APR-999`);
    const text = await real.text();
    expect(text.replaceAll(approval_id, '')).toBe((await none.text()).replaceAll('APR-999', ''));
    expect(text).not.toContain('memory');
    expect(real.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/=]+'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
    );
    expect(real.headers.get('cache-control')).toBe('no-store');
    expect(real.headers.get('set-cookie')).toBeNull();
    expect((await fetch(`${company.url}/approve/../etc`)).status).toBe(404);
    expect((await fetch(`${company.url}/approve/APR-1%2f..`)).status).toBe(404);
  });

  it('shows the holder of a token the whole plan, and takes no token from an address', async () => {
    const { plan_hash, effect_hash, approval_id } = await approval();
    const { status, text } = await post({ token: ines.token, act: 'show' });
    expect(status).toBe(200);
    for (const words of [
      plan_hash,
      effect_hash,
      'Inês Costa',
      'Rollback:',
      'mcp://k8s/',
      'Gates',
      'SIMULATED',
    ])
      expect(text).toContain(words);
    expect(text).toMatch(/class="add">\+\s+memory: 2g/);
    expect(text).not.toContain(ines.token);
    const asked = await fetch(`${company.url}/approve/${approval_id}?token=${ines.token}&act=show`);
    expect(await asked.text()).not.toContain('memory');
  });
});

describe('step-up attacks', () => {
  it('step-up without token, with a wrong one, a gateway token, an expired or a revoked one', async () => {
    await refusedAtTheDoor(403, 'token-unknown', await form({ token: '' }));
    await refusedAtTheDoor(403, 'token-unknown', await form({ token: `apt_${'x'.repeat(43)}` }));
    await refusedAtTheDoor(403, 'token-unknown', await form({ token: `agt_${'x'.repeat(43)}` }));
    const gone = await mintedFor(company.files.config, 'ines');
    await revokeToken(company.files.config, gone.token_id);
    const text = await refusedAtTheDoor(403, 'token-revoked', await form({ token: gone.token }));
    expect(text).toContain('was revoked');
  });

  it('step-up form sent from another site, as another type, or too large', async () => {
    const fields = await form();
    await refusedAtTheDoor(403, 'foreign-form', fields, { headers: { origin: 'https://evil.example' } });
    await refusedAtTheDoor(403, 'foreign-form', fields, { headers: { origin: 'null' } });
    await refusedAtTheDoor(403, 'foreign-form', fields, { headers: { 'content-type': 'text/plain' } });
    const large = await post({ ...fields, reason: 'x'.repeat(20_000) });
    expect(large.status).toBe(413);
    expect(await counted()).toEqual([]);
  });

  it('step-up link of another approval, of one that does not exist, and with another plan’s hash', async () => {
    await refusedAtTheDoor(404, 'not-found', await form(), { id: 'APR-999' });
    await refusedAtTheDoor(409, 'stale-page', await form({ plan_hash: 'f'.repeat(64) }));
    await refusedAtTheDoor(409, 'stale-page', await form({ effect_hash: 'f'.repeat(64) }));
    await refusedAtTheDoor(409, 'stale-page', await form({ revision: '7' }));
    await refusedAtTheDoor(400, 'not-a-decision', await form({ act: 'approve everything' }));
    await refusedAtTheDoor(
      400,
      'not-a-decision',
      await form({ act: 'deny', reason: 'no', because: 'other' }),
    );
  });

  it('step-up by somebody of another team, and by the one who asked for the run', async () => {
    const omar = await mintedFor(company.files.config, 'omar');
    const text = await refusedAtTheDoor(404, 'not-found', await form({ token: omar.token }));
    expect(text).not.toContain('memory');
    const maya = await mintedFor(company.files.config, 'maya');
    const fields = await form({ token: maya.token });
    const refusal = await refusalOf(company, inc.id, 'self-approval', async () => {
      const answer = await post(fields);
      expect(answer.status).toBe(409);
      expect(answer.text).toContain('You asked for this run');
    });
    expect(refusal).toMatchObject({ by: 'maya', about: expect.stringContaining('approve APR-') as string });
  });

  it('step-up left out: the last approval in Slack, or any at the terminal', async () => {
    const caught = await caughtApproval(company, 'ines', inc.card);
    await reviewAndSubmit(slack(), 'dan', inc.card);
    await untilShown(company, inc.card, /1 of 2/);
    await slack()
      .as('ines')
      .click({ channel: inc.card.channel, ts: inc.card.ts, action_id: 'approval.review' });
    const dialog = await dialogWords(company, 'ines');
    expect(dialog).toContain('must be given outside Slack');
    expect(dialog).toContain('"submit":null');
    await slack().as('ines').closeView();
    // A dialog that was opened before Dan decided still has its button.
    const press = () => sendBent(company, caught, () => {});
    expect((await refusalOf(company, inc.id, 'step-up-needed', press)).by).toBe('ines');
    const { approval_id, plan_hash } = await approval();
    const type = async () => {
      const ran = await withPersonToken(ines.token, () =>
        decide({ config: company.files.config, json: true }, 'approve', approval_id, {
          planHash: plan_hash,
          wait: '60',
        }),
      );
      expect(ran).toMatchObject({ code: 1, err: expect.stringContaining('over its step-up link') });
    };
    await refusalOf(company, inc.id, 'step-up-needed', type);
    expect(await counted()).toEqual(['dan approve slack']);
  });

  it('step-up replayed: the same person, once in Slack and once over the link', async () => {
    const fields = await form({ token: dan.token });
    const refusal = await refusalOf(company, inc.id, 'same-person', () => post(fields));
    expect(refusal.by).toBe('dan');
    await slack()
      .as('dan')
      .click({ channel: inc.card.channel, ts: inc.card.ts, action_id: 'approval.withdraw' });
    await untilShown(company, inc.card, /0 of 2/);
  });

  it('step-up replayed: the same form twice, and again for the plan that replaced it', async () => {
    const fields = await form();
    expect((await post(fields)).text).toContain('recorded and counts');
    await refusalOf(company, inc.id, 'same-person', () => post(fields));
    expect(await untilShown(company, inc.card, /1 of 2/)).toContain('step-up link');
    const two = await form({ token: dan.token });
    const hats = await refusalOf(company, inc.id, 'two-hats', () => post(two));
    expect(hats.reason).toContain('ines already approved outside Slack (link)');
    const ran = await post(
      await form({ act: 'deny', reason: 'look at it again, please', because: 'wrong_cause' }),
    );
    expect(ran.status).toBe(200);
    const old = inc.card;
    inc.card = await newCard(company, inc.root, old);
    await refusedAtTheDoor(409, 'stale-page', fields);
    expect(patches(company)).toEqual([]);
  });

  it('a storm of wrong tokens is told to wait, and locks nobody out', async () => {
    const fields = await form({ token: `apt_${'y'.repeat(43)}` });
    const answers = [];
    for (let n = 0; n < 30; n += 1) answers.push((await post(fields)).status);
    expect(answers).toContain(429);
    expect((await post({ token: ines.token, act: 'show' })).status).toBe(200);
    const written = (await refusalsIn(company, 'SYSTEM')).filter((r) => r.code === 'http-429');
    expect(written.length).toBeLessThan(30);
  });
});

if (!haveBrowser()) process.stdout.write(`SKIPPED: the step-up in a browser, ${CHROMIUM} is not installed\n`);

describe('two people, one of them over the link', () => {
  let browser: Browser | null = null;
  afterAll(() => browser?.close());

  it.skipIf(!haveBrowser())('reads and decides in a browser, without a script', async () => {
    browser = await startBrowser();
    const page = await browser.newPage({ viewport: { width: 900, height: 1200 }, javaScriptEnabled: false });
    const faults: string[] = [];
    page.on('console', (line) => void (line.type() === 'error' && faults.push(line.text())));
    page.on('request', (r) => void (r.url().startsWith(company.url) || faults.push(r.url())));
    const { approval_id, plan_hash } = await approval();
    await page.goto(`${company.url}/approve/${approval_id}`);
    await page.getByLabel('Your own token').fill(ines.token);
    await page.getByRole('button', { name: 'Show the plan' }).click();
    await page.getByText(`Plan sha256:${plan_hash}`).waitFor();
    expect(page.url()).not.toContain('apt_');
    await page.getByLabel('Your own token').fill(ines.token);
    await page.getByLabel('Your own token').press('Enter');
    await page.getByText(`Plan sha256:${plan_hash}`).waitFor();
    expect(await counted()).toEqual([]);
    await page.getByLabel('Your own token').fill(ines.token);
    await page.getByRole('button', { name: 'Approve exactly this' }).click();
    await page.getByText('recorded and counts').waitFor();
    expect(faults).toEqual([]);
    expect(await counted()).toEqual(['ines approve link']);
  });

  it('runs once both are there', async () => {
    if (!haveBrowser()) await post(await form());
    await reviewAndSubmit(slack(), 'dan', inc.card);
    await until('the one write', () => (patches(company).length > 0 ? true : undefined));
    expect(patches(company).map((p) => p.status)).toEqual([200]);
    expect(await counted()).toEqual(['ines approve link', 'dan approve slack']);
  });

  it('step-up of an approval that is over, and after expiry', async () => {
    const over = await form();
    const used = await refusalOf(company, inc.id, 'approval-over', () => post(over));
    expect(used.reason).toContain('approved and under way');
    inc = second;
    const fields = await form();
    company.jumpAhead();
    await until('the expiry', async () => ((await approval()).status === 'expired' ? true : undefined));
    const late = await refusalOf(company, inc.id, 'approval-over', async () => {
      const answer = await post(fields);
      expect([answer.status, answer.text]).toEqual([409, expect.stringContaining('expired; nothing ran')]);
    });
    expect(late.by).toBe('ines');
    expect(patches(company)).toHaveLength(1);
  });
});
