import type { SqlSession } from '../driver.ts';
import type { Run } from './statement-run.ts';

/** What a run may do besides its own rows, and what the rollback of a preview does not take back. */
const SIDE_EFFECTS_SQL = `WITH written AS (
  SELECT c.oid FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relname = $2)
SELECT 'the trigger ' || quote_ident(tgname) || ' runs: what it does besides is not shown here, and what it does outside of the database (dblink, NOTIFY, files) also happens in a preview'
  FROM pg_trigger, written WHERE tgrelid = written.oid AND NOT tgisinternal AND tgenabled <> 'D'
UNION ALL SELECT 'the rule ' || quote_ident(rulename) || ' rewrites it: what else it does is not shown here'
  FROM pg_rewrite, written WHERE ev_class = written.oid AND rulename <> '_RETURN'
UNION ALL SELECT 'the foreign key ' || quote_ident(conname) || ' passes the change on to ' || conrelid::regclass::text || ', which is not shown here'
  FROM pg_constraint, written WHERE confrelid = written.oid AND contype = 'f'
  AND (($3 = 'update' AND confupdtype IN ('c', 'n', 'd')) OR ($3 = 'delete' AND confdeltype IN ('c', 'n', 'd')))
UNION ALL SELECT 'the preview moved the sequence of ' || quote_ident(attname) || ', which no rollback takes back'
  FROM written JOIN pg_attribute a ON a.attrelid = written.oid AND a.attnum > 0
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE $3 = 'insert' AND NOT a.attname = ANY($4)
  AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%')
LIMIT 20`;

export async function sideEffects(
  session: SqlSession,
  schema: string,
  facts: Run['facts'],
): Promise<string[]> {
  const { rows } = await session.query(SIDE_EFFECTS_SQL, [
    schema,
    facts.table,
    facts.verb,
    [...facts.columns],
  ]);
  return rows.flatMap(([text]) => (text == null ? [] : [text]));
}
