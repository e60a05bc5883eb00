import { z } from 'zod';
import { CredentialSource } from './credentials.ts';
import { Name } from './scope.ts';

/** A column, table or parameter as PostgreSQL folds it; names that need quotes are not written to by a statement. */
const Identifier = z
  .string()
  .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'use lower-case letters, digits and _ (63 at most)');
const Sql = z.string().min(1).max(8000);

/** Types of bind parameters. A value travels beside the SQL, never inside it. */
export const SQL_TYPES = ['int8', 'numeric', 'text', 'bool', 'uuid', 'timestamptz'] as const;
export const SqlType = z.enum(SQL_TYPES);
export type SqlType = z.infer<typeof SqlType>;

export const StatementParameter = z.strictObject({
  name: Identifier,
  type: SqlType,
  /** Bounds of `int8` and `numeric`. */
  min: z.number().optional(),
  max: z.number().optional(),
  /** Longest `text`, characters. */
  chars_max: z.int().min(1).max(2000).default(200),
  /** The only values that are allowed; left out: any within the bounds. */
  values: z
    .array(z.union([z.string().max(200), z.number()]))
    .min(1)
    .max(100)
    .optional(),
});
export type StatementParameter = z.infer<typeof StatementParameter>;

/**
 * A statement that `db.run_whitelisted` may run: named and reviewed by people. `$1`, `$2`, ... in `sql` and `observe`
 * are `parameters` in their order. What it does is decided from its parse tree, not from these words.
 */
export const WhitelistedStatement = z.strictObject({
  /** What it does, for the people who approve it. */
  about: z.string().min(1).max(300),
  schema: Name,
  sql: Sql,
  parameters: z.array(StatementParameter).max(20).default([]),
  /** Tables that `sql` and `compensate` write, all in `schema`. */
  tables: z.array(Identifier).min(1).max(10),
  /** Most rows that one run may touch. */
  rows_max: z.int().min(1).max(100),
  /**
   * A SELECT that shows the rows which the statement touches, with every column that it sets. It finds them by what
   * the statement leaves alone (an id), so that it shows the same rows before and after.
   */
  observe: Sql,
  /** Columns of `observe` that name a row. */
  key: z.array(Identifier).min(1).max(4),
  /**
   * Restores one row of the before-image: `$1`, `$2`, ... are the columns of `observe` in their order. Or why nothing
   * does.
   */
  compensate: z.union([Sql, z.strictObject({ none: z.string().min(1).max(300) })]),
});
export type WhitelistedStatement = z.infer<typeof WhitelistedStatement>;

/** A directory of a Unix socket: only this machine listens there, so nothing has to be encrypted. */
export function isUnixSocket(host: string): boolean {
  return host.startsWith('/');
}

/** A PostgreSQL database behind the gateway (`mcp://pg/<name>/<schema>/...`). */
export const PostgresDatabase = z.strictObject({
  /** A name, an address, or the directory of a Unix socket (`/var/run/postgresql`). */
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65_535).default(5432),
  database: z.string().min(1).max(63),
  /** `off` only over a Unix socket or with `unsafe_endpoints`. */
  tls: z.enum(['verify', 'off']).default('verify'),
  ca_file: z.string().max(1000).optional(),
  credentials: CredentialSource,
  /** Most rows and bytes of one `pg.query`, and its longest run. */
  rows_max: z.int().min(1).max(100_000).default(1000),
  bytes_max: z.int().min(1000).max(4_000_000).default(1_000_000),
  statement_ms_max: z.int().min(100).max(60_000).default(10_000),
  /** Longest wait for a lock that somebody else holds. */
  lock_ms_max: z.int().min(10).max(30_000).default(2000),
  statements: z.record(Name, WhitelistedStatement).default({}),
});
export type PostgresDatabase = z.infer<typeof PostgresDatabase>;
