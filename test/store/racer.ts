import { entry, H, inboxRow, permit, step } from './samples.ts';
import { SeqConflictError } from '../../src/store/errors.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';

/**
 * One of two processes that work on one home at once (processes.test.ts). Prints what it got as one line of JSON; any
 * error that is not a lost race ends it with exit code 1.
 */
const [home = '', task = ''] = process.argv.slice(2);
const ROUNDS = 60;

async function commitSteps(store: Store): Promise<{ committed: number; conflicts: number }> {
  let committed = 0;
  let conflicts = 0;
  while (committed < ROUNDS) {
    const row = await store.incidents.get('INC-2026-1123-001');
    try {
      await store.step.commit(step(row?.step ?? 0));
      committed += 1;
    } catch (error) {
      if (!(error instanceof SeqConflictError)) throw error;
      conflicts += 1;
    }
  }
  return { committed, conflicts };
}

async function race(store: Store) {
  const steps = await commitSteps(store);
  let first_seen = 0;
  let accepted = 0;
  const ids: string[] = [];
  for (let n = 0; n < ROUNDS; n += 1) {
    const appended = await store.inbox.append(inboxRow(`key-${n}`));
    if (!appended.duplicate) first_seen += 1;
    await store.journal.mintPermit(permit(n), entry()).catch((error: Error) => {
      if (!error.message.includes('UNIQUE')) throw error;
    });
    const audit = { kind: 'call', actor: 'aegis:gateway', payload: { n } } as const;
    const answer = await store.journal.accept({
      permit_id: `permit_${n}`,
      key: `key-${n}`,
      args_hash: H('args'),
      audit,
    });
    if (answer.result === 'accepted') accepted += 1;
    ids.push(await store.incidents.allocateId(0));
    await store.ledger.checkpoint(`round ${n}`);
  }
  return { ...steps, first_seen, accepted, ids };
}

const store = await openStore({ home, clock: { now: () => permit(0).expires_at_ms - 1 } });
if (task === 'race') {
  console.log(JSON.stringify(await race(store)));
  await store.close();
} else {
  console.log(JSON.stringify({ started: await store.effects.start(task) }));
  setInterval(() => undefined, 1000);
}
