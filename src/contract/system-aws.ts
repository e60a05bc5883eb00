import { z } from 'zod';
import { CredentialSource } from './credentials.ts';

/** An AWS account behind the gateway (`mcp://aws/<name>/-/role/<role>`). */
export const AwsAccount = z.strictObject({
  credentials: CredentialSource,
});
export type AwsAccount = z.infer<typeof AwsAccount>;
