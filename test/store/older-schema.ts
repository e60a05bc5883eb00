import Database from 'better-sqlite3';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const MIGRATIONS = join(import.meta.dirname, '../../migrations/sqlite');

/**
 * Takes a closed database back to the schema before a migration (named without its number), with its rows in place,
 * however many migrations came after it: what they made is dropped, newest first.
 */
export function schemaBefore(home: string, migration: string): void {
  const names = readdirSync(MIGRATIONS).toSorted();
  const from = names.findIndex((name) => name.slice(5) === `${migration}.sql`);
  if (from < 0) throw new Error(`there is no migration ${migration}`);
  const db = new Database(join(home, 'aegis.db'));
  for (const name of names.slice(from).toReversed()) {
    const sql = readFileSync(join(MIGRATIONS, name), 'utf8').replaceAll(/--.*$/gm, '');
    for (const [, index] of sql.matchAll(/CREATE (?:UNIQUE )?INDEX (\w+)/g)) db.exec(`DROP INDEX ${index}`);
    for (const [, trigger] of sql.matchAll(/CREATE TRIGGER (\w+)/g)) db.exec(`DROP TRIGGER ${trigger}`);
    for (const [, table, column] of sql.matchAll(/ALTER TABLE (\w+) ADD COLUMN (\w+)/g))
      db.exec(`ALTER TABLE ${table} DROP COLUMN ${column}`);
    for (const [, table] of sql.matchAll(/CREATE TABLE (\w+)/g)) db.exec(`DROP TABLE ${table}`);
    db.prepare('DELETE FROM migration WHERE name = ?').run(name);
  }
  // A later migration may have put its own trigger in the place of an earlier one.
  for (const name of names.slice(0, from))
    for (const [trigger] of readFileSync(join(MIGRATIONS, name), 'utf8').matchAll(
      /^CREATE TRIGGER [^]*?\bEND;/gm,
    ))
      db.exec(trigger.replace('CREATE TRIGGER', 'CREATE TRIGGER IF NOT EXISTS'));
  db.close();
}
