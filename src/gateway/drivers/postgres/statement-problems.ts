import type { PostgresDatabase, WhitelistedStatement } from '../../../contract/system-postgres.ts';
import { loadSqlParser, parseSql } from '../../sql/parse-sql.ts';
import { guardRead } from './read-guard.ts';
import { compensationOf, returningKeys, statementFacts, type StatementFacts } from './statement-facts.ts';

/** Something in a configured statement that cannot be, with its place below `databases`. */
export interface StatementProblem {
  readonly path: readonly (string | number)[];
  readonly say: string;
}

/** All problems of all statements. The parser is loaded only when there is a statement to look at. */
export async function statementProblems(
  databases: Readonly<Record<string, PostgresDatabase>>,
): Promise<StatementProblem[]> {
  const statements = Object.entries(databases).flatMap(([database, config]) =>
    Object.entries(config.statements).map(([name, statement]) => ({
      path: ['databases', database, 'statements', name],
      statement,
    })),
  );
  if (statements.length === 0) return [];
  await loadSqlParser();
  return statements.flatMap(({ path, statement }) =>
    problemsOf(statement).map(([key, say]) => ({ path: [...path, key], say })),
  );
}

type Found = [key: keyof WhitelistedStatement, say: string];

function problemsOf(statement: WhitelistedStatement): Found[] {
  const { sql, schema, parameters, tables, key } = statement;
  const facts = statementFacts(sql, schema);
  if (facts.problem !== null) return [['sql', facts.problem]];
  // TRUNCATE, DROP, DDL and GRANT may stand here and are refused by their class: there is nothing more to check.
  if (facts.table === null) return [];
  const ends = endProblem(sql, key);
  if (ends !== null) return [['sql', ends]];
  const found: Found[] = [];
  if (!tables.includes(facts.table))
    found.push(['tables', `${facts.table} is written to and not named here`]);
  if (facts.parameters > parameters.length)
    found.push(['parameters', `$${facts.parameters} is used, and ${parameters.length} are declared`]);
  const names = parameters.map((parameter) => parameter.name);
  if (new Set(names).size < names.length) found.push(['parameters', 'a name stands there twice']);
  const observe = guardRead(statement.observe, schema);
  if (!observe.ok) return [...found, ['observe', observe.reason]];
  if (observe.kind !== 'select') return [...found, ['observe', 'it is not a SELECT']];
  if (observe.parameters > parameters.length)
    found.push(['observe', `$${observe.parameters} is used, and ${parameters.length} are declared`]);
  found.push(...columnProblems(statement, facts, observe.columns), ...keyProblems(key, facts));
  return found;
}

function columnProblems(
  statement: WhitelistedStatement,
  facts: StatementFacts,
  columns: readonly (string | null)[],
): Found[] {
  const unnamed = columns.some((column) => column === null);
  if (unnamed) return [['observe', 'every column is named: no *, and AS behind an expression']];
  if (new Set(columns).size < columns.length) return [['observe', 'a column stands there twice']];
  const missing = [...statement.key, ...facts.columns].find((column) => !columns.includes(column));
  if (missing !== undefined) return [['observe', `it does not show the column ${missing}`]];
  return [...madeUpProblems(columns, facts), ...compensationProblems(statement, facts, columns.length)];
}

/** The gateway writes RETURNING behind the statement; a semicolon or an open comment would cut that off. */
function endProblem(sql: string, key: readonly string[]): string | null {
  const parsed = parseSql(returningKeys(sql, key));
  return parsed.ok && parsed.statements.length === 1
    ? null
    : 'it ends with the statement, without a semicolon';
}

function keyProblems(key: readonly string[], { verb, columns }: StatementFacts): Found[] {
  const set = verb === 'update' ? key.find((column) => columns.includes(column)) : undefined;
  return set === undefined ? [] : [['key', `the statement sets ${set}, so it cannot name a row`]];
}

/** What the database makes up (a sequence, a default) differs from run to run, so nobody could approve it. */
function madeUpProblems(columns: readonly (string | null)[], facts: StatementFacts): Found[] {
  const made =
    facts.verb === 'insert' ? columns.find((c) => c !== null && !facts.columns.includes(c)) : undefined;
  return made === undefined
    ? []
    : [
        [
          'observe',
          `it shows ${made}, which the INSERT leaves to the database: insert it from a parameter, or do not show it`,
        ],
      ];
}

function compensationProblems(
  statement: WhitelistedStatement,
  facts: StatementFacts,
  columns: number,
): Found[] {
  const sql = compensationOf(statement);
  if (sql === null) return [];
  const back = statementFacts(sql, statement.schema);
  if (back.problem !== null) return [['compensate', back.problem]];
  if (facts.verb === 'insert')
    return [
      [
        'compensate',
        'only a DELETE takes rows away again, and that is of class destroy: write none, with a reason',
      ],
    ];
  if (back.table === null || !statement.tables.includes(back.table))
    return [['compensate', 'it does not write to one of `tables`']];
  const ends = endProblem(sql, statement.key);
  if (ends !== null) return [['compensate', ends]];
  if (back.parameters > columns)
    return [['compensate', `$${back.parameters} is used, and observe shows ${columns} columns`]];
  const lost = facts.columns.find((column) => !back.columns.includes(column));
  if (facts.verb === 'update' && lost !== undefined)
    return [['compensate', `it does not bring back the column ${lost}`]];
  return [];
}
