import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PersonGrant } from '../../src/contract/person-token.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { entry, handClock, INC, permit, step } from './samples.ts';

/** A token that was minted just now. */
const grant = (principal: string, minted_at_ms = clock.now()): PersonGrant => ({
  token_id: `ptok_${principal}`,
  principal,
  public_key: 'x',
  minted_at_ms,
  expires_at_ms: clock.now() + 3_600_000,
});

/** Two people, one after the other. @returns the answer to the second one. */
async function acceptByTwo(store: Store, reason: string): Promise<unknown> {
  const first = await store.ledger.acceptRewind(grant('anna'), reason);
  if ('allow' in first) return first;
  expect(first).toEqual({ accepted: false, people: ['anna'] });
  expect(await store.ledger.rewind()).not.toBeNull();
  return store.ledger.acceptRewind(grant('bo'), reason);
}
const ACCEPTED = { accepted: true, people: ['anna', 'bo'] };
const PLACE = { team: 'data', env: 'prod' };
let root = '';
let home = '';
const clock = handClock();
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aegis-rewind-'));
  home = join(root, 'home');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const witness = () => join(home, 'witness.jsonl');

async function opened<T>(work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ home, clock });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** Entries and a checkpoint for each of `rounds`. */
const grow = (rounds: number) =>
  opened(async (store) => {
    for (let n = 0; n < rounds; n += 1) {
      await store.ledger.append('SYSTEM', [entry()]);
      expect(await store.ledger.checkpoint('grown')).not.toBeNull();
    }
  });

/** What a backup of the database alone holds, and how it comes back. */
const backUp = () => cpSync(join(home, 'aegis.db'), join(root, 'backup.db'));
const restore = () => {
  for (const name of ['aegis.db-wal', 'aegis.db-shm']) rmSync(join(home, name), { force: true });
  cpSync(join(root, 'backup.db'), join(home, 'aegis.db'));
};

/** Asks for everything that a write needs. */
async function tryToWrite(store: Store): Promise<string> {
  const minted = await store.journal.mintPermit(permit(1), entry());
  return minted === 'minted' ? 'minted' : minted.code;
}

async function expectStopped(store: Store, what: RegExp): Promise<void> {
  expect((await store.ledger.rewind())?.what).toMatch(what);
  expect(await tryToWrite(store)).toBe('database-rewound');
  expect(await store.freezes.active(PLACE)).toMatchObject([
    { scope: '*', by: 'system:witness', reason: expect.stringMatching(what) },
  ]);
}

describe('a database that went back', () => {
  it('is seen at start and stops every write, until two people accept it with a reason', async () => {
    await opened((store) => store.step.commit(step(0)));
    await grow(1);
    backUp();
    await grow(2);
    restore();
    await opened(async (store) => {
      await expectStopped(store, /older copy: it ends at checkpoint 1, the witness file at 3/);
      expect((await store.ledger.verify({ witness: true })).ok).toBe(false);
      expect(await acceptByTwo(store, 'the disk died')).toEqual(ACCEPTED);
      expect(await store.ledger.rewind()).toBeNull();
      expect(await tryToWrite(store)).toBe('minted');
      expect((await store.ledger.read('SYSTEM')).at(-1)).toMatchObject({
        actor: 'person:bo',
        payload: {
          type: 'rewind_accepted',
          reason: 'the disk died',
          witness: { seq: 3 },
          people: ['anna', 'bo'],
          by: 'bo',
        },
      });
    });
    await opened(async (store) => {
      expect(await store.ledger.rewind()).toBeNull();
      expect((await store.ledger.verify({ witness: true })).problems).toEqual([]);
    });
  });

  it('is seen whatever was lost, be it one checkpoint or the whole database', async () => {
    const rounds = fc.record({ before: fc.nat({ max: 4 }), after: fc.integer({ min: 1, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(rounds, async ({ before, after }) => {
        rmSync(home, { recursive: true, force: true });
        await grow(before);
        backUp();
        await grow(after);
        restore();
        await opened(async (store) => {
          await expectStopped(store, new RegExp(`ends at checkpoint ${before}, .* at ${before + after} `));
          await store.ledger.append('SYSTEM', [entry()]);
          expect(await store.ledger.checkpoint('must not hide it')).toBeNull();
        });
        await opened((store) => expectStopped(store, /older copy/));
      }),
      { numRuns: 12 },
    );
  });

  it('that has grown beyond the lost history is another one, and is stopped too', async () => {
    await grow(1);
    backUp();
    await grow(1);
    const lost = readFileSync(witness());
    restore();
    rmSync(witness());
    await opened((store) => acceptByTwo(store, 'no copy left'));
    await grow(2);
    writeFileSync(witness(), lost);
    await opened((store) => expectStopped(store, /another one.*checkpoint 2/));
  });

  it('stays stopped in a dispatch that had its permit before', async () => {
    const minted = permit(1);
    await opened(async (store) => {
      await store.step.commit(step(0));
      await store.journal.mintPermit(minted, entry());
      const { permit_id, args_hash } = minted;
      const key = `${INC}#${minted.change_id}#apply`;
      expect((await store.journal.accept({ permit_id, key, args_hash, audit: entry() })).result).toBe(
        'accepted',
      );
    });
    backUp();
    await grow(1);
    restore();
    await opened(async (store) => {
      const key = `${INC}#${minted.change_id}#apply`;
      expect(await store.journal.dispatch(key, { before_image: null, object_uid: null })).toMatchObject({
        code: 'frozen',
        reason: expect.stringContaining('older copy'),
        remedy: expect.stringContaining('aegis doctor'),
      });
    });
  });

  it('is let go by an acceptance of another process, at once', async () => {
    await grow(1);
    backUp();
    await grow(1);
    restore();
    await opened(async (service) => {
      await expectStopped(service, /older copy/);
      await opened((cli) => acceptByTwo(cli, 'restored on purpose'));
      expect(await service.ledger.rewind()).toBeNull();
      expect(await tryToWrite(service)).toBe('minted');
    });
  });

  it('is not accepted by half: a crash between the record and the witness file leaves writes stopped', async () => {
    await grow(1);
    backUp();
    await grow(1);
    const before = readFileSync(witness());
    restore();
    await opened((store) => acceptByTwo(store, 'first try'));
    writeFileSync(witness(), before);
    await opened(async (store) => {
      await expectStopped(store, /another one|older copy/);
      expect(await acceptByTwo(store, 'second try')).toEqual(ACCEPTED);
      expect((await store.ledger.verify({ witness: true })).problems).toEqual([]);
    });
  });
});

describe('two people accept a rewind', () => {
  const rewoundOnce = async (): Promise<void> => {
    await grow(1);
    backUp();
    await grow(1);
    restore();
  };

  it('one person twice is one, with any number of tokens; writes stay stopped', async () => {
    await rewoundOnce();
    await opened(async (store) => {
      await store.ledger.acceptRewind(grant('anna'), 'mine');
      const again = { ...grant('anna'), token_id: 'ptok_other' };
      expect(await store.ledger.acceptRewind(again, 'mine again')).toMatchObject({ code: 'same-person' });
      await expectStopped(store, /older copy/);
      expect(await store.ledger.checkpoint('interval')).toBeNull();
    });
  });

  it('the first one is forgotten after a day', async () => {
    await rewoundOnce();
    await opened(async (store) => {
      await store.ledger.acceptRewind(grant('anna'), 'mine');
      clock.at += 24 * 3_600_000 + 1;
      expect(await store.ledger.acceptRewind(grant('bo'), 'mine')).toEqual({
        accepted: false,
        people: ['bo'],
      });
      await expectStopped(store, /older copy/);
    });
  });

  it('an acceptance of one rewind does not count for the next one', async () => {
    await rewoundOnce();
    await opened((store) => store.ledger.acceptRewind(grant('anna'), 'mine'));
    restore();
    rmSync(witness());
    await opened(async (store) => {
      expect(await store.ledger.acceptRewind(grant('bo'), 'mine')).toEqual({
        accepted: false,
        people: ['bo'],
      });
      await expectStopped(store, /is gone/);
    });
  });

  it('a token as old as the restored database counts for nobody: it may have been revoked since', async () => {
    const old = grant('anna', clock.now() - 60_000);
    await rewoundOnce();
    await opened(async (store) => {
      expect(await store.ledger.acceptRewind(old, 'mine')).toMatchObject({
        code: 'token-too-old',
        remedy: expect.stringContaining('aegis token mint --person anna'),
      });
    });
  });
});

describe('the witness file', () => {
  it('may be absent as long as the database has never written to it', async () => {
    await opened(async (store) => {
      await store.ledger.append('SYSTEM', [entry()]);
      expect(await store.ledger.rewind()).toBeNull();
      expect(await tryToWrite(store)).toBe('minted');
    });
  });

  it.each([
    ['gone', () => rmSync(witness())],
    ['emptied', () => writeFileSync(witness(), '')],
  ])('that is %s stops writes, also of a service that runs', async (_, lose) => {
    await grow(1);
    await opened(async (store) => {
      expect(await store.ledger.rewind()).toBeNull();
      lose();
      await expectStopped(store, /is gone/);
      expect(await acceptByTwo(store, 'lost with the disk')).toEqual(ACCEPTED);
      expect(await store.ledger.rewind()).toBeNull();
      expect((await store.ledger.verify({ witness: true })).problems).toEqual([]);
    });
  });

  it('with a last line that is none stops writes and cannot be accepted away', async () => {
    await grow(1);
    appendFileSync(witness(), 'nonsense\n');
    await opened(async (store) => {
      await expectStopped(store, /no ledger entry/);
      expect(await acceptByTwo(store, 'whatever')).toMatchObject({ code: 'database-rewound' });
    });
  });

  it('with a torn last line, which a crash leaves, stops nobody', async () => {
    await grow(2);
    appendFileSync(witness(), readFileSync(witness()).subarray(0, 80));
    await opened(async (store) => expect(await store.ledger.rewind()).toBeNull());
    await grow(1);
  });

  it('that agrees leaves nothing to accept', async () => {
    await grow(1);
    await opened(async (store) =>
      expect(await acceptByTwo(store, 'by mistake')).toMatchObject({ code: 'not-rewound' }),
    );
  });
});
