import { describe, expect, it } from 'vitest';
import { card, INC, inboxRow, START_MS, step } from './samples.ts';
import { useBench } from './store-place.ts';
import type { Bench, MakePlace } from './store-place.ts';

const ROOT = `root:${INC}`;

export function describeQueues(make: MakePlace): void {
  describe('inbox', () => describeInbox(useBench(make)));
  describe('outbox', () => {
    const bench = useBench(make);
    coalesces(bench);
    ordersAndThreads(bench);
    retries(bench);
  });
  describe('timers', () => describeTimers(useBench(make)));
  describe('effects', () => describeEffects(useBench(make)));
}

function describeInbox(bench: Bench): void {
  it('stores a key once, also when it was consumed long ago or came through another store', async () => {
    const first = await bench.store.inbox.append(inboxRow('k1'));
    expect(first.duplicate).toBe(false);
    const other = await bench.another();
    expect(await other.inbox.append({ ...inboxRow('k1'), kind: 'something else' })).toEqual({
      inbox_id: first.inbox_id,
      duplicate: true,
    });
    await bench.store.inbox.consume(first.inbox_id, 'handled');
    await bench.restart();
    expect(await bench.store.inbox.append(inboxRow('k1'))).toEqual({
      inbox_id: first.inbox_id,
      duplicate: true,
    });
    expect(await bench.store.inbox.pending(10)).toEqual([]);
  });

  it('tells once that another process wrote, and never of what it wrote itself', async () => {
    const { inbox } = bench.store;
    const other = await bench.another();
    inbox.writtenElsewhere();
    await inbox.append(inboxRow('own'));
    expect(inbox.writtenElsewhere()).toBe(false);
    await other.inbox.append(inboxRow('theirs'));
    expect([inbox.writtenElsewhere(), inbox.writtenElsewhere()]).toEqual([true, false]);
    await other.inbox.pending(10);
    expect(inbox.writtenElsewhere()).toBe(false);
  });

  it('takes all rows of a webhook or none, and reports the ones that it knew', async () => {
    await bench.store.inbox.append(inboxRow('k2'));
    const results = await bench.store.inbox.appendAll([
      inboxRow('k1'),
      inboxRow('k2'),
      inboxRow('k3'),
      inboxRow('k3'),
    ]);
    expect(results.map((r) => r.duplicate)).toEqual([false, true, false, true]);
    const broken = { ...inboxRow('k5'), payload: { n: Number.POSITIVE_INFINITY } };
    await expect(bench.store.inbox.appendAll([inboxRow('k4'), broken])).rejects.toThrow();
    const pending = await bench.store.inbox.pending(10);
    expect(pending.map((r) => r.dedup_key)).toEqual(['k2', 'k1', 'k3']);
    expect(pending[0]).toMatchObject({
      source: 'slack',
      kind: 'click',
      payload: { key: 'k2' },
      attempts: 0,
      received_at_ms: START_MS,
    });
    expect((await bench.store.inbox.pending(1)).map((r) => r.dedup_key)).toEqual(['k2']);
  });

  it('counts failed attempts and sets a row aside at the limit', async () => {
    const { inbox_id } = await bench.store.inbox.append(inboxRow('k1'));
    expect(await bench.store.inbox.failed(inbox_id, 'no channel', 2)).toBe('retry');
    expect(await bench.store.inbox.pending(10)).toMatchObject([{ attempts: 1 }]);
    expect(await bench.store.inbox.failed(inbox_id, 'no channel', 2)).toBe('dead');
    expect(await bench.store.inbox.pending(10)).toEqual([]);
    await expect(bench.store.step.commit(step(0, { inbox_ids: [inbox_id] }))).rejects.toThrow();
  });

  it('remembers a signature once within its lifetime, also across stores', async () => {
    const { inbox } = bench.store;
    const other = await bench.another();
    expect(await inbox.rememberOnce('sig', START_MS + 100)).toBe(true);
    expect(await other.inbox.rememberOnce('sig', START_MS + 100)).toBe(false);
    bench.clock.at = START_MS + 99;
    expect(await inbox.rememberOnce('sig', START_MS + 999)).toBe(false);
    bench.clock.at = START_MS + 100;
    expect(await other.inbox.rememberOnce('sig', START_MS + 200)).toBe(true);
    expect(await inbox.rememberOnce('sig', START_MS + 200)).toBe(false);
  });
}

function coalesces(bench: Bench): void {
  it('sends only the newest revision of a card and stays due when a newer one came while it was sent', async () => {
    const { outbox } = bench.store;
    await outbox.put(card('root', ROOT, 'one'), INC);
    await outbox.put(card('root', ROOT, 'two'), INC);
    expect(await outbox.due(10)).toMatchObject([
      { wanted_revision: 2, sent_revision: 0, notice: { title: 'two' }, state: 'idle' },
    ]);
    await outbox.sending(ROOT, 2);
    await outbox.put(card('root', ROOT, 'three'), INC);
    expect(await outbox.get(ROOT)).toMatchObject({ state: 'sending', wanted_revision: 3 });
    await outbox.sent(ROOT, 2, 'C1', '100.1');
    expect(await outbox.due(10)).toMatchObject([
      { wanted_revision: 3, sent_revision: 2, ts: '100.1', notice: { title: 'three' } },
    ]);
    await outbox.sent(ROOT, 3, 'C1', '100.1');
    expect(await outbox.due(10)).toEqual([]);
    expect(await outbox.byMessage('C1', '100.1')).toMatchObject({ card_key: ROOT, incident_id: INC });
    expect(await outbox.byMessage('C1', '100.2')).toBeNull();
  });

  it('raises the wanted revision with each step that puts the card', async () => {
    await bench.store.step.commit(step(0, { cards: [card('root', ROOT)] }));
    await bench.store.step.commit(step(1, { cards: [card('root', ROOT)] }));
    expect((await bench.store.outbox.get(ROOT))?.wanted_revision).toBe(2);
  });

  it('still knows after a restart that a post left and no answer came', async () => {
    await bench.store.outbox.put(card('root', ROOT), INC);
    await bench.store.outbox.sending(ROOT, 1);
    await bench.restart();
    expect(await bench.store.outbox.due(10)).toMatchObject([
      { card_key: ROOT, state: 'sending', attempts: 1 },
    ]);
  });
}

function ordersAndThreads(bench: Bench): void {
  const due = async () => (await bench.store.outbox.due(10)).map((c) => [c.card_key, c.thread_ts]);

  it('holds back replies until the root is posted, then gives them its ts, roots first', async () => {
    const { outbox } = bench.store;
    await outbox.put(card('thread', 't1'), INC);
    await outbox.put(card('thread', 't2'), INC);
    await outbox.put(card('root', ROOT), INC);
    expect(await due()).toEqual([[ROOT, null]]);
    await outbox.sent(ROOT, 1, 'C1', '100.1');
    await outbox.put(card('root', ROOT), INC);
    expect(await due()).toEqual([
      [ROOT, null],
      ['t1', '100.1'],
      ['t2', '100.1'],
    ]);
  });

  it('sends a private answer at once and only once', async () => {
    const { outbox } = bench.store;
    await outbox.put(card('private', 'p1'), INC);
    await outbox.put(card('private', 'p2'), null);
    expect(await due()).toEqual([['p1', null], ['p2', null]]); // prettier-ignore
    await outbox.sending('p1', 1);
    await outbox.sending('p2', 1);
    expect(await due()).toEqual([]);
    await outbox.sent('p1', 1, 'C1', '100.5');
    await outbox.failed('p2', 1, 'ratelimited', START_MS + 10);
    await outbox.put(card('private', 'p1', 'again'), INC);
    bench.clock.at = START_MS + 10;
    expect(await due()).toEqual([['p2', null]]);
  });

  it('renders cards of open incidents again after a restart, but neither timeline nor private ones', async () => {
    const { outbox } = bench.store;
    await bench.store.step.commit(
      step(0, { cards: [card('root', ROOT), card('thread', 't1'), card('private', 'p1')] }),
    );
    for (const key of [ROOT, 't1', 'p1']) await outbox.sent(key, 1, 'C1', `100.${key}`);
    expect(await outbox.rerenderOpen()).toBe(1);
    expect(await outbox.due(10)).toMatchObject([{ card_key: ROOT, wanted_revision: 2 }]);
    expect(await outbox.rerenderOpen()).toBe(0);
    await bench.store.step.commit(step(1, { row: { open: false, state: 'CLOSED' } }));
    await outbox.sent(ROOT, 2, 'C1', '100.1');
    expect(await outbox.rerenderOpen()).toBe(0);
  });
}

function retries(bench: Bench): void {
  it('waits for the retry time, also when a newer revision is put meanwhile', async () => {
    const { outbox } = bench.store;
    await outbox.put(card('root', ROOT), INC);
    await outbox.failed(ROOT, 1, 'ratelimited', START_MS + 30_000);
    await outbox.put(card('root', ROOT), INC);
    expect(await outbox.due(10)).toEqual([]);
    bench.clock.at = START_MS + 30_000;
    expect(await outbox.due(10)).toMatchObject([{ card_key: ROOT, state: 'failed', wanted_revision: 2 }]);
  });

  it('gives up for one revision only, and tries again after a restart', async () => {
    const { outbox } = bench.store;
    await bench.store.step.commit(step(0, { cards: [card('root', ROOT)] }));
    await outbox.failed(ROOT, 1, 'invalid_blocks', null);
    expect(await outbox.due(10)).toEqual([]);
    await outbox.put(card('root', ROOT), INC);
    expect(await outbox.due(10)).toHaveLength(1);
    await outbox.failed(ROOT, 2, 'invalid_blocks', null);
    expect(await outbox.due(10)).toEqual([]);
    expect(await outbox.rerenderOpen()).toBe(1);
    expect(await outbox.due(10)).toMatchObject([{ wanted_revision: 3 }]);
  });
}

function describeTimers(bench: Bench): void {
  it('replaces a timer that is armed again, cancels, and ignores a firing of the earlier arming', async () => {
    await bench.store.step.commit(step(0, { arm_timers: [{ kind: 'quiet', due_at_ms: 100 }, { kind: 'minutes', due_at_ms: 50 }] })); // prettier-ignore
    expect(await bench.store.timers.nextDue()).toBe(50);
    const stale = (await bench.store.timers.due(100, 10)).find((t) => t.kind === 'quiet');
    await bench.store.step.commit(
      step(1, { cancel_timers: ['minutes', 'quiet'], arm_timers: [{ kind: 'quiet', due_at_ms: 200 }] }),
    );
    await bench.store.timers.fired(stale!);
    expect(await bench.store.timers.due(199, 10)).toEqual([]);
    const due = await bench.store.timers.due(200, 10);
    expect(due).toEqual([{ incident_id: INC, kind: 'quiet', due_at_ms: 200, armed_step: 2 }]);
    await bench.store.timers.fired(due[0]!);
    expect(await bench.store.timers.nextDue()).toBeNull();
  });
}

function describeEffects(bench: Bench): void {
  const result = inboxRow('effect:1');
  const withEffects = (n: number) =>
    step(0, {
      effects: Array.from({ length: n }, (_, i) => ({
        effect_id: `${INC}/1/${i}`,
        kind: 'triage',
        payload: {},
      })),
    });

  it('is started by one of two stores and finishes exactly once', async () => {
    await bench.store.step.commit(withEffects(1));
    const other = await bench.another();
    const id = `${INC}/1/0`;
    const started = await Promise.all([
      bench.store.effects.start(id),
      other.effects.start(id),
      bench.store.effects.start(id),
    ]);
    expect(started.filter(Boolean)).toHaveLength(1);
    expect(await other.effects.open(10)).toEqual([]);
    await Promise.all([
      bench.store.effects.finish(id, result),
      other.effects.finish(id, { ...result, dedup_key: 'another key' }),
    ]);
    expect(await bench.store.inbox.pending(10)).toHaveLength(1);
    expect(await bench.store.effects.start(id)).toBe(false);
  });

  it('gives an effect whose owner is gone to the next one, with the attempt counted', async () => {
    await bench.store.step.commit(withEffects(2));
    await bench.store.effects.start(`${INC}/1/0`);
    await bench.restart();
    expect(await bench.store.effects.open(10)).toMatchObject([
      { effect_id: `${INC}/1/0`, state: 'running', attempts: 1 },
      { effect_id: `${INC}/1/1`, state: 'pending', attempts: 0 },
    ]);
    expect(await bench.store.effects.start(`${INC}/1/0`)).toBe(true);
    expect((await bench.store.effects.open(1)).map((e) => e.effect_id)).toEqual([`${INC}/1/1`]);
  });

  it('cancels what is open, never starts it again, and still takes the late result of what was running', async () => {
    await bench.store.step.commit(withEffects(3));
    const [done, running, pending] = [0, 1, 2].map((n) => `${INC}/1/${n}`) as [string, string, string];
    await bench.store.effects.finish(done, inboxRow('effect:done'));
    await bench.store.effects.start(running);
    expect([...(await bench.store.effects.cancelOf(INC))].sort()).toEqual([running, pending]);
    await bench.restart();
    expect(await bench.store.effects.open(10)).toEqual([]);
    expect(await bench.store.effects.start(pending)).toBe(false);
    await bench.store.effects.finish(running, result);
    expect((await bench.store.inbox.pending(10)).map((r) => r.dedup_key)).toEqual([
      'effect:done',
      'effect:1',
    ]);
  });
}
