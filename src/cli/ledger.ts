import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isRefusal, refuse } from '../contract/verdict.ts';
import type { Store } from '../store/store.ts';
import { readPublicKey } from '../store/keys.ts';
import type { PublicKey } from '../store/keys.ts';
import { verifyExport } from '../store/verify-export.ts';
import { withContext } from './context.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print } from './output.ts';
import { personAtTerminal, refusedHere } from './person-token.ts';

/** Entries that `ledger show` prints. */
const SHOW_MAX = 10_000;

export interface LedgerOptions {
  readonly witness?: boolean;
  readonly checkpoint?: string;
  readonly file?: string;
  readonly key?: string;
  readonly out?: string;
  readonly tokenFile?: string;
}

export async function ledger(
  options: GlobalOptions,
  action: string,
  chain: string | undefined,
  o: LedgerOptions,
): Promise<void> {
  if (action === 'verify' && o.file !== undefined) return verifyFile(options, o.file, o.key);
  if (action === 'verify') return verify(options, chain, o);
  if (action === 'show') return show(options, chain);
  if (action === 'export') return exportChains(options, chain, o.out);
  if (action === 'key') return showKey(options);
  if (action === 'accept-rewind') return acceptRewind(options, chain, o.tokenFile);
  throw new CliError(
    `"${action}" is not a ledger action; use verify, show, export, key or accept-rewind`,
    EXIT.usage,
  );
}

async function verify(options: GlobalOptions, chain: string | undefined, o: LedgerOptions): Promise<void> {
  const posted = o.checkpoint === undefined ? null : postedIn(o.checkpoint);
  await withContext(options, 'read', async ({ store }) => {
    const verdict = await store.ledger.verify({
      ...(chain === undefined ? {} : { chain }),
      witness: o.witness === true,
      ...(posted === null ? {} : { posted }),
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

/** `<number>:<hash>`, as the audit channel shows it. */
function postedIn(text: string): { seq: number; hash: string } {
  const found = /^([1-9]\d{0,14}):([0-9a-f]{64})$/.exec(text.trim());
  if (found === null)
    throw new CliError(
      `--checkpoint ${text} is not a checkpoint; copy it from the audit channel: <number>:<64 hex digits>`,
      EXIT.usage,
    );
  return { seq: Number(found[1]), hash: found[2] ?? '' };
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

/** Needs no configuration, no home and no network: the file, and the public key where somebody kept it. */
async function verifyFile(options: GlobalOptions, file: string, key_file: string | undefined): Promise<void> {
  if (!existsSync(file)) throw new CliError(`there is no file ${file}`);
  const verdict = await verifyExport(file, key_file === undefined ? null : keyIn(key_file));
  const { problem } = verdict;
  const trust =
    key_file === undefined
      ? `signed by key ${verdict.key_id ?? 'unknown'}, which the file itself brings: compare it with "aegis ledger key", or give that with --key`
      : `signed by key ${verdict.key_id ?? 'unknown'}, the given one`;
  const where = problem?.chain == null ? '' : `${problem.chain} entry ${problem.seq ?? '?'}: `;
  const text =
    problem === null
      ? `export verified: ${verdict.entries} entries in ${verdict.chains} chains, ${trust}`
      : `export BROKEN: ${file} line ${problem.line}: ${where}${problem.what}\n${verdict.entries} entries before it are sound. Keep the file as it is and export again from the database or a backup.`;
  print(options, verdict, text);
  if (!verdict.ok) process.exitCode = EXIT.refused;
}

function keyIn(file: string): PublicKey {
  try {
    return readPublicKey(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliError(
      `${file} holds no public key for Ed25519 (${(error as Error).message}); "aegis ledger key" prints one`,
      EXIT.usage,
    );
  }
}

async function showKey(options: GlobalOptions): Promise<void> {
  await withContext(options, 'read', async ({ store }) => {
    const key = await store.ledger.publicKey();
    print(options, key, key.pem.trimEnd());
  });
}

/** Two people, each with their own token and a reason; until both are there no write happens. */
async function acceptRewind(
  options: GlobalOptions,
  reason: string | undefined,
  token_file: string | undefined,
): Promise<void> {
  if (reason === undefined || reason.trim() === '')
    throw new CliError('say why, in quotes: aegis ledger accept-rewind "<reason>"', EXIT.usage);
  await withContext(options, 'write', async ({ store, config }) => {
    const about = 'ledger accept-rewind';
    const { grant } = await personAtTerminal(store, token_file, about);
    const known = config.settings.identity.some((i) => i.principal === grant.principal);
    const answer = known ? await store.ledger.acceptRewind(grant, reason.trim()) : UNKNOWN_PERSON;
    if (isRefusal(answer)) throw await refusedHere(store, answer, about);
    print(
      options,
      { ...answer, by: grant.principal },
      answer.accepted
        ? `Accepted by ${answer.people.join(' and ')}: the database is taken as it is, and writes are possible again. What happened after the copy was made is not known here: look at the systems before anything is approved.`
        : `Written down for ${grant.principal}. One more person must accept it with their own token within a day; until then no write happens.`,
    );
  });
}

const UNKNOWN_PERSON = refuse(
  'unknown-person',
  'The person of this token is no longer under `identity` in aegis.yaml.',
  'Another person has to accept it.',
);

async function exportChains(
  options: GlobalOptions,
  chain: string | undefined,
  out: string | undefined,
): Promise<void> {
  if (out !== undefined && existsSync(out))
    throw new CliError(`${out} exists and is not overwritten; choose another name`, EXIT.usage);
  await withContext(options, 'read', async ({ store }) => {
    if (chain !== undefined) await refuseUnknownChain(store, chain);
    const lines = Readable.from(store.ledger.export(chain ?? null));
    if (out === undefined) return toStandardOutput(lines);
    await pipeline(lines, createWriteStream(out, { flags: 'wx', mode: 0o600, flush: true }));
    print(options, { exported: out }, `exported to ${out}; check it with: aegis ledger verify --file ${out}`);
  });
}

async function refuseUnknownChain(store: Store, chain: string): Promise<void> {
  const heads = await store.ledger.heads();
  const known = heads.some((h) => h.incident_id === chain);
  if (!known && (await store.ledger.read(chain, { limit: 1 })).length === 0)
    throw new CliError(`there is no chain "${chain}"; "aegis incidents --all" lists incidents`);
}

async function toStandardOutput(lines: Readable): Promise<void> {
  try {
    await pipeline(lines, process.stdout, { end: false });
  } catch (error) {
    // Whoever reads has seen enough: `aegis ledger export | head`.
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  }
}
