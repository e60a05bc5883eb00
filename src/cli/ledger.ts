import { withContext } from './context.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print } from './output.ts';

/** Entries that `ledger show` prints. */
const SHOW_MAX = 10_000;

export async function ledger(
  options: GlobalOptions,
  action: string,
  chain: string | undefined,
  o: { witness?: boolean },
): Promise<void> {
  if (action === 'verify') return verify(options, chain, o);
  if (action === 'show') return show(options, chain);
  throw new CliError(`"${action}" is not a ledger action; use verify or show`, EXIT.usage);
}

async function verify(
  options: GlobalOptions,
  chain: string | undefined,
  o: { witness?: boolean },
): Promise<void> {
  await withContext(options, 'read', async ({ store }) => {
    const verdict = await store.ledger.verify({
      ...(chain === undefined ? {} : { chain }),
      witness: o.witness === true,
    });
    const problems = verdict.problems.map(
      (p) => `  ${p.chain}${p.seq === null ? '' : ` entry ${p.seq}`}: ${p.what}`,
    );
    const text = verdict.ok
      ? `ledger verified: ${verdict.entries} entries in ${verdict.chains} chains, ${verdict.blobs} evidence files`
      : `ledger BROKEN: ${verdict.problems.length} problem(s) in ${verdict.entries} entries\n${problems.join('\n')}\nNothing will be executed. Keep the file as it is and compare it with a backup and the witness file.`;
    print(options, verdict, text);
    if (!verdict.ok) process.exitCode = EXIT.refused;
  });
}

async function show(options: GlobalOptions, chain: string | undefined): Promise<void> {
  if (chain === undefined)
    throw new CliError('name the chain: an incident id, SYSTEM or CHECKPOINT', EXIT.usage);
  await withContext(options, 'read', async ({ store }) => {
    const entries = await store.ledger.read(chain, { limit: SHOW_MAX });
    if (entries.length === 0)
      throw new CliError(`there is no chain "${chain}"; "aegis incidents --all" lists incidents`);
    const lines = entries.map(
      (e) =>
        `${String(e.seq).padStart(5)}  ${e.at}  ${e.kind.padEnd(10)} ${e.actor.padEnd(18)} ${JSON.stringify(e.payload).slice(0, 160)}`,
    );
    print(options, { entries }, lines.join('\n'));
  });
}
