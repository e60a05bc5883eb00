import type { WhitelistedStatement } from '../../../contract/system-postgres.ts';
import type { TouchedField } from '../driver.ts';
import { namesOf, nodesBelow, parseSql, textOf, unwrap, type SqlNode } from '../../sql/parse-sql.ts';
import { guardExpressions, highestParameter } from './read-guard.ts';

/**
 * What a configured statement does, from its parse tree: the verb, the table and the columns that it sets. Classes and
 * bounds of `guardrails.yaml` are asked about the paths that come from here. Pure once the parser is loaded.
 */
export type Verb = 'insert' | 'update' | 'delete' | 'truncate' | 'drop' | 'privileged';

export interface StatementFacts {
  readonly verb: Verb;
  /** Null for a statement that is never run. */
  readonly table: string | null;
  readonly columns: readonly string[];
  /** Highest `$n`. */
  readonly parameters: number;
  /** Why it can not stand in the configuration; null when it can. */
  readonly problem: string | null;
}

const VERBS: Readonly<Record<string, Verb>> = {
  InsertStmt: 'insert',
  UpdateStmt: 'update',
  DeleteStmt: 'delete',
  TruncateStmt: 'truncate',
  DropStmt: 'drop',
};
/** Fields of the three statements that are run; what else they may hold is not understood and not run. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  InsertStmt: ['relation', 'cols', 'selectStmt', 'override'],
  UpdateStmt: ['relation', 'targetList', 'whereClause'],
  DeleteStmt: ['relation', 'whereClause'],
};

export function statementFacts(sql: string, schema: string): StatementFacts {
  const parsed = parseSql(sql);
  if (!parsed.ok) return unusable('privileged', `it cannot be parsed: ${parsed.reason}`);
  const [statement, ...more] = parsed.statements;
  if (statement === undefined || more.length > 0)
    return unusable('privileged', 'it is not exactly one statement');
  const { type, body } = unwrap(statement);
  const verb = VERBS[type] ?? 'privileged';
  const fields = FIELDS[type];
  // TRUNCATE, DROP, DDL, GRANT and the rest: what they are is known, and the guardrails refuse it.
  if (fields === undefined) return unusable(verb, type === 'SelectStmt' ? 'it only reads' : null);
  const surplus = Object.keys(body).find((name) => !fields.includes(name));
  if (surplus !== undefined)
    return unusable(verb, `${SURPLUS[surplus] ?? surplus} is not used in such a statement`);
  return factsOf(verb, body, schema);
}

const SURPLUS: Readonly<Record<string, string>> = {
  returningClause: 'RETURNING (the gateway asks for the keys itself)',
  fromClause: 'FROM (use a sub-select in WHERE)',
  usingClause: 'USING (use a sub-select in WHERE)',
  withClause: 'WITH',
  onConflictClause: 'ON CONFLICT (the rows that it changes would not be known)',
};

function factsOf(verb: Verb, body: SqlNode, schema: string): StatementFacts {
  const relation = (body['relation'] ?? {}) as SqlNode;
  const table = textOf(relation['relname']);
  const targets = (body[verb === 'insert' ? 'cols' : 'targetList'] ?? []) as readonly SqlNode[];
  const columns = targets.map((target) => textOf(unwrap(target).body['name']));
  const problem =
    relationProblem(relation, schema) ??
    (verb === 'insert' && columns.length === 0 ? 'INSERT names its columns' : null) ??
    (verb !== 'insert' && body['whereClause'] === undefined
      ? 'it has no WHERE and would touch every row'
      : null) ??
    columnProblem(targets) ??
    clockProblem(verb === 'insert' ? body['selectStmt'] : targets) ??
    guardExpressions(expressionsOf(verb, body), schema);
  return { verb, table, columns, parameters: highestParameter(body), problem };
}

function relationProblem(relation: SqlNode, schema: string): string | null {
  const { schemaname, catalogname, relname } = relation;
  if (catalogname !== undefined || (schemaname !== undefined && schemaname !== schema))
    return `${textOf(schemaname ?? catalogname)}.${textOf(relname)} is outside of the schema ${schema}`;
  return textOf(relname).startsWith('pg_') ? `${textOf(relname)} is a table of the system` : null;
}

function columnProblem(targets: readonly SqlNode[]): string | null {
  for (const target of targets) {
    const { body } = unwrap(target);
    if (body['indirection'] !== undefined) return 'it sets a part of a column; set the whole column';
    const value = unwrap((body['val'] ?? { None: {} }) as SqlNode).type;
    if (value === 'MultiAssignRef') return 'it sets several columns from one expression; set them one by one';
  }
  return null;
}

const CLOCK: ReadonlySet<string> = new Set([
  'now',
  'clock_timestamp',
  'statement_timestamp',
  'transaction_timestamp',
  'timeofday',
]);

/** A value that differs from run to run could never be the one that people approved. */
function clockProblem(values: unknown): string | null {
  for (const { type, body } of nodesBelow(values)) {
    const clock =
      type === 'SQLValueFunction' ||
      (type === 'FuncCall' && CLOCK.has(namesOf(body['funcname']).at(-1) ?? ''));
    if (clock)
      return 'it sets a column from the clock or the session; use a parameter, so that people see the value';
  }
  return null;
}

/** Everything in the statement that is computed. */
function expressionsOf(verb: Verb, body: SqlNode): unknown[] {
  const parts: unknown[] = [];
  if (verb === 'insert') parts.push(body['selectStmt'] ?? {});
  if (verb === 'update')
    for (const target of (body['targetList'] ?? []) as readonly SqlNode[])
      parts.push(unwrap(target).body['val'] ?? {});
  if (body['whereClause'] !== undefined) parts.push(body['whereClause']);
  return parts;
}

function unusable(verb: Verb, problem: string | null): StatementFacts {
  return { verb, table: null, columns: [], parameters: 0, problem };
}

/** `/update/job/state`: what the guardrails are asked about. */
export function touchedBy(facts: StatementFacts): TouchedField[] {
  const { verb, table, columns } = facts;
  if (facts.problem !== null) return [{ path: '/privileged/statement', after: null }];
  if (table === null || columns.length === 0)
    return [{ path: `/${verb}/${table ?? 'statement'}`, after: null }];
  return columns.map((column) => ({ path: `/${verb}/${table}/${column}`, after: null }));
}

/** The statement with the keys of the rows that it touches; the new line ends a comment at its end. */
export function returningKeys(sql: string, key: readonly string[]): string {
  return `${sql.trim()}\nRETURNING ${key.map((column) => `"${column}"`).join(', ')}`;
}

/** The SQL that restores a row, or null when people said that nothing does. */
export function compensationOf({ compensate }: WhitelistedStatement): string | null {
  return typeof compensate === 'string' ? compensate : null;
}
