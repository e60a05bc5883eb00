import { hashOf } from '../../../contract/canonical.ts';
import type { WhitelistedStatement } from '../../../contract/system-postgres.ts';
import { blocked } from '../answer-json.ts';
import type { Place, TouchedField } from '../driver.ts';
import { bindParameters, bindSql, type BoundSql, type SqlValue } from './bind.ts';
import { databaseOf } from './query.ts';
import { guardRead } from './read-guard.ts';
import type { Row } from './rows.ts';
import {
  compensationOf,
  returningKeys,
  statementFacts,
  touchedBy,
  type StatementFacts,
} from './statement-facts.ts';

/** From arguments and configuration to the texts and values of one run. Pure once the parser is loaded. */
export interface RunArgs {
  readonly parameters: Readonly<Record<string, Exclude<SqlValue, null>>>;
  readonly restore?: Readonly<Record<string, Row>> | undefined;
}

interface Step extends BoundSql {
  /** The row that it restores; null for a run forwards. */
  readonly key: string | null;
}

export interface Run {
  readonly name: string;
  readonly statement: WhitelistedStatement;
  readonly facts: StatementFacts & { readonly table: string };
  readonly digest: string;
  /** What people read before they approve. */
  readonly shown_sql: string;
  readonly observe: BoundSql;
  readonly steps: readonly Step[];
  /** Rows that must stand there again afterwards; null for a run forwards. */
  readonly restores: ReadonlyMap<string, Row> | null;
  readonly warnings: readonly string[];
}

const SHOWN_CHARS_MAX = 500;

const UNKNOWN: TouchedField = { path: '/privileged/unknown-statement', after: null };

export function touchedPaths(args: RunArgs, place: Place): TouchedField[] {
  const statement = statementOf(place);
  if (statement === null) return [UNKNOWN];
  const sql = args.restore === undefined ? statement.sql : compensationOf(statement);
  // Without a compensation nothing is touched backwards: the run itself says so.
  return touchedBy(statementFacts(sql ?? statement.sql, statement.schema));
}

/** Definition and arguments: a statement that was edited after the approval is another one. */
export function argsDigest(args: RunArgs, place: Place): string {
  return hashOf({ v: 1, statement: statementOf(place), args }).slice(0, 16);
}

/** @throws UpstreamError `blocked`; nothing was sent. */
export function planRun(args: RunArgs, place: Place): Run {
  const { target } = place;
  const statement = statementOf(place);
  if (statement === null) throw blocked(`${target.namespace} has no statement ${target.name}`);
  const values = bindParameters(statement.parameters, args.parameters);
  const types = statement.parameters.map((parameter) => parameter.type);
  const observed = guardRead(statement.observe, statement.schema);
  if (!observed.ok) throw blocked(`observe is not run: ${observed.reason}`);
  const back = args.restore === undefined ? null : backwards(statement, observed.columns, args.restore);
  const facts = back?.facts ?? usable(statement.sql, statement);
  const forwards = bindSql(returningKeys(statement.sql, statement.key), values, types);
  return {
    name: `${target.namespace}.${target.name}`,
    statement,
    facts,
    digest: argsDigest(args, place),
    shown_sql: (back === null ? statement.sql : (compensationOf(statement) ?? '')).slice(0, SHOWN_CHARS_MAX),
    observe: bindSql(statement.observe, values, types),
    steps: back?.steps ?? [{ ...forwards, key: null }],
    restores: back === null ? null : new Map(Object.entries(args.restore ?? {})),
    warnings:
      typeof statement.compensate === 'string' || back !== null
        ? []
        : [`this cannot be undone by Aegis: ${statement.compensate.none}`],
  };
}

function backwards(
  statement: WhitelistedStatement,
  columns: readonly (string | null)[],
  restore: Readonly<Record<string, Row>>,
): { readonly facts: Run['facts']; readonly steps: Step[] } {
  const sql = compensationOf(statement);
  if (sql === null) {
    const reason = typeof statement.compensate === 'string' ? '' : statement.compensate.none;
    throw blocked(`the statement has no compensation: ${reason}`);
  }
  const facts = usable(sql, statement);
  const rows = Object.entries(restore).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (rows.length > statement.rows_max)
    throw blocked(`it would restore ${rows.length} rows; at most ${statement.rows_max} are allowed`);
  const steps = rows.map(([key, row]) => {
    const strange = Object.keys(row).find((column) => !columns.includes(column));
    const missing = columns.find((column) => column === null || !Object.hasOwn(row, column));
    if (strange !== undefined || missing !== undefined)
      throw blocked(`the row ${key} does not have the columns that observe shows`);
    const values = columns.map((column) => row[column as string] ?? null);
    return { ...bindSql(returningKeys(sql, statement.key), values, null), key };
  });
  return { facts, steps };
}

function usable(sql: string, statement: WhitelistedStatement): Run['facts'] {
  const facts = statementFacts(sql, statement.schema);
  const { table } = facts;
  if (facts.problem !== null) throw blocked(`the statement is not run: ${facts.problem}`);
  if (table === null || !statement.tables.includes(table))
    throw blocked(`a statement that does ${facts.verb} is never run`);
  return { ...facts, table };
}

function statementOf(place: Place): WhitelistedStatement | null {
  const { target } = place;
  const { statements } = databaseOf(place);
  const statement = Object.hasOwn(statements, target.name) ? statements[target.name] : undefined;
  return statement === undefined || statement.schema !== target.namespace ? null : statement;
}
