import { z } from 'zod';
import { canonicalJson } from '../../../contract/canonical.ts';
import type { FieldChange } from '../../../contract/tool.ts';
import { loadSqlParser } from '../../sql/parse-sql.ts';
import { UpstreamError } from '../../upstream-error.ts';
import { blocked } from '../answer-json.ts';
import {
  writeTool,
  type ApplyAnswer,
  type CallHandle,
  type DriverPreview,
  type Observation,
  type Precondition,
  type SqlSession,
} from '../driver.ts';
import {
  cellPath,
  changedKeys,
  differencesOf,
  keyText,
  ROW_COUNT,
  rowsByKey,
  shownRows,
  type Rows,
} from './rows.ts';
import { sideEffects } from './side-effects.ts';
import { argsDigest, planRun, touchedPaths, type Run, type RunArgs } from './statement-run.ts';

const Column = z.string().min(1).max(63);
const Args = z.strictObject({
  parameters: z.record(Column, z.union([z.string().max(2000), z.number(), z.boolean()])).default({}),
  /** Rows of a before-image by their key: the statement's `compensate` brings them back. */
  restore: z.record(z.string().min(1).max(500), z.record(Column, z.string().nullable())).optional(),
});

/** Fields that a card can show and a plan can bind. */
const CHANGES_MAX = 200;
const OBSERVE_BYTES_MAX = 500_000;

export const DB_RUN_WHITELISTED = writeTool<RunArgs>({
  system: 'pg',
  base_class: 'write',
  dry_run: 'server',
  timeout_ms_max: 60_000,
  result_bytes_max: 4 * 1024 * 1024,
  name: 'db.run_whitelisted',
  description:
    'Runs a statement that stands in the configuration, with checked parameters and a bound on its rows.',
  target_kinds: ['statement'],
  input: Args,
  // A second identical request finds other rows than the approved ones and is rolled back.
  conditional: true,
  touched: (args, place) => touchedPaths(args, place),
  approvedFor: (args, place, { object_uid }) => object_uid.split('/')[2] === argsDigest(args, place),
  undo: undoArgs,
  preview,
  observe,
  apply,
});

/** The before-image read backwards: the parameters that found the rows, and the rows as they were. */
function undoArgs(before_image: Readonly<Record<string, unknown>>): RunArgs {
  const parameters: Record<string, string | number | boolean> = {};
  const restore: Record<string, Record<string, string | null>> = {};
  for (const [path, value] of Object.entries(before_image)) {
    const [, head, key = '', column] = path.split('/').map(unescape);
    if (head === 'parameters') parameters[key] = value as string;
    if (head === 'rows' && column !== undefined) (restore[key] ??= {})[column] = value as string | null;
  }
  return { parameters, restore };
}

function unescape(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}

async function preview(handle: CallHandle, args: RunArgs): Promise<DriverPreview> {
  await loadSqlParser();
  const run = planRun(args, handle);
  return handle.sql.change(async (session) => {
    const before = await look(session, run);
    const touched = await execute(session, run, before);
    const after = await look(session, run);
    const changes = effectOf(run, before, touched, after);
    const value: DriverPreview = {
      object_uid: await uidOf(session, run, before),
      before: shownRows(run.facts.table, before),
      after: shownRows(run.facts.table, after),
      changes,
      side_changes: [],
      warnings: [
        `It runs: ${run.shown_sql}`,
        ...run.warnings,
        ...(await sideEffects(session, handle.target.namespace, run.facts)),
      ],
      resources: null,
    };
    return { keep: false, value };
  });
}

async function observe(handle: CallHandle, args: RunArgs): Promise<Observation> {
  await loadSqlParser();
  const run = planRun(args, handle);
  return handle.sql.read(async (session) => {
    const rows = await look(session, run);
    const values: Record<string, unknown> = { [ROW_COUNT]: rows.size };
    for (const [name, value] of Object.entries(args.parameters)) values[`/parameters/${name}`] = value;
    for (const [key, row] of rows)
      for (const [column, cell] of Object.entries(row)) values[cellPath(key, column)] = cell;
    return { object_uid: await uidOf(session, run, rows), values };
  });
}

/** One transaction on one snapshot: whoever changes a row meanwhile makes the server refuse this one. */
async function apply(handle: CallHandle, args: RunArgs): Promise<ApplyAnswer> {
  const { precondition } = handle;
  if (precondition === null) throw blocked('nothing was approved');
  await loadSqlParser();
  const run = planRun(args, handle);
  try {
    return await handle.sql.change<ApplyAnswer>(async (session) => {
      const before = await look(session, run);
      const changed = changedSince(precondition, await uidOf(session, run, before), before);
      if (changed !== null) return conflict(changed);
      const touched = await execute(session, run, before);
      const after = await look(session, run);
      const changes = effectOf(run, before, touched, after);
      if (canonicalJson(changes) !== canonicalJson(precondition.changes))
        return conflict(
          'it would now do something else than what was approved (observe must not show what changes by itself, such as a time)',
        );
      return { keep: true, value: { status: 'done', result: { rows_touched: touched.length } } };
    });
  } catch (error) {
    // Two transactions met: the server took the side of the other one and rolled this one back.
    if (error instanceof UpstreamError && error.info.problem === 'conflict' && error.info.sent !== 'maybe')
      return { status: 'conflict', message: error.info.message };
    throw error;
  }
}

function conflict(message: string): { keep: false; value: ApplyAnswer } {
  return { keep: false, value: { status: 'conflict', message } };
}

function changedSince(precondition: Precondition, object_uid: string, rows: Rows): string | null {
  if (precondition.object_uid !== object_uid)
    return 'it is another database, or it shows another number of rows';
  const cells = new Map<string, unknown>([[ROW_COUNT, rows.size]]);
  for (const [key, row] of rows)
    for (const [column, cell] of Object.entries(row)) cells.set(cellPath(key, column), cell);
  const moved = precondition.changes.find((change) => (cells.get(change.path) ?? null) !== change.before);
  return moved === undefined ? null : `${moved.path} changed after the approval`;
}

async function look(session: SqlSession, run: Run): Promise<Rows> {
  const { rows_max } = run.statement;
  const found = await session.fetch(run.observe.sql, run.observe.values, {
    rows_max,
    bytes_max: OBSERVE_BYTES_MAX,
  });
  if (found.more) throw blocked(`it concerns more than the ${rows_max} rows that it may touch`);
  return rowsByKey(found, run.statement.key);
}

/** Runs the statement, or its compensation for each row; the keys of the rows that it touched. */
async function execute(session: SqlSession, run: Run, before: Rows): Promise<string[]> {
  const keys: string[] = [];
  for (const { sql, values, key } of run.steps) {
    // A row of the before-image that nothing changed is left alone.
    if (
      key !== null &&
      canonicalJson(before.get(key) ?? null) === canonicalJson(run.restores?.get(key) ?? null)
    )
      continue;
    const { rows } = await session.query(sql, values);
    keys.push(...rows.map((row) => keyText(run.statement.key, row)));
  }
  if (new Set(keys).size < keys.length) throw blocked('it touched a row twice');
  return keys.toSorted();
}

/** What the run does, checked against what the statement declares. @throws UpstreamError `blocked` */
function effectOf(run: Run, before: Rows, touched: readonly string[], after: Rows): FieldChange[] {
  const { statement, facts, restores } = run;
  if (touched.length === 0) throw blocked('it touches no row: there is nothing to do');
  if (touched.length > statement.rows_max)
    throw blocked(`it touches ${touched.length} rows; at most ${statement.rows_max} are allowed`);
  const changed = changedKeys(before, after);
  if (canonicalJson(changed) !== canonicalJson(touched))
    throw blocked(
      `it touches ${touched.length} rows, and observe shows a change of ${changed.length}: both must be the same rows`,
    );
  if (facts.verb === 'update' && touched.some((key) => !before.has(key) || !after.has(key)))
    throw blocked('observe must find the rows by what the statement leaves alone');
  if (facts.verb === 'insert' && touched.some((key) => before.has(key)))
    throw blocked('it inserts a row that was there');
  for (const [key, row] of restores ?? [])
    if (canonicalJson(after.get(key) ?? null) !== canonicalJson(row))
      throw blocked(`compensate does not bring the row ${key} back as it was`);
  const changes = differencesOf(before, after);
  if (changes.length > CHANGES_MAX)
    throw blocked(`it changes ${changes.length} fields; at most ${CHANGES_MAX} can be approved`);
  return changes;
}

/** Database, statement, digest of definition and arguments; the number of rows where a run leaves it as it is. */
async function uidOf(session: SqlSession, run: Run, rows: Rows): Promise<string> {
  const count = run.facts.verb === 'update' ? `/rows=${rows.size}` : '';
  return `${await session.databaseId()}/${run.name}/${run.digest}${count}`;
}
