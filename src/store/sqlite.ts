import Database from 'better-sqlite3';

/**
 * better-sqlite3 12 on Node 24: when the garbage collector frees a connection, a statement or an iterator outside of a
 * JavaScript context, its destructor aborts the whole process (`RemoveEnvironmentCleanupHook`, seen on 24.21). What is
 * never freed cannot abort, so there all are kept until the process ends. That is little: the store prepares its
 * statements once; only a ledger verification adds about fifteen small, closed objects each time.
 */
const COLLECTION_ABORTS = Number(process.versions.node.split('.')[0]) >= 24;
const kept: unknown[] = [];

/** Opens a connection that is safe on every supported Node. Use `exec` for pragmas: `pragma()` makes statements of its own. */
export function openDatabase(path: string, options: Database.Options): Database.Database {
  const db = new Database(path, options);
  if (!COLLECTION_ABORTS) return db;
  keep(db);
  const prepare = db.prepare.bind(db);
  db.prepare = ((source: string) => {
    const statement = prepare(source);
    const iterate = statement.iterate.bind(statement);
    statement.iterate = (...values) => keep(iterate(...values));
    return keep(statement);
  }) as typeof db.prepare;
  return db;
}

function keep<T>(value: T): T {
  kept.push(value);
  return value;
}
