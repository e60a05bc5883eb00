import type { z } from 'zod';
import type { EvidencePointer, EvidenceRecord, HoldsResult } from '../contract/evidence.ts';
import type { RefusalPayload } from '../contract/ledger.ts';
import { parsePath } from '../contract/pipeline-path.ts';
import { parsePipeline } from '../contract/pipeline-parser.ts';
import type { Pipeline } from '../contract/pipeline.ts';
import type { Clock, Ids, Log } from '../contract/ports.ts';
import type { Settings } from '../contract/settings.ts';
import { KEPT_BY_DEFAULT } from '../contract/retention.ts';
import type { Retention } from '../contract/retention.ts';
import { isRefusal, refuse, type Refusal } from '../contract/verdict.ts';
import { WorldRequest, type World, type WorldResponse } from '../contract/world.ts';
import type { GatewayRead } from '../gateway/read.ts';
import type { Store } from '../store/store.ts';
import { captureEvidence, firstLines } from './capture.ts';
import { explainPipeline } from './explain.ts';
import { holdsEvidence } from './holds.ts';
import { linesOf } from './line-text.ts';
import { isMissing } from './mount.ts';
import { SHIPPED_MARKS } from './pushdown.ts';
import {
  addSpent,
  budgetProblem,
  costOf,
  NOTHING_SPENT,
  sizeProblem,
  type ReadSpent,
} from './read-budget.ts';
import { narrower, runPipeline } from './run.ts';
import { createSourceReader, type SourceReader } from './source-reader.ts';
import { createTree, noSuchPath, type Tree } from './tree.ts';
import { accountOf, ledgerActor, type VfsSession } from './session.ts';

/**
 * L1, the world as files. It turns a read command into questions to the gateway, renders redacted text, captures it as
 * evidence and can tell later whether it still holds. It reads only: nothing in here can change the outside, and it sees
 * the outside through the gateway's read door alone, with the reader's own token.
 */
export interface Vfs {
  /** The world of one session and one round: the round's read budget lives as long as this object. */
  world(session: VfsSession): World;
  /** Intact and still true? Reads the source again; captures nothing and costs no read budget. */
  holds(pointer: EvidencePointer, session: VfsSession, signal?: AbortSignal): Promise<HoldsResult>;
  /** The captured file of a pointer or evidence id of the session's tenant, unsealed. */
  readCaptured(evidence: EvidencePointer | string, session: VfsSession): Promise<CapturedFile | Refusal>;
}

interface CapturedFile {
  readonly record: EvidenceRecord;
  readonly lines: readonly string[];
}

export interface VfsDeps {
  readonly store: Pick<Store, 'evidence' | 'ledger' | 'incidents' | 'budgets'>;
  readonly gateway: GatewayRead;
  readonly settings: Pick<Settings, 'teams' | 'sources' | 'clusters' | 'services'>;
  readonly skills_dir: string | null;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** Redaction marks in force besides those of the shipped rules: text like them is never pushed. */
  readonly redaction_marks?: () => readonly string[];
  /** How long captured text is kept, where the policies say so. */
  readonly retention?: () => Retention;
}

export function createVfs(deps: VfsDeps): Vfs {
  const trees = new Map<string, Tree>();
  const treeOf = ({ team, env }: VfsSession): Tree => {
    const key = `${team}/${env}`;
    const known = trees.get(key);
    if (known !== undefined) return known;
    const { settings, store, skills_dir, log, clock } = deps;
    const redaction_marks = (): readonly string[] => [...SHIPPED_MARKS, ...(deps.redaction_marks?.() ?? [])];
    const tenant = { team, env };
    const tree = createTree({ tenant, settings, store, skills_dir, redaction_marks, log, clock });
    trees.set(key, tree);
    return tree;
  };
  return {
    world: (session) => createWorld(deps, treeOf(session), session),
    holds(pointer, session, signal) {
      const why = 'check that cited evidence still holds';
      const io = createSourceReader({ gateway: deps.gateway, session, why, signal });
      const rerun = (pipeline: Pipeline) =>
        runPipeline(pipeline, { tree: treeOf(session), io, now_ms: deps.clock.now() });
      return holdsEvidence({ store: deps.store, clock: deps.clock, rerun }, pointer, session);
    },
    readCaptured: (evidence, session) => readCaptured(deps, evidence, session),
  };
}

interface WorldState {
  readonly deps: VfsDeps;
  readonly tree: Tree;
  readonly session: VfsSession;
  /** Refusals that the gateway gave and recorded itself. */
  readonly by_gateway: WeakSet<Refusal>;
  round: ReadSpent;
  /** Spent by the incident before and during this round; null until it was read from the store. */
  incident: ReadSpent | null;
}

function createWorld(deps: VfsDeps, tree: Tree, session: VfsSession): World {
  const state: WorldState = {
    deps,
    tree,
    session,
    by_gateway: new WeakSet(),
    round: NOTHING_SPENT,
    incident: session.incident_id === null ? NOTHING_SPENT : null,
  };
  return {
    async call(request, signal) {
      signal?.throwIfAborted();
      const response = await answer(state, request, signal);
      if (!response.ok) await recordRefusal(state, request, response.refusal);
      return response;
    },
  };
}

async function answer(
  state: WorldState,
  request: WorldRequest,
  signal: AbortSignal | undefined,
): Promise<WorldResponse> {
  const parsed = WorldRequest.safeParse(request);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const what = `The request is not valid: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`;
    return no(refuse('bad-request', what, 'Send {op: ls|run|explain, ...} with why_needed.'));
  }
  const { data } = parsed;
  if ('why_needed' in data && data.why_needed.trim() === '')
    return no(refuse('why-missing', 'A read needs its reason.', 'Say in why_needed what the read decides.'));
  if (data.op === 'ls') return list(state, data.path, data.why_needed, signal);
  if (data.op === 'explain') return explain(state, data.command);
  return run(state, data.command, data.why_needed, signal);
}

/** Every refusal is a ledger entry; those of the gateway are in there already, under its own name. */
async function recordRefusal(
  { deps, session, by_gateway }: WorldState,
  request: unknown,
  refusal: Refusal,
): Promise<void> {
  if (session.incident_id === null || by_gateway.has(refusal)) return;
  const { op, command, path } = (request ?? {}) as { op?: unknown; command?: unknown; path?: unknown };
  const about = [op, command ?? path]
    .filter((word) => typeof word === 'string')
    .join(' ')
    .slice(0, 300);
  const { code, reason, remedy } = refusal;
  const payload: z.infer<typeof RefusalPayload> = { code, reason, remedy, by: null, about };
  await deps.store.ledger.append(session.incident_id, [
    { kind: 'refusal', actor: ledgerActor(session), payload },
  ]);
}

function no(refusal: Refusal): WorldResponse {
  return { ok: false, refusal };
}

async function list(
  state: WorldState,
  text: string,
  why: string,
  signal: AbortSignal | undefined,
): Promise<WorldResponse> {
  const parsed = parsePath(text, { allow_vars: false });
  if (!parsed.ok) return no(refuse('bad-path', `${parsed.reason}.`, parsed.hint));
  const found = state.tree.look(parsed.path);
  if (found === null) return no(noSuchPath(parsed.path));
  if (isRefusal(found)) return no(found);
  if (found.kind === 'file') return no(refuse('is-a-file', `${text} is a file.`, `Use read ${text}.`));
  const io = readerOf(state, why, signal);
  const entries = await found.list(io);
  if (isRefusal(entries)) return no(isMissing(entries) ? noSuchPath(parsed.path) : entries);
  return { ok: true, op: 'ls', entries: [...entries] };
}

function readerOf(state: WorldState, why: string, signal: AbortSignal | undefined): SourceReader {
  const { deps, session, by_gateway } = state;
  return createSourceReader({
    gateway: deps.gateway,
    session,
    why,
    signal,
    onRefusal: (refusal) => by_gateway.add(refusal),
  });
}

function explain(state: WorldState, command: string): WorldResponse {
  const pipeline = parseCommand(command);
  if (isRefusal(pipeline)) return no(pipeline);
  const text = explainPipeline(pipeline, { tree: state.tree, now_ms: state.deps.clock.now(), io: state });
  return isRefusal(text) ? no(text) : { ok: true, op: 'explain', text };
}

async function run(
  state: WorldState,
  command: string,
  why: string,
  signal: AbortSignal | undefined,
): Promise<WorldResponse> {
  const { deps, tree, session } = state;
  const pipeline = parseCommand(command);
  if (isRefusal(pipeline)) return no(pipeline);
  const hint = narrower(pipeline.source.cmd === 'diff' ? pipeline.source.left : pipeline.source.path);
  state.incident ??= await spentBefore(deps, session);
  const spent =
    budgetProblem(state.round, session.budget.round, 'round', hint) ??
    budgetProblem(state.incident, session.budget.incident, 'incident', hint);
  if (spent !== null) return no(spent);
  const started_at_ms = deps.clock.now();
  const io = readerOf(state, why, signal);
  const result = await runPipeline(pipeline, { tree, io, now_ms: started_at_ms });
  if (isRefusal(result)) return no(result);
  const shown = firstLines(result.lines);
  const cost = costOf(result.lines, shown.lines);
  const large =
    sizeProblem(cost, state.round, session.budget.round, hint) ??
    sizeProblem(cost, state.incident, session.budget.incident, hint);
  if (large !== null) return no(large);
  signal?.throwIfAborted();
  const provenance = io.provenance();
  const capture = await captureEvidence(deps, {
    result,
    provenance,
    session,
    why,
    started_at_ms,
    shown,
    cost,
    kept_hours: keptHours(deps, session),
  });
  if (isRefusal(capture)) return no(capture);
  state.round = addSpent(state.round, cost);
  state.incident = addSpent(state.incident, cost);
  return { ok: true, op: 'run', capture };
}

/** By the tier of the environment; one that the configuration no longer has is treated as the most guarded. */
function keptHours({ settings, retention }: VfsDeps, { team, env }: VfsSession): number {
  const tier = settings.teams[team]?.environments[env]?.tier ?? 'tier1';
  return (retention?.() ?? KEPT_BY_DEFAULT).evidence_hours[tier];
}

function parseCommand(command: string): Pipeline | Refusal {
  const parsed = parsePipeline(command, { allow_vars: false });
  return parsed.ok
    ? parsed.pipeline
    : refuse('bad-command', `At character ${parsed.at + 1}: ${parsed.reason}.`, parsed.hint);
}

/** What this incident has spent so far for this purpose: a restart does not reset it. */
async function spentBefore(deps: VfsDeps, session: VfsSession): Promise<ReadSpent> {
  const [spent] = await deps.store.budgets.spent([accountOf(session)]);
  if (spent === undefined) return NOTHING_SPENT;
  return { fragments: spent.reads, bytes: spent.bytes, tokens: spent.tokens };
}

async function readCaptured(
  deps: VfsDeps,
  evidence: EvidencePointer | string,
  session: VfsSession,
): Promise<CapturedFile | Refusal> {
  const id = typeof evidence === 'string' ? evidence : evidence.evidence_id;
  const missing = refuse(
    'no-such-evidence',
    `There is no evidence ${id.slice(0, 40)}.`,
    'Check the id, or read the source again.',
  );
  const record = await deps.store.evidence.record(id);
  if (record === null || record.team !== session.team || record.env !== session.env) return missing;
  const opened = await deps.store.evidence.open(id);
  if (!('problem' in opened)) return { record, lines: linesOf(opened.text) };
  if (opened.problem === 'missing') return missing;
  return refuse(
    `evidence-${opened.problem}`,
    `The captured file of ${id} is ${opened.problem === 'expired' ? 'expired' : 'damaged'}.`,
    'Read the source again.',
  );
}
