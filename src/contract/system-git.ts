import { z } from 'zod';
import { CredentialSource } from './credentials.ts';

/** A git repository behind the gateway (`mcp://git/<name>/-/branch/<branch>`). */
export const GitRepository = z.strictObject({
  /** Address of the remote: https, ssh, or the path of a bare repository. */
  remote: z.string().min(1).max(1000),
  credentials: CredentialSource.default({ engine: 'none' }),
});
export type GitRepository = z.infer<typeof GitRepository>;
