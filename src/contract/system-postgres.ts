import { z } from 'zod';
import { CredentialSource } from './credentials.ts';

/** A PostgreSQL database behind the gateway (`mcp://pg/<name>/<schema>/...`). */
export const PostgresDatabase = z.strictObject({
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65_535).default(5432),
  database: z.string().min(1).max(63),
  ca_file: z.string().max(1000).optional(),
  credentials: CredentialSource,
});
export type PostgresDatabase = z.infer<typeof PostgresDatabase>;
