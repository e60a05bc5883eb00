import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { DATA_CHANNEL } from '../../src/lab/people.ts';
import { startRange } from '../../src/lab/range.ts';
import type { Range } from '../../src/lab/range.ts';
import type { Scenario } from '../../src/lab/scenarios/scenario.ts';
import { sparkDriverOom } from '../../src/lab/scenarios/spark-driver-oom.ts';
import type { StoredMessage } from '../../src/lab/slack/store.ts';
import { approvalCard, hasAction, rootCard, until } from '../../src/lab/watching.ts';
import type { IncidentState } from '../../src/contract/incident.ts';
import { parseSnapshot } from '../../src/harness/machine.ts';
import { replayIncident } from '../../src/harness/replay.ts';
import { openStore } from '../../src/store/open-store.ts';
import { systemClock } from '../../src/system-ports.ts';
import { KILL_PLAN_ENV, writeKillPoints } from '../kill/kill-plan.ts';
import type { KillPoint } from '../kill/kill-plan.ts';
import { DEATH, KILL_LOG_ENV } from '../kill/wrap-store.ts';
import { clicksOf } from './clicks.ts';
import type { Clicks } from './clicks.ts';
import { compiledOnce } from '../kill/compile-entry.ts';

/**
 * The whole product through power cuts: it dies where the test says, is started again as a supervisor would, and people
 * who saw an error press again. What they press is what the card offers, so the story also holds after a halt.
 */
const ENTRY = fileURLToPath(new URL('../kill/product-entry.ts', import.meta.url));
const STORY_MS_MAX = 120_000;
/** A person looks this long at an unchanged screen before pressing again. */
const PRESS_AGAIN_MS = 2000;
const MODAL_MS = 4000;

export interface CrashEnd {
  readonly deaths: number;
  readonly state: IncidentState;
  readonly halt: string | null;
  /** What the incident's people read when it halted on the way, oldest first. */
  readonly halts: readonly string[];
  readonly patches: number;
  readonly repeated_cards: readonly string[];
  /** Call tokens that Vault would still take. */
  readonly call_tokens: number;
  /** Store operations of all lives in order, one list for each life. */
  readonly operations: readonly string[];
  /** Where the lives ended that died at an operation: `before journal.dispatch`. */
  readonly died_at: readonly string[];
  readonly clicks: Clicks;
  readonly log: string;
}

export interface CrashOptions {
  /** One for each start of the product; null lets that life go on. */
  readonly points: readonly (KillPoint | null)[];
  /** Called with the range before the alert: faults, or a kill from outside. */
  readonly prepare?: (range: Range) => void;
  readonly story?: CrashStory;
}

/** Which story dies; the Spark job unless told. */
export interface CrashStory {
  readonly scenario: Scenario;
  readonly skills_dir?: string;
  /** A halt that is the story's end: nobody has to press anything more. */
  readonly ends_with?: RegExp;
  /** How long it may take with all its deaths; two minutes unless told. */
  readonly patience_ms?: number;
}

const SPARK: CrashStory = { scenario: sparkDriverOom };

/** Runs the story through its deaths and checks what must hold wherever they fell. */
export async function crashStory({ points, prepare, story = SPARK }: CrashOptions): Promise<CrashEnd> {
  const dir = mkdtempSync(join(tmpdir(), 'aegis-crash-'));
  const plan = join(dir, 'kill-plan');
  const operations = join(dir, 'operations');
  writeKillPoints(plan, points);
  const command = { command: process.execPath, args: [await compiledOnce(ENTRY)] };
  const env = { [KILL_PLAN_ENV]: plan, [KILL_LOG_ENV]: operations };
  const { scenario, skills_dir } = story;
  // A checkpoint that goes to Slack at each start would die there, before anybody has seen that it started.
  const where = { dir: join(dir, 'lab'), env, skills_dir, without_audit: true };
  const range = await startRange(scenario, command, where);
  const keeper = new Keeper(range);
  try {
    prepare?.(range);
    const people = new People(range, story.ends_with ?? /unknown outcome/);
    await until('the story to end', () => people.act(), story.patience_ms ?? STORY_MS_MAX);
    await until('leases to be given back', () => (leasesOf(range).leases === 0 ? true : undefined));
    const seen = await quietHome(range.files.home);
    await keeper.retire();
    const lines = existsSync(operations) ? readFileSync(operations, 'utf8').split('\n').filter(Boolean) : [];
    const died = lines.filter((line) => line.startsWith(`${DEATH} `));
    return {
      deaths: keeper.deaths,
      ...seen,
      died_at: died.map((line) => line.slice(DEATH.length + 1)),
      clicks: await clicksOf(range),
      halts: people.halts,
      patches: range.twins.kubernetes.mutations().length,
      repeated_cards: repeatedCards(range),
      call_tokens: leasesOf(range).call_tokens,
      operations: lines.filter((line) => !line.startsWith(`${DEATH} `)),
      log: range.product().log(),
    };
  } catch (error) {
    const root = rootCard(range.twins.slack, DATA_CHANNEL);
    const screen = root === undefined ? '(no card)' : range.twins.slack.plainText(root);
    throw new Error(`${String(error)}\n-- card\n${screen}\n-- log\n${range.product().log().slice(-4000)}`, {
      cause: error,
    });
  } finally {
    await keeper.retire();
    await range.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function leasesOf(range: Range): { leases: number; call_tokens: number } {
  const { leases, tokens } = range.twins.vault.outstanding();
  return {
    leases: leases.length,
    call_tokens: tokens.filter((t) => t.path.startsWith('auth/token/create')).length,
  };
}

/** Starts the product again whenever it is gone, as systemd or Kubernetes would. */
class Keeper {
  deaths = 0;
  readonly #range: Range;
  #retired = false;
  readonly #watch: Promise<void>;

  constructor(range: Range) {
    this.#range = range;
    this.#watch = this.#run();
    // Told when it retires; until then the story goes on to its own end.
    this.#watch.catch(() => undefined);
  }

  async retire(): Promise<void> {
    this.#retired = true;
    await this.#watch;
  }

  async #run(): Promise<void> {
    while (!this.#retired) {
      await sleep(20);
      if (lives(this.#range.product().pid)) continue;
      this.deaths += 1;
      // Killed again before it was ready: that is one more death, and the next turn starts it once more.
      await this.#range.restart().catch((error: unknown) => {
        if (!String(error).includes('ended before it was ready')) throw error;
      });
    }
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Alertmanager, Maya, Dan and Inês: each does what the screen asks for and repeats it when nothing came of it. */
class People {
  readonly halts: string[] = [];
  readonly #range: Range;
  readonly #alert: unknown;
  readonly #end: RegExp;
  readonly #pressed = new Map<string, number>();
  #alerted = false;

  constructor(range: Range, end: RegExp) {
    this.#range = range;
    this.#end = end;
    this.#alert = range.scenario.alert(Date.now());
  }

  /** One look at the screen; true when the incident has come to an end that nobody has to act on. */
  async act(): Promise<true | undefined> {
    const { slack } = this.#range.twins;
    if (!this.#alerted) this.#alerted = await this.#postAlert();
    const root = rootCard(slack, DATA_CHANNEL);
    if (root === undefined) return undefined;
    const text = slack.plainText(root);
    if (/Halted/.test(text)) return this.#afterHalt(root, text);
    if (/Outcome: /.test(text) && hasPostmortem(this.#range, root)) return true;
    await this.#press('maya', root, 'incident.activate');
    const card = approvalCard(slack, DATA_CHANNEL, root.ts);
    if (card !== undefined) for (const person of ['dan', 'ines']) await this.#approve(person, card);
    return undefined;
  }

  /** The card says what is possible. Nobody plans again over an unknown outcome: that is for a person with eyes. */
  async #afterHalt(root: StoredMessage, text: string): Promise<true | undefined> {
    const sentence = /Halted: (.*)/.exec(text)?.[1] ?? text;
    if (this.halts.at(-1) !== sentence) this.halts.push(sentence);
    if (/unknown outcome/.test(text) || this.#end.test(text)) return true;
    if (hasAction(root, 'incident.resume')) await this.#press('maya', root, 'incident.resume');
    else await this.#press('maya', root, 'incident.plan_again');
    return undefined;
  }

  /** Alertmanager sends again until it hears 200. */
  async #postAlert(): Promise<boolean> {
    const answer = await this.#range.webhook(this.#alert).catch(() => null);
    return answer?.status === 200;
  }

  async #press(person: string, message: StoredMessage, action_id: string): Promise<void> {
    if (!hasAction(message, action_id) || !this.#mayPress(`${person} ${action_id}`)) return;
    await this.#range.twins.slack.as(person).click({ channel: message.channel, ts: message.ts, action_id });
  }

  async #approve(person: string, card: StoredMessage): Promise<void> {
    const actor = this.#range.twins.slack.as(person);
    if (!hasAction(card, 'approval.review') || !this.#mayPress(`${person} ${card.ts}`)) return;
    while (actor.views().length > 0) await actor.closeView();
    const { attempt } = await actor.click({
      channel: card.channel,
      ts: card.ts,
      action_id: 'approval.review',
    });
    if (attempt?.status !== 200) return;
    const filled = () => (actor.views().at(-1)?.view['submit'] ? true : undefined);
    const ready = await until('the modal', filled, MODAL_MS).catch(() => null);
    if (ready) await actor.submit();
  }

  #mayPress(what: string): boolean {
    const last = this.#pressed.get(what) ?? 0;
    if (Date.now() - last < PRESS_AGAIN_MS) return false;
    this.#pressed.set(what, Date.now());
    return true;
  }
}

function hasPostmortem(range: Range, root: StoredMessage): boolean {
  const { slack } = range.twins;
  return slack.store.thread(root.channel, root.ts).some((m) => /Postmortem INC/.test(slack.plainText(m)));
}

/** Keys of cards that stand more than once in the channel: a crash between post and note must not repeat one. */
function repeatedCards(range: Range): string[] {
  const keys = range.twins.slack.store
    .all()
    .filter((m) => m.bot_id !== undefined && m.deleted !== true)
    .map((m) => (m.metadata?.['event_payload'] as { card_key?: string } | undefined)?.card_key ?? m.ts);
  return keys.filter((key, at) => keys.indexOf(key) !== at);
}

/** Beside the running product: everything taken in and shown, one incident, whole chains, replay equal, nothing open. */
async function quietHome(home: string): Promise<{ state: IncidentState; halt: string | null }> {
  const store = await openStore({ home, clock: systemClock, readonly: true });
  try {
    await until('inbox and cards to be done', async () => {
      const waiting = [...(await store.inbox.pending(10)), ...(await store.outbox.due(10))];
      return waiting.length === 0 ? true : undefined;
    });
    expect((await store.ledger.verify({ witness: true })).problems).toEqual([]);
    // The running product's own login stays for as long as it runs.
    const leases = (await store.leases.outstanding()).filter(({ engine }) => engine !== 'vault_login');
    expect(leases).toEqual([]);
    const [incident, ...others] = await store.incidents.list({ limit: 10 });
    if (incident === undefined) throw new Error('no incident was opened');
    expect(others.map((o) => o.incident_id)).toEqual([]);
    expect(await replayIncident(store, incident.incident_id)).toMatchObject({ equal: true });
    const { context } = parseSnapshot(incident.snapshot);
    return { state: incident.state, halt: context.halt?.reason ?? null };
  } finally {
    await store.close();
  }
}
