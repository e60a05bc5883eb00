import { describe, expect, it, vi } from 'vitest';
import type { NewCard } from '../../src/store/store.ts';
import {
  approvalNotice,
  INC,
  incidentNotice,
  postmortemNotice,
  progressNotice,
  timelineNotice,
} from './notices.ts';
import { CHANNEL, FALLBACK, startRig, until, WORKSPACE, type Rig, type RigOptions } from './rig.ts';

type Finish = (close: () => Promise<void>) => void;

async function begin(onTestFinished: Finish, options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig({ limits_enforced: false, ...options });
  onTestFinished(() => rig.close());
  return rig;
}

const root = (changes: Parameters<typeof incidentNotice>[0] = {}): NewCard => ({
  card_key: `root:${INC}`,
  placement: 'root',
  channel: CHANNEL,
  notice: incidentNotice(changes),
});
const line = (n: number, text: string): NewCard => ({
  card_key: `timeline:${INC}:${n}:0`,
  placement: 'thread',
  channel: CHANNEL,
  notice: timelineNotice({ segments: [{ t: 'text', text }] }),
});
const posts = (rig: Rig, channel = CHANNEL) =>
  rig.twin.store.messages(channel).filter((message) => message.user === 'U0BOT');
const sentAt = async (rig: Rig, key: string, revision: number) =>
  until(async () => ((await rig.store.outbox.get(key))?.sent_revision ?? 0) >= revision);

describe('the outbox', () => {
  it.concurrent(
    'posts the root first, then its thread in the order of the commits',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      for (const n of [1, 2, 3]) await rig.store.outbox.put(line(n, `line ${n}`), INC);
      await rig.want(root(), INC);
      await sentAt(rig, `timeline:${INC}:3:0`, 1);
      const [first, ...rest] = posts(rig);
      expect(first?.thread_ts).toBeUndefined();
      expect(rest.map((message) => message.thread_ts)).toEqual([first?.ts, first?.ts, first?.ts]);
      expect(rest.map((message) => /line \d/.exec(message.text)?.[0])).toEqual([
        'line 1',
        'line 2',
        'line 3',
      ]);
    },
  );

  it.concurrent(
    'sleeps while new messages wait for the rate limit instead of asking again and again',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished, { limits_enforced: true });
      const due = vi.spyOn(rig.store.outbox, 'due');
      for (const n of [1, 2, 3, 4, 5]) await rig.store.outbox.put(line(n, `line ${n}`), INC);
      await rig.want(root(), INC);
      await sentAt(rig, `timeline:${INC}:5:0`, 1);
      // A few looks for each message; a loop without rest made thousands.
      expect(due.mock.calls.length).toBeLessThan(150);
    },
  );

  it.concurrent(
    'edits a card in place, with the newest state only, and keeps text and blocks',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      await rig.want(root(), INC);
      await sentAt(rig, `root:${INC}`, 1);
      for (const doing of ['a', 'b', 'c', 'd'])
        await rig.store.outbox.put(root({ doing, state: 'DIAGNOSING' }), INC);
      await rig.want(root({ doing: 'the last one', state: 'DIAGNOSING', waiting_for: null }), INC);
      await sentAt(rig, `root:${INC}`, 6);
      const [card, ...others] = posts(rig);
      expect(others).toEqual([]);
      expect(card?.revisions.length).toBeLessThanOrEqual(3);
      expect(JSON.stringify(card?.blocks)).toContain('the last one');
      expect(card?.text).toContain('SEV2');
      expect(card?.edited).toBeUndefined();
    },
  );

  it.concurrent(
    'edits one card at most once in two seconds, but shows an approval decision at once',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      await rig.want(root(), INC);
      const approval = (given: number): NewCard => ({
        card_key: 'approval:APR-512',
        placement: 'thread',
        channel: CHANNEL,
        notice: approvalNotice({ approvals_given: given, decisions: [] }),
      });
      await rig.want(approval(0), INC);
      await sentAt(rig, 'approval:APR-512', 1);
      await rig.want(root({ doing: 'x' }), INC);
      await rig.want(approval(1), INC);
      await sentAt(rig, 'approval:APR-512', 2);
      await sentAt(rig, `root:${INC}`, 2);
      const [card, apr] = posts(rig);
      expect(apr!.revisions[1]!.at_ms - apr!.revisions[0]!.at_ms).toBeLessThan(1_000);
      expect(card!.revisions[1]!.at_ms - card!.revisions[0]!.at_ms).toBeGreaterThanOrEqual(1_900);
      expect(JSON.stringify(card!.blocks)).toContain(`p${apr!.ts.replace('.', '')}`);
    },
  );

  it.concurrent(
    'finds a post whose answer was lost instead of posting it again',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      rig.twin.faults.next('chat.postMessage', { kind: 'drop_after' });
      await rig.want(root(), INC);
      await sentAt(rig, `root:${INC}`, 1);
      rig.twin.faults.next('chat.postMessage', { kind: 'drop_after' });
      await rig.want(line(1, 'only once'), INC);
      await sentAt(rig, `timeline:${INC}:1:0`, 1);
      expect(posts(rig).length).toBe(2);
      expect((await rig.store.outbox.get(`root:${INC}`))?.ts).toBe(posts(rig)[0]?.ts);
    },
  );

  it.concurrent('posts after a connection that broke before anything arrived', async ({ onTestFinished }) => {
    const rig = await begin(onTestFinished);
    rig.twin.faults.next('chat.postMessage', { kind: 'drop_before' });
    await rig.want(root(), INC);
    await sentAt(rig, `root:${INC}`, 1);
    expect(posts(rig).length).toBe(1);
  });

  it.concurrent(
    'does not believe a look-alike of another bot when it looks for its own post',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      await rig.want(root(), INC);
      await sentAt(rig, `root:${INC}`, 1);
      const parent = posts(rig)[0]!;
      rig.twin.store.add({
        channel: CHANNEL,
        ts: rig.twin.store.nextTs(),
        thread_ts: parent.ts,
        user: 'U0MAYA',
        text: 'painted',
        blocks: [],
        metadata: {
          event_type: 'aegis_card',
          event_payload: { card_key: `timeline:${INC}:1:0`, revision: 1 },
        },
        revisions: [],
      });
      rig.twin.faults.next('chat.postMessage', { kind: 'drop_before' });
      await rig.want(line(1, 'genuine'), INC);
      await sentAt(rig, `timeline:${INC}:1:0`, 1);
      expect(posts(rig).filter((message) => message.text.includes('genuine')).length).toBe(1);
    },
  );

  it.concurrent('posts again with a note when it may not read the history', async ({ onTestFinished }) => {
    const rig = await begin(onTestFinished, { scopes: ['chat:write', 'users:read'] });
    rig.twin.faults.next('chat.postMessage', { kind: 'drop_after' });
    await rig.want(root(), INC);
    await sentAt(rig, `root:${INC}`, 1);
    expect(posts(rig).length).toBe(2);
    expect(JSON.stringify(posts(rig)[1]?.blocks)).toContain('may be a repeat');
  });

  it.concurrent('waits as long as a 429 says and posts then, once', async ({ onTestFinished }) => {
    const rig = await begin(onTestFinished);
    rig.twin.faults.next('chat.postMessage', { kind: 'ratelimit', retry_after_s: 1 });
    const started = Date.now();
    await rig.want(root(), INC);
    await sentAt(rig, `root:${INC}`, 1);
    expect(Date.now() - started).toBeGreaterThanOrEqual(990);
    expect(posts(rig).length).toBe(1);
  });

  it.concurrent(
    'keeps everything while Slack answers 500, says so in its health, and loses nothing',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      rig.twin.faults.next('*', { kind: 'http', status: 500 }, 1000);
      await rig.want(root(), INC);
      await rig.want(line(1, 'kept'), INC);
      await until(() => !rig.room.healthy(), 15_000);
      rig.twin.faults.clear();
      await until(
        async () => ((await rig.store.outbox.get(`timeline:${INC}:1:0`))?.sent_revision ?? 0) === 1,
        15_000,
      );
      expect(posts(rig).length).toBe(2);
      expect(rig.room.healthy()).toBe(true);
    },
  );

  it.concurrent(
    'sends after a restart what was wanted before it, and looks for what was in flight',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      await rig.want(root(), INC);
      await sentAt(rig, `root:${INC}`, 1);
      await rig.room.stop();
      // A post left, its answer never came, and the process died: only the row knows.
      await rig.store.outbox.put(line(1, 'in flight'), INC);
      await rig.store.outbox.sending(`timeline:${INC}:1:0`, 1);
      const parent = posts(rig)[0]!;
      rig.twin.store.add({
        channel: CHANNEL,
        ts: rig.twin.store.nextTs(),
        thread_ts: parent.ts,
        user: 'U0BOT',
        bot_id: 'B0BOT',
        text: 'in flight',
        blocks: [],
        metadata: {
          event_type: 'aegis_card',
          event_payload: { card_key: `timeline:${INC}:1:0`, revision: 1 },
        },
        revisions: [],
      });
      await rig.store.outbox.put(line(2, 'wanted before'), INC);
      await rig.restart();
      await sentAt(rig, `timeline:${INC}:2:0`, 1);
      await sentAt(rig, `timeline:${INC}:1:0`, 1);
      expect(posts(rig).filter((message) => message.text.includes('in flight')).length).toBe(1);
      expect(posts(rig).filter((message) => message.text.includes('wanted before')).length).toBe(1);
    },
  );

  it.concurrent(
    'goes to the fallback channel with a note when the channel cannot be reached, and the thread follows',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      await rig.want({ ...root(), channel: 'C0ELSE' }, INC);
      await rig.want({ ...line(1, 'follows'), channel: 'C0ELSE' }, INC);
      await sentAt(rig, `timeline:${INC}:1:0`, 1);
      const [moved, reply] = posts(rig, FALLBACK);
      expect(JSON.stringify(moved?.blocks)).toContain('/invite @aegis');
      expect(reply?.thread_ts).toBe(moved?.ts);
      await rig.want({ ...root({ doing: 'later' }), channel: 'C0ELSE' }, INC);
      await sentAt(rig, `root:${INC}`, 2);
      expect(posts(rig, FALLBACK).length).toBe(2);
    },
  );

  it.concurrent('moves a live incident when its channel is archived', async ({ onTestFinished }) => {
    const rig = await begin(onTestFinished);
    await rig.want(root(), INC);
    await sentAt(rig, `root:${INC}`, 1);
    rig.twin.workspace.setArchived(CHANNEL, true);
    await rig.want(line(1, 'after the archive'), INC);
    await sentAt(rig, `timeline:${INC}:1:0`, 1);
    const [moved, reply] = posts(rig, FALLBACK);
    expect(JSON.stringify(moved?.blocks)).toContain('archived');
    expect(reply?.thread_ts).toBe(moved?.ts);
  });

  it.concurrent('posts a deleted card anew', async ({ onTestFinished }) => {
    const rig = await begin(onTestFinished);
    await rig.want(root(), INC);
    await sentAt(rig, `root:${INC}`, 1);
    rig.twin.store.remove(posts(rig)[0]!);
    await rig.want(line(1, 'finds a parent'), INC);
    await sentAt(rig, `timeline:${INC}:1:0`, 1);
    const [parent, reply] = posts(rig);
    expect(parent?.thread_ts).toBeUndefined();
    expect(reply?.thread_ts).toBe(parent?.ts);
  });

  it.concurrent(
    'shows a card in plain words, with its buttons, when Slack refuses its blocks',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      rig.twin.faults.next('chat.postMessage', { kind: 'error', error: 'invalid_blocks' });
      await rig.want(root(), INC);
      await sentAt(rig, `root:${INC}`, 1);
      const card = posts(rig)[0]!;
      expect(card.blocks.map((block) => block['type'])).toEqual(['section', 'actions']);
      expect(JSON.stringify(card.blocks)).toContain('OOMKilled');
      expect(rig.log.some((entry) => entry.level === 'error' && entry.message.includes('plainer'))).toBe(
        true,
      );
      rig.twin.faults.next('chat.update', { kind: 'error', error: 'msg_blocks_too_long' }, 2);
      await rig.want(root({ doing: 'again' }), INC);
      await sentAt(rig, `root:${INC}`, 2);
      expect(posts(rig)[0]?.text).toContain('OOMKilled');
    },
  );

  it.concurrent(
    'keeps cards and reports itself ill while the token is revoked',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      rig.twin.revokeToken();
      await rig.want(root(), INC);
      await until(() => !rig.room.healthy());
      expect((await rig.store.outbox.get(`root:${INC}`))?.sent_revision).toBe(0);
    },
  );

  it.concurrent(
    'shows a private notice to its person only, and gives up when that person is not there',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      const to = (user: string, key: string): NewCard => ({
        card_key: key,
        placement: 'private',
        channel: CHANNEL,
        notice: {
          kind: 'private',
          incident_id: null,
          workspace: 'T0ACME',
          user,
          channel: CHANNEL,
          thread_ts: null,
          segments: [{ t: 'text', text: 'You started this run, so you cannot approve it.' }],
        },
      });
      await rig.want(to('U0NOBODY', 'private:1'), null);
      await rig.want(to('U0MAYA', 'private:2'), null);
      await sentAt(rig, 'private:2', 1);
      expect(rig.twin.as('maya').latestEphemeral()?.text).toContain('You started this run');
      expect(rig.twin.as('dan').ephemerals()).toEqual([]);
      await until(() =>
        rig.log.some((entry) => entry.message.includes('a private answer could not be shown')),
      );
      expect(await rig.store.outbox.due(10)).toEqual([]);
    },
    20_000,
  );

  it.concurrent(
    'broadcasts a timeline message when asked, and never edits one',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      await rig.want(root(), INC);
      await rig.want({ ...line(1, 'x'), notice: timelineNotice({ broadcast: true }) }, INC);
      await sentAt(rig, `timeline:${INC}:1:0`, 1);
      await rig.want(
        { ...line(1, 'changed'), notice: timelineNotice({ segments: [{ t: 'text', text: 'changed' }] }) },
        INC,
      );
      await sentAt(rig, `timeline:${INC}:1:0`, 2);
      const message = posts(rig)[1]!;
      expect(message.reply_broadcast).toBe(true);
      expect(message.revisions.length).toBe(1);
    },
  );

  it.concurrent(
    'attaches a long postmortem as one file, also when the upload answer is lost',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      await rig.want(root(), INC);
      await sentAt(rig, `root:${INC}`, 1);
      rig.twin.faults.next('files.completeUploadExternal', { kind: 'drop_after' });
      const markdown = Array.from(
        { length: 400 },
        (_, at) => `## Step ${at}\nText of step ${at}, hunter2.`,
      ).join('\n\n');
      await rig.want(
        {
          card_key: `postmortem:${INC}`,
          placement: 'thread',
          channel: CHANNEL,
          notice: postmortemNotice({ markdown }),
        },
        INC,
      );
      await sentAt(rig, `postmortem:${INC}`, 1);
      const files = posts(rig).flatMap((message) => message.files ?? []);
      expect(files.map((file) => file['name'])).toEqual([`postmortem-${INC}-r1.md`]);
      const card = posts(rig).at(-1)!;
      expect(JSON.stringify(card.blocks)).toContain(`postmortem-${INC}-r1.md`);
    },
    20_000,
  );

  it.concurrent(
    'redacts every text before it leaves and keeps ids as they are',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished);
      await rig.want(
        root({
          title: 'password hunter2',
          cause: { text: 'it said hunter2', confidence: 1, evidence_count: 1 },
        }),
        INC,
      );
      await sentAt(rig, `root:${INC}`, 1);
      expect(JSON.stringify(posts(rig))).not.toContain('hunter2');
      expect(JSON.stringify(posts(rig))).toContain('[REDACTED_PASSWORD]');
    },
  );

  it.concurrent(
    'keeps under the documented rate limits on its own',
    async ({ onTestFinished }) => {
      const rig = await begin(onTestFinished, { limits_enforced: true });
      await rig.want(root(), INC);
      for (let n = 1; n <= 6; n++) await rig.store.outbox.put(line(n, `n${n}`), INC);
      await rig.want(
        { card_key: 'progress:1', placement: 'thread', channel: CHANNEL, notice: progressNotice() },
        INC,
      );
      await until(async () => ((await rig.store.outbox.get('progress:1'))?.sent_revision ?? 0) === 1, 15_000);
      expect(rig.log.filter((entry) => JSON.stringify(entry).includes('ratelimited'))).toEqual([]);
      expect(posts(rig).length).toBe(8);
    },
    20_000,
  );

  it.concurrent('mentions the owner when the card is posted, and in no edit', async ({ onTestFinished }) => {
    const rig = await begin(onTestFinished, { workspace: WORKSPACE });
    await rig.want(root(), INC);
    await sentAt(rig, `root:${INC}`, 1);
    await rig.want(root({ doing: 'more' }), INC);
    await sentAt(rig, `root:${INC}`, 2);
    const notes = rig.twin.store.notifications.filter(
      (note) => note.why === 'mention' || note.why === 'edit_mention',
    );
    expect(notes.map((note) => [note.user, note.why])).toEqual([['U0MAYA', 'mention']]);
  });
});
