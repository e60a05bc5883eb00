import { randomBytes } from 'node:crypto';
import type { Range } from '../lab/range.ts';
import type { Scenario } from '../lab/scenarios/scenario.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT } from './output.ts';
import { nearest } from '../config-issue.ts';

/**
 * Runs the unchanged product against simulated systems; `--hands-off` lets simulated people act and ends by itself.
 * `--shadow` does the same with autonomy `suggest`: there is no approval to press, so somebody must repair by hand.
 * `--limited` does it with autonomy `limited`: nobody is asked.
 */
export async function lab(
  _options: GlobalOptions,
  name: string,
  o: { handsOff?: boolean; shadow?: boolean; limited?: boolean; port: string },
): Promise<void> {
  const { SCENARIOS } = await import('../lab/scenarios/index.ts');
  const scenario = SCENARIOS.find((s) => s.name === name);
  if (scenario === undefined) {
    const near = nearest(
      name,
      SCENARIOS.map((s) => s.name),
    );
    throw new CliError(
      `there is no scenario "${name}"${near === null ? '' : `; did you mean "${near}"?`} Known: ${SCENARIOS.map((s) => s.name).join(', ')}`,
      EXIT.usage,
    );
  }
  const told = storyOf(scenario, SCENARIOS, o);
  const port = Number(o.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new CliError(`--port ${o.port} is not a port`, EXIT.usage);
  const { startRange } = await import('../lab/range.ts');
  const interrupted = interruption();
  // The product is started the way this process was: from dist, or from the sources through a loader.
  const run = { command: process.execPath, args: [...process.execArgv, process.argv[1] ?? ''] };
  const range = await startRange(scenario, run, told === null ? {} : { autonomy: told.autonomy });
  const hands_off = told !== null;
  let cut_short = false;
  try {
    if (told !== null)
      cut_short = (await Promise.race([handsOff(range, told), interrupted])) === 'interrupted';
    else await interactive(range, scenario, port, interrupted);
  } finally {
    await range.close();
  }
  // The simulated people of an interrupted story still wait for their cards: nothing but an exit ends them.
  if (cut_short) process.exit(EXIT_INTERRUPTED);
  if (hands_off) tellOutcome(range);
  await verifyLedger(range);
}

/** A story that ends by itself, and what Aegis may do in it. */
interface Told {
  readonly autonomy: 'approve' | 'suggest' | 'limited';
  readonly words: string;
  readonly play: Scenario['handsOff'];
}

/** Null: no story, a person plays along. */
function storyOf(
  scenario: Scenario,
  all: readonly Scenario[],
  o: { handsOff?: boolean; shadow?: boolean; limited?: boolean },
): Told | null {
  if (o.shadow === true && o.limited === true)
    throw new CliError('--shadow and --limited are two stories: choose one', EXIT.usage);
  const kind = o.shadow === true ? 'shadow' : o.limited === true ? 'limited' : null;
  if (kind === null)
    return o.handsOff === true
      ? { autonomy: 'approve', words: '', play: (range, say) => scenario.handsOff(range, say) }
      : null;
  const play = scenario[kind];
  if (play === undefined) {
    const known = all.filter((s) => s[kind] !== undefined).map((s) => s.name);
    throw new CliError(
      `"${scenario.name}" has no story with --${kind}. Those that have: ${known.join(', ')}`,
      EXIT.usage,
    );
  }
  return kind === 'shadow'
    ? { autonomy: 'suggest', words: ' in shadow', play }
    : { autonomy: 'limited', words: ' with limited autonomy', play };
}

/** Ctrl-C or SIGTERM, listened for from the start: whatever has been started by then is ended in order. */
function interruption(): Promise<'interrupted'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve('interrupted'));
  });
}

/** What a shell reports for a command that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Widest line of the story: longer ones are hard to read even on a wide terminal. */
const WIDTH_MAX = 120;

async function handsOff(range: Range, { words, play }: Told): Promise<void> {
  const { printThread } = await import('../lab/thread-printer.ts');
  const { stdout } = process;
  say(`Aegis lab "${range.scenario.name}"${words}: ${range.scenario.summary}`);
  say('Everything outside Aegis is simulated on this machine; Aegis itself is the unchanged product.');
  say('Every card says SIMULATED; below, each card is printed once, then only what an edit changes.');
  const printer = printThread(range.twins.slack, {
    write: say,
    width: Math.min(stdout.isTTY ? stdout.columns : WIDTH_MAX, WIDTH_MAX),
    colours: stdout.isTTY && stdout.hasColors(),
  });
  try {
    await play(range, (line) => printer.tell(line));
  } finally {
    printer.stop();
  }
}

/** What the simulated systems saw, told after the product has ended. */
function tellOutcome(range: Range): void {
  say('Writes that reached the cluster:');
  for (const m of range.twins.kubernetes.mutations())
    say(`    ${m.method} ${m.path} -> ${m.status} (${m.user})`);
  const { leases, tokens } = range.twins.vault.outstanding();
  const calls = tokens.filter((t) => t.path.includes('create'));
  say(`Credentials still alive at Vault: ${leases.length} leases, ${calls.length} tokens of calls`);
}

async function verifyLedger(range: Range): Promise<void> {
  const { openStore } = await import('../store/open-store.ts');
  const { systemClock } = await import('../system-ports.ts');
  const store = await openStore({ home: range.files.home, clock: systemClock, readonly: true });
  try {
    const verdict = await store.ledger.verify({ witness: true });
    if (!verdict.ok)
      throw new CliError(
        `the ledger is broken: ${verdict.problems.map((p) => `${p.chain} ${p.seq}: ${p.what}`).join('; ')}`,
      );
    say(`Configuration, ledger and evidence of this run: ${range.files.dir}`);
    say(`ledger verified: ${verdict.entries} entries`);
  } finally {
    await store.close();
  }
}

async function interactive(
  range: Range,
  scenario: Scenario,
  port: number,
  interrupted: Promise<unknown>,
): Promise<void> {
  const { startPage } = await import('../lab/page/page.ts');
  const { DATA_CHANNEL, PEOPLE } = await import('../lab/people.ts');
  const info = () => [
    scenario.summary,
    `kubectl --kubeconfig ${range.files.kubeconfig} get deployments,sparkapplications,pods,events`,
    `aegis --config ${range.files.config} incidents`,
  ];
  const page = await startPage({
    slack: range.twins.slack,
    token: randomBytes(18).toString('base64url'),
    port,
    first: { user: PEOPLE.maya, channel: DATA_CHANNEL },
    info,
  }).catch((error: unknown) => {
    const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    throw taken
      ? new CliError(`port ${port} is taken on this machine; choose another one with --port, or --port 0`)
      : error;
  });
  try {
    say(`Aegis lab "${scenario.name}": ${scenario.summary}\n`);
    say(`  Simulated workspace   ${page.url}`);
    say(`  Configuration         ${range.files.config}`);
    say(
      `  kubectl               kubectl --kubeconfig ${range.files.kubeconfig} get deployments,sparkapplications,pods,events`,
    );
    say('\nOpen the workspace, press Activate, then let two other people approve. Ctrl-C ends the lab.');
    const posted = await range.webhook(scenario.alert(Date.now()));
    if (posted.status !== 200)
      throw new CliError(`the product answered the alert with ${posted.status}: ${posted.body}`);
    await interrupted;
    say('\nEnding the lab …');
  } finally {
    await page.close();
  }
}
