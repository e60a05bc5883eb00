import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Fault } from '../../src/lab/slack/faults.ts';
import type { NewCard } from '../../src/store/store.ts';
import { approvalNotice, incidentNotice, timelineNotice } from './notices.ts';
import { CHANNEL, startRig, until } from './rig.ts';

const INCIDENTS = 4;
const LINES = 4;
const METHODS = ['chat.postMessage', 'chat.update', 'conversations.replies', 'conversations.history'];

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.constant({ kind: 'drop_after' as const }),
  fc.constant({ kind: 'drop_before' as const }),
  fc.constant({ kind: 'http' as const, status: 502 }),
  fc.constant({ kind: 'ratelimit' as const, retry_after_s: 1 }),
  fc.constant({ kind: 'error' as const, error: 'internal_error' }),
  fc.constant({ kind: 'slow' as const, delay_ms: 300 }),
);

const incidentId = (n: number): string => `INC-2026-1123-${String(n).padStart(3, '0')}`;

describe('the outbox in bad weather', () => {
  it('shows every card exactly once and in its newest state, through faults and restarts', async () => {
    const rig = await startRig({ limits_enforced: false });
    try {
      const weather = fc.sample(fc.tuple(fc.constantFrom(...METHODS), fault), {
        seed: 20261123,
        numRuns: 60,
      });
      const storm = setInterval(() => {
        const next = weather.shift();
        if (next !== undefined) rig.twin.faults.next(next[0], next[1]);
      }, 700);
      const cards: [string, NewCard][] = [];
      for (let n = 1; n <= INCIDENTS; n++) {
        const id = incidentId(n);
        const placed = (
          card_key: string,
          placement: NewCard['placement'],
          notice: NewCard['notice'],
        ): void => {
          cards.push([id, { card_key, placement, channel: CHANNEL, notice }]);
        };
        placed(
          `root:${id}`,
          'root',
          incidentNotice({ incident_id: id, approval_card: null, doing: 'first' }),
        );
        for (let at = 0; at < LINES; at++)
          placed(
            `timeline:${id}:${at}:0`,
            'thread',
            timelineNotice({ incident_id: id, segments: [{ t: 'text', text: `line ${at}` }] }),
          );
        placed(`approval:APR-${n}`, 'thread', approvalNotice({ incident_id: id, approval_id: `APR-${n}` }));
        placed(
          `root:${id}`,
          'root',
          incidentNotice({ incident_id: id, approval_card: null, waiting_for: null, doing: 'last' }),
        );
      }
      for (const [index, [id, card]] of cards.entries()) {
        await rig.want(card, id);
        if (index % 20 === 19) await rig.restart();
      }
      await until(() => weather.length === 0, 60_000);
      clearInterval(storm);
      rig.twin.faults.clear();
      await until(async () => (await rig.store.outbox.due(100)).length === 0, 90_000);

      const messages = rig.twin.store.messages(CHANNEL);
      const keys = messages.map(
        (message) =>
          (message.metadata?.['event_payload'] as { card_key: string } | undefined)?.card_key ?? '-',
      );
      expect(keys.toSorted()).toEqual([...new Set(cards.map(([, card]) => card.card_key))].toSorted());
      for (const message of messages.filter((each) => each.thread_ts === undefined))
        expect(JSON.stringify(message.blocks)).toContain('last');
      for (let n = 1; n <= INCIDENTS; n++) {
        const root = messages.find(
          (message) => message.text.includes(incidentId(n)) && message.thread_ts === undefined,
        );
        const lines = messages
          .filter((message) => message.thread_ts === root?.ts)
          .map((message) => /line (\d)/.exec(message.text)?.[1]);
        expect(lines.filter((each) => each !== undefined)).toEqual(['0', '1', '2', '3']);
      }
    } finally {
      await rig.close();
    }
  });
});
