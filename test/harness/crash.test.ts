import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Range } from '../../src/lab/range.ts';
import { inLanes } from '../kill/lanes.ts';
import { pointText } from '../kill/kill-plan.ts';
import type { KillPoint } from '../kill/kill-plan.ts';
import { lostClicks } from '../scenarios/clicks.ts';
import { crashStory } from '../scenarios/crash-story.ts';
import type { CrashEnd } from '../scenarios/crash-story.ts';
import { twoWriteSkills, twoWritesStory } from './two-writes-story.ts';

/**
 * Kill -9 over an incident with two writes on two targets: the unchanged product, started again each time as a supervisor
 * would. A story dies several times, each time at the next of its points, counted from the start of that life.
 */
const SIDE_BY_SIDE = 4;
const ALL_MS = 900_000;
const POINTS_MIN = 40;

type Points = readonly KillPoint[];
const at = (when: KillPoint['when'], op: string, n = 1): KillPoint => ({ op, n, when });

/** Each line is one story: what dies, and where, in order. */
const STORIES: Readonly<Record<string, Points>> = {
  'the alert and the first click': [
    at('before', 'inbox.appendAll'),
    at('after', 'inbox.appendAll'),
    at('before', 'incidents.allocateId'),
    at('before', 'inbox.append'),
    at('after', 'inbox.append'),
  ],
  'the first looks': [
    at('after', 'effects.start'),
    at('before', 'evidence.put'),
    at('after', 'evidence.put', 3),
    at('before', 'effects.finish'),
    at('after', 'effects.finish'),
  ],
  'the cards': [
    at('before', 'outbox.sending'),
    at('after', 'outbox.sending', 2),
    at('before', 'outbox.sent', 3),
    at('after', 'outbox.sent', 2),
    at('after', 'outbox.rerenderOpen'),
  ],
  'the plan': [
    at('before', 'step.commit', 3),
    at('after', 'step.commit', 2),
    at('before', 'step.commit', 2),
    at('after', 'step.commit'),
  ],
  'the approvals': [
    at('before', 'inbox.append', 2),
    at('after', 'inbox.append'),
    at('before', 'inbox.append'),
    at('after', 'ledger.checkpoint'),
  ],
  'before the first write leaves': [
    at('before', 'journal.mintPermit'),
    at('after', 'journal.mintPermit'),
    at('before', 'journal.accept'),
    at('after', 'journal.accept'),
    at('before', 'journal.dispatch'),
  ],
  'around the first write': [
    at('after', 'journal.dispatch'),
    at('after', 'journal.reopen'),
    at('before', 'journal.finish'),
    at('after', 'journal.finish'),
  ],
  'between the two writes': [
    at('after', 'journal.finish'),
    at('after', 'effects.start'),
    at('before', 'effects.finish'),
    at('before', 'step.commit'),
    at('after', 'step.commit'),
  ],
  'before the second write leaves': [
    at('before', 'journal.mintPermit', 2),
    at('after', 'journal.mintPermit'),
    at('before', 'journal.accept'),
    at('after', 'journal.accept'),
    at('before', 'journal.dispatch'),
  ],
  'around the second write': [
    at('after', 'journal.dispatch', 2),
    at('after', 'journal.reopen'),
    at('before', 'journal.finish'),
    at('after', 'journal.finish'),
  ],
};

/** The server has read the patch and answers later; nobody is there to hear it. */
const ON_THE_WIRE: Readonly<Record<string, number>> = { 'the first patch': 0, 'the second patch': 1 };
const LATE_MS = 1500;

interface Told {
  readonly name: string;
  readonly deaths: number;
  readonly end: CrashEnd;
}

describe('killed over an incident with two writes', () => {
  const ended: Told[] = [];
  const broken: string[] = [];
  let skills_dir = '';

  beforeAll(async () => {
    skills_dir = twoWriteSkills();
    const story = twoWritesStory(skills_dir);
    const killed = Object.entries(STORIES).map(([name, points]) => ({
      name,
      deaths: points.length,
      options: { points, story, prepare: unhurried },
    }));
    const wire = Object.entries(ON_THE_WIRE).map(([name, patches_before]) => ({
      name: `while the server works on ${name}`,
      deaths: 1,
      options: {
        points: [],
        story,
        prepare: (range: Range) => {
          unhurried(range);
          killOnPatch(range, patches_before);
        },
      },
    }));
    await inLanes(SIDE_BY_SIDE, [...killed, ...wire], async ({ name, deaths, options }) => {
      try {
        ended.push({ name, deaths, end: await crashStory(options) });
      } catch (error) {
        broken.push(`${name}: ${String(error)}`);
      }
    });
  }, ALL_MS);
  afterAll(() => rmSync(skills_dir, { recursive: true, force: true }));

  const all = (problem: (told: Told) => string | null): string[] =>
    ended.flatMap((told) => {
      const found = problem(told);
      return found === null ? [] : [`${told.name} (${told.end.died_at.join(', ')}): ${found}`];
    });

  it('every story came to its end: whole chains, replay equal, nothing leased, inbox and cards done', () => {
    expect(broken).toEqual([]);
  });

  it(`died at ${POINTS_MIN} points or more, each where it was told to`, () => {
    const points = ended.reduce((sum, { end }) => sum + end.deaths, 0);
    expect(all(({ deaths, end }) => (end.deaths === deaths ? null : `died ${end.deaths} times`))).toEqual([]);
    expect(points).toBeGreaterThanOrEqual(POINTS_MIN);
    for (const { name, end } of ended)
      expect(end.died_at, name).toEqual((STORIES[name] ?? []).map((p) => pointText(p).replace(/ \d+$/, '')));
  });

  it('0 duplicate effects: each of the two writes reached the cluster exactly once', () => {
    expect(all(({ end }) => (end.patches === 2 ? null : `${end.patches} patches`))).toEqual([]);
  });

  it('0 lost clicks: each press that Slack showed as taken stands in the ledger, as an event or a refusal', () => {
    expect(
      all(({ end }) => (lostClicks(end.clicks).length === 0 ? null : lostClicks(end.clicks).join())),
    ).toEqual([]);
    const taken = ended.flatMap(({ end }) => Object.values(end.clicks.acknowledged));
    expect(taken.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(2 * ended.length);
  });

  it('0 wrong states: every incident is closed with its checks passed, and nobody had to help', () => {
    expect(all(({ end }) => (end.state === 'CLOSED' ? null : `${end.state} ${end.halt ?? ''}`))).toEqual([]);
    expect(all(({ end }) => (end.halts.length === 0 ? null : end.halts.join(' | ')))).toEqual([]);
  });

  it('the cards are rendered again, and none stands twice', () => {
    expect(all(({ end }) => (end.repeated_cards.length === 0 ? null : end.repeated_cards.join()))).toEqual(
      [],
    );
  });

  it('no credential outlives its story: at most the one whose name nobody heard', () => {
    expect(all(({ end }) => (end.call_tokens <= end.deaths ? null : `${end.call_tokens} tokens`))).toEqual(
      [],
    );
  });
});

/** What Slack's rate limits do to cards is tested elsewhere. */
function unhurried(range: Range): void {
  range.twins.slack.limiter.set({ enforced: false });
}

function killOnPatch(range: Range, patches_before: number): void {
  const { kubernetes } = range.twins;
  kubernetes.faults.delay({
    ms: LATE_MS,
    times: 1,
    match: (request) => {
      const hit =
        request.method === 'PATCH' && !request.dry_run && kubernetes.mutations().length === patches_before;
      if (hit) void range.product().kill();
      return hit;
    },
  });
}
