import { namesOf, nodesBelow, parseSql, textOf, unwrap, type SqlNode } from '../../sql/parse-sql.ts';
import { CATALOG_VIEWS, FUNCTIONS, RECORD_COLUMNS, TYPES } from './allowed-names.ts';
import { CONSTRUCT_WORDS, READ_GRAMMAR } from './read-grammar.ts';

/**
 * Decides from the parse tree whether a text only reads, and only in one schema. It is the first of three locks: the
 * session is read-only, and the role has no rights to write. Pure once the parser is loaded.
 */
export type GuardedSql =
  | {
      readonly ok: true;
      readonly kind: 'select' | 'explain';
      /** Highest `$n`. */
      readonly parameters: number;
      /** Unqualified functions that it calls: none of them may be one of the schema’s own. */
      readonly functions: readonly string[];
      /** Names of the result’s columns, null where only the server knows them (`*`). */
      readonly columns: readonly (string | null)[];
    }
  | { readonly ok: false; readonly reason: string };

/** Deepest nesting of nodes. */
const DEPTH_MAX = 200;
const EXPLAIN_OPTIONS: ReadonlySet<string> = new Set(['format', 'verbose', 'costs', 'settings', 'summary']);

class Refused extends Error {}

export function guardRead(text: string, schema: string): GuardedSql {
  const parsed = parseSql(text);
  if (!parsed.ok) return { ok: false, reason: `it cannot be parsed: ${parsed.reason}` };
  const [statement, ...more] = parsed.statements;
  if (statement === undefined) return { ok: false, reason: 'it holds no statement' };
  if (more.length > 0) return { ok: false, reason: 'it holds more than one statement' };
  try {
    const { type, body } = unwrap(statement);
    const select = type === 'ExplainStmt' ? explained(body) : statement;
    if (unwrap(select).type !== 'SelectStmt') throw refused(unwrap(select).type);
    const scope = { schema, records: functionAliases(select), functions: new Set<string>() };
    checkNode(select, scope, 0);
    return {
      ok: true,
      kind: type === 'ExplainStmt' ? 'explain' : 'select',
      parameters: highestParameter(select),
      functions: [...scope.functions],
      columns: columnsOf(unwrap(select).body),
    };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { ok: false, reason: error.message };
  }
}

/** What an expression of a whitelisted statement may be: the same grammar, functions and tables as a read. */
export function guardExpressions(nodes: unknown, schema: string): string | null {
  try {
    const scope = { schema, records: functionAliases(nodes), functions: new Set<string>() };
    checkAny(nodes, scope, 0);
    return null;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return error.message;
  }
}

export function highestParameter(value: unknown): number {
  let highest = 0;
  for (const { type, body } of nodesBelow([value]))
    if (type === 'ParamRef') highest = Math.max(highest, Number(body['number'] ?? 0));
  return highest;
}

function explained(body: SqlNode): SqlNode {
  for (const option of (body['options'] ?? []) as readonly SqlNode[]) {
    const name = textOf(unwrap(option).body['defname']).toLowerCase();
    if (name === 'analyze') throw new Refused('EXPLAIN ANALYZE runs the statement');
    if (!EXPLAIN_OPTIONS.has(name)) throw new Refused(`EXPLAIN option ${name} is not used here`);
  }
  return (body['query'] ?? {}) as SqlNode;
}

interface Scope {
  readonly schema: string;
  /** Names under which functions stand in FROM. */
  readonly records: ReadonlyMap<string, ReadonlySet<string>>;
  readonly functions: Set<string>;
}

function checkAny(value: unknown, scope: Scope, depth: number): void {
  if (Array.isArray(value)) {
    for (const item of value) checkAny(item, scope, depth + 1);
    return;
  }
  if (typeof value !== 'object' || value === null)
    throw new Refused('it holds something that is not understood');
  // `{}` marks a plain DISTINCT and the missing column list of a function.
  if (Object.keys(value).length > 0) checkNode(value as SqlNode, scope, depth + 1);
}

function checkNode(node: SqlNode, scope: Scope, depth: number): void {
  if (Object.keys(node).length !== 1) throw new Refused('it holds something that is not understood');
  const { type, body } = unwrap(node);
  checkBody(type, body, scope, depth);
}

function checkBody(type: string, body: SqlNode, scope: Scope, depth: number): void {
  if (depth > DEPTH_MAX) throw new Refused('it is nested too deeply');
  const fields = Object.hasOwn(READ_GRAMMAR, type) ? READ_GRAMMAR[type] : undefined;
  if (fields === undefined) throw refused(type);
  RULES[type]?.(body, scope);
  for (const [name, value] of Object.entries(body)) {
    const kind = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (kind === undefined) throw refused(name);
    if (kind === 'any') checkAny(value, scope, depth + 1);
    else if (kind !== 'value') checkBody(kind, value as SqlNode, scope, depth + 1);
    else if (typeof value === 'object') throw new Refused(`${type} holds something that is not understood`);
  }
}

/** What a node may say beyond its shape. */
const RULES: Readonly<Record<string, (body: SqlNode, scope: Scope) => void>> = {
  CommonTableExpr: ({ ctequery }) => {
    const { type } = unwrap((ctequery ?? {}) as SqlNode);
    if (type !== 'SelectStmt') throw refused(type);
  },
  RangeVar: checkTable,
  FuncCall: ({ funcname }, scope) => {
    const names = namesOf(funcname);
    const name = names.at(-1) ?? '';
    const builtin = names.length === 1 || (names.length === 2 && names[0] === 'pg_catalog');
    if (!builtin || !FUNCTIONS.has(name))
      throw new Refused(`the function ${names.join('.')} is not one that a read may call`);
    if (names.length === 1) scope.functions.add(name);
  },
  TypeName: ({ names }, { schema }) => {
    const [first, second] = namesOf(names);
    const parts = namesOf(names).length;
    const name = second ?? first ?? '';
    const builtin = TYPES.has(name) && (parts === 1 || (parts === 2 && first === 'pg_catalog'));
    if (!builtin && !(parts === 2 && first === schema))
      throw new Refused(`the type ${namesOf(names).join('.')} is not one that a read may use`);
  },
  A_Expr: ({ name }) => {
    if (namesOf(name).length !== 1) throw new Refused('operators are named without a schema');
  },
  SubLink: ({ operName }) => {
    if (operName !== undefined && namesOf(operName).length !== 1)
      throw new Refused('operators are named without a schema');
  },
  CollateClause: ({ collname }) => {
    if (namesOf(collname).length !== 1) throw new Refused('collations are named without a schema');
  },
  // `('/etc/passwd'::text).pg_read_file` calls the function of that name.
  A_Indirection: ({ indirection }) => {
    for (const step of (indirection ?? []) as readonly SqlNode[])
      if (unwrap(step).type !== 'A_Indices')
        throw new Refused('(expression).name may call a function; name the column of a table instead');
  },
  ColumnRef: checkColumn,
};

function checkTable({ schemaname, relname }: SqlNode, { schema }: Scope): void {
  const name = textOf(relname);
  // PostgreSQL looks into pg_catalog first, whatever the search path says.
  const catalog = schemaname === 'pg_catalog' || (schemaname === undefined && name.startsWith('pg_'));
  if (catalog) {
    if (CATALOG_VIEWS.has(name)) return;
    throw new Refused(
      `${name} of the system catalog shows more than this schema; use pg.schema or pg.activity`,
    );
  }
  if (schemaname !== undefined && schemaname !== schema)
    throw new Refused(`${textOf(schemaname)}.${name} is outside of the schema ${schema}`);
}

/** `x.pg_read_file` calls a function when `x` is a function in FROM that returns one value. */
function checkColumn({ fields }: SqlNode, { records }: Scope): void {
  const parts = (fields ?? []) as readonly SqlNode[];
  const last = parts.at(-1);
  if (last === undefined || parts.length < 2 || unwrap(last).type !== 'String') return;
  const names = namesOf(fields);
  const known = records.get(names.at(-2) ?? '');
  const column = names.at(-1) ?? '';
  if (known !== undefined && !known.has(column) && !RECORD_COLUMNS.has(column))
    throw new Refused(
      `${names.join('.')} may call a function; give the columns of a function in FROM names: f(...) AS x(a, b)`,
    );
}

function functionAliases(root: unknown): Map<string, Set<string>> {
  const records = new Map<string, Set<string>>();
  for (const { type, body } of nodesBelow([root])) {
    if (type !== 'RangeFunction') continue;
    const alias = body['alias'] as SqlNode | undefined;
    const columns = namesOf(alias?.['colnames']);
    const names =
      typeof alias?.['aliasname'] === 'string' ? [alias['aliasname']] : calledNames(body['functions']);
    // The same alias in two places: only what both allow.
    for (const name of names) {
      const before = records.get(name);
      records.set(name, new Set(before === undefined ? columns : columns.filter((c) => before.has(c))));
    }
  }
  return records;
}

/** What functions in FROM are called when nobody gives them another name. */
function calledNames(functions: unknown): string[] {
  return ((functions ?? []) as readonly SqlNode[]).map((list) => {
    const [call] = (unwrap(list).body['items'] ?? []) as readonly SqlNode[];
    const { type, body } = unwrap(call ?? {});
    if (type !== 'FuncCall') throw new Refused('a function in FROM needs a name: f(...) AS x(a)');
    return namesOf(body['funcname']).at(-1) ?? '';
  });
}

/** Output columns of a SELECT; of a UNION those of its first part. */
function columnsOf(select: SqlNode): (string | null)[] {
  let first = select;
  while (first['larg'] !== undefined) first = first['larg'] as SqlNode;
  return ((first['targetList'] ?? []) as readonly SqlNode[]).map((target) => {
    const { name, val } = unwrap(target).body;
    if (typeof name === 'string') return name;
    const { type, body } = unwrap((val ?? {}) as SqlNode);
    const last = type === 'ColumnRef' ? namesOf(body['fields']).at(-1) : undefined;
    return last === undefined || last === '' ? null : last;
  });
}

function refused(construct: string): Refused {
  const words = Object.hasOwn(CONSTRUCT_WORDS, construct) ? CONSTRUCT_WORDS[construct] : undefined;
  return new Refused(words ?? `${construct || 'this construct'} is not part of what a read may use`);
}
