import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import type { Range } from '../../src/lab/range.ts';
import { badDeploy, crashLoopAlert } from '../../src/lab/scenarios/bad-deploy.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { objectAt } from '../../src/lab/world/kube-object.ts';
import { approvalCard, hasAction, rootCard, until } from '../../src/lab/watching.ts';
import { imageNow, impatientSkills, release } from './deploy-story.ts';
import { duplicateCards, ledgerOf, patches, replayed, standing, untilState } from './looking-in.ts';
import { shown, startStory, untilThread } from './range-for-test.ts';

/**
 * Autonomy `limited`: nobody presses anything, and the rollback runs within its caps; whoever is awake can deny it while
 * it is shown, and when the caps are used up people are asked. One unattended change a day is allowed here.
 */
const PATIENCE_MS = 90_000;

describe.concurrent('limited autonomy', { timeout: 240_000 }, () => {
  const dirs: string[] = [];
  const ranges: Range[] = [];
  const newRange = async (announce_s: number): Promise<Range> => {
    const [skills_dir, policies_dir] = [impatientSkills(), policiesWith(announce_s)];
    dirs.push(skills_dir, policies_dir);
    const range = await startStory({ skills_dir, policies_dir, autonomy: 'limited' }, badDeploy);
    ranges.push(range);
    return range;
  };
  afterAll(async () => {
    await Promise.all(ranges.map((range) => range.close()));
    for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
  }, 60_000);

  it('runs after a power cut in the time in which it is shown, once; the second one of a day asks people', async () => {
    const range = await newRange(6);
    const first = await alerted(range);
    await untilThread(range, first, /Nobody is asked: CHG-1 .*It runs in 6 s/s, PATIENCE_MS);
    expect(patches(range)).toEqual([]);
    await range.product().kill();
    await range.restart();
    const { incident_id } = await untilState(range, 'CLOSED', PATIENCE_MS);
    expect(imageNow(range)).toBe('2.14.0');
    expect(patches(range)).toHaveLength(2);
    const text = await untilThread(range, first, /Postmortem INC/);
    expect(text).toMatch(/Executed as planned, without a person’s approval \(autonomy limited\)\./);
    expect(text).toContain('Autonomy limited, nobody is asked: rule tier3-nobody-asked;');
    expect(text).toContain('1 of 1 of deployment/settlement-api');
    expect(text).toMatch(/APR-1 opened: nobody is asked, under autonomy limited/);
    const ledger = await ledgerOf(range, incident_id);
    const at = (kind: string): number => Date.parse(ledger.find((entry) => entry.kind === kind)?.at ?? '');
    expect(at('permit') - at('approval')).toBeGreaterThanOrEqual(5900);
    expect(unattended(await ledgerOf(range, 'SYSTEM'))).toEqual([incident_id]);
    expect(await replayed(range, incident_id)).toMatchObject({ equal: true });

    release(range, '2.15.0');
    await until('the pods to crash again', () => crashes(range) || undefined, PATIENCE_MS);
    const second = await alerted(range, first);
    const card = await until(
      'an approval card',
      () => approvalCard(range.twins.slack, DATA_CHANNEL, second.ts),
      PATIENCE_MS,
    );
    expect(shown(range, card)).toMatch(
      /0 of 1 given\. People are asked: Aegis has changed deployment\/settlement-api once in 24 h without a person.*at most 1 are allowed/s,
    );
    expect(shown(range, second)).toContain('1 person asked for this plan');
    expect(patches(range)).toHaveLength(2);
    expect(duplicateCards(range)).toEqual([]);
  });

  it('a person denies it while it is shown, and nothing runs', async () => {
    const range = await newRange(60);
    const root = await alerted(range);
    const { slack } = range.twins;
    await untilThread(range, root, /Nobody is asked: CHG-1 /, PATIENCE_MS);
    const card = slack.store.thread(DATA_CHANNEL, root.ts).find((m) => hasAction(m, 'approval.deny'));
    if (card === undefined) throw new Error('the plan’s card has no Deny');
    expect(hasAction(card, 'approval.review')).toBe(false);
    expect(shown(range, card)).toMatch(/Runs at .* unless somebody denies it or presses Stop/);
    const dan = slack.as('dan');
    await dan.click({ channel: card.channel, ts: card.ts, action_id: 'approval.deny' });
    await until('the dialog', () => (dan.views().at(-1)?.view['submit'] ? true : undefined));
    await dan.submit({ because: 'too_risky', reason: 'the new schema does not fit the old release' });
    const { incident_id } = await until('the halt', async () => {
      const now = await standing(range);
      return now.state === 'HALTED' ? now : undefined;
    });
    await untilThread(range, root, /the new schema does not fit the old release/);
    expect(patches(range)).toEqual([]);
    const kinds = (await ledgerOf(range, incident_id)).map((entry) => entry.kind);
    expect(kinds).not.toContain('permit');
    expect(unattended(await ledgerOf(range, 'SYSTEM'))).toEqual([]);
    expect(await replayed(range, incident_id)).toMatchObject({ equal: true });
  });
});

/** Alertmanager posts; the root card that is not `before`. */
async function alerted(range: Range, before?: StoredMessage): Promise<StoredMessage> {
  const posted = await range.webhook(crashLoopAlert(Date.now()));
  expect(posted.status).toBe(200);
  return until('the root card', () => {
    const root = rootCard(range.twins.slack, DATA_CHANNEL);
    return root?.ts === before?.ts ? undefined : root;
  });
}

/** A container of the release has ended at least twice: the alert is not ahead of what it is about. */
function crashes(range: Range): boolean {
  return range.twins.world.store
    .list('Pod', 'spark-jobs')
    .filter((pod) => pod.metadata.name.startsWith('settlement-api'))
    .some((pod) => Number(objectAt(pod, 'status', 'containerStatuses', 0)['restartCount']) >= 2);
}

function unattended(system: Awaited<ReturnType<typeof ledgerOf>>): unknown[] {
  return system.flatMap(({ kind, payload }) => (kind === 'permit' ? [payload['incident_id']] : []));
}

/** The policies that Aegis brings along, with one unattended change a day and another time in which it is shown. */
function policiesWith(announce_s: number): string {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-limited-policies-'));
  cpSync(join(import.meta.dirname, '../../policies'), dir, { recursive: true });
  const file = join(dir, 'guardrails.yaml');
  const text = readFileSync(file, 'utf8');
  const edited = text
    .replace('per_target_day_max: 2', 'per_target_day_max: 1')
    .replace('announce_s: 30', `announce_s: ${announce_s}`);
  expect(edited).not.toBe(text);
  writeFileSync(file, edited);
  return dir;
}
