import type { Driver } from './driver.ts';
import { PG_ACTIVITY, PG_LOCKS, PG_SCHEMA } from './postgres/inspect-tools.ts';
import { PG_QUERY } from './postgres/query.ts';
import { DB_RUN_WHITELISTED } from './postgres/run-statement.ts';

/** `mcp://pg/<database>/<schema>/<kind>/<name>`: PostgreSQL. */
export const POSTGRES_DRIVER: Driver = {
  system: 'pg',
  tools: [PG_QUERY, PG_ACTIVITY, PG_LOCKS, PG_SCHEMA, DB_RUN_WHITELISTED],
};
