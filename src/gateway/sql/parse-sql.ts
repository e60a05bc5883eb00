/**
 * The real parser of PostgreSQL (libpg-query, wasm): what a statement does is read from its tree, never from its words.
 * It loads in about 0.2 s and only when the first SQL has to be understood.
 */
type Parser = Pick<typeof import('libpg-query'), 'parseSync' | 'normalizeSync'>;

let parser: Parser | null = null;

/** A node of the parse tree: `{SelectStmt: {...}}`, or the inside of one where the grammar leaves no choice. */
export type SqlNode = Readonly<Record<string, unknown>>;

export type ParsedSql =
  | { readonly ok: true; readonly statements: readonly SqlNode[] }
  | { readonly ok: false; readonly reason: string };

/** Longest SQL text that is looked at, characters. */
const SQL_CHARS_MAX = 20_000;

/** Must have run before any other function here. */
export async function loadSqlParser(): Promise<void> {
  if (parser !== null) return;
  const { loadModule, parseSync, normalizeSync } = await import('libpg-query');
  await loadModule();
  parser = { parseSync, normalizeSync };
}

/** The statements of a text. Nothing is thrown: what cannot be parsed is a reason. */
export function parseSql(text: string): ParsedSql {
  if (text.length > SQL_CHARS_MAX)
    return { ok: false, reason: `it is longer than ${SQL_CHARS_MAX} characters` };
  if (text.includes('\0')) return { ok: false, reason: 'it holds a NUL character' };
  if (text.trim() === '') return { ok: false, reason: 'it is empty' };
  try {
    const { stmts } = loaded().parseSync(text) as { stmts?: readonly { stmt?: SqlNode }[] };
    const statements = (stmts ?? []).flatMap(({ stmt }) => (stmt === undefined ? [] : [stmt]));
    return { ok: true, statements };
  } catch (error) {
    return { ok: false, reason: (error as Error).message.slice(0, 200) };
  }
}

/** The text with `$n` in place of every constant; null when it cannot be understood. */
export function withoutConstants(text: string): string | null {
  try {
    return loaded().normalizeSync(text);
  } catch {
    return null;
  }
}

function loaded(): Parser {
  if (parser === null) throw new Error('the SQL parser is used before loadSqlParser');
  return parser;
}

/** `{SelectStmt: {...}}` to its name and inside. */
export function unwrap(node: SqlNode): { readonly type: string; readonly body: SqlNode } {
  const [entry] = Object.entries(node);
  return { type: entry?.[0] ?? '', body: (entry?.[1] ?? {}) as SqlNode };
}

/** Texts of a list of `{String: {sval}}`; what is something else is an empty text. */
export function namesOf(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.map((item) => {
    const { type, body } = unwrap(item as SqlNode);
    return type === 'String' && typeof body['sval'] === 'string' ? body['sval'] : '';
  });
}

/** A field that holds a name; the empty text when it is not there. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Every node below a value, in the order of the text, with the name of its type; nodes that stand unnamed have the type ''. */
export function* nodesBelow(value: unknown): Generator<{ type: string; body: SqlNode }> {
  // No recursion: a text of a few thousand characters can nest deeper than a stack is.
  const stack: { key: string; value: unknown }[] = [{ key: '', value }];
  while (stack.length > 0) {
    const here = stack.pop() as { key: string; value: unknown };
    if (typeof here.value !== 'object' || here.value === null) continue;
    const children = Array.isArray(here.value)
      ? here.value.map((item: unknown) => ({ key: '', value: item }))
      : Object.entries(here.value).map(([key, child]) => ({ key, value: child as unknown }));
    if (!Array.isArray(here.value))
      yield { type: /^[A-Z]/.test(here.key) ? here.key : '', body: here.value as SqlNode };
    stack.push(...children.toReversed());
  }
}
