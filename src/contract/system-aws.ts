import { z } from 'zod';
import { CredentialSource } from './credentials.ts';

/** An AWS account behind the gateway (`mcp://aws/<name>/-/role/<role>`): IAM is read, nothing is changed. */
export const AwsAccount = z.strictObject({
  /** IAM's endpoint; another partition has another one. */
  endpoint: z
    .url({ protocol: /^https?$/ })
    .max(1000)
    .default('https://iam.amazonaws.com'),
  ca_file: z.string().max(1000).optional(),
  /** The region that signatures name. IAM is global and signs as us-east-1. */
  region: z
    .string()
    .regex(/^[a-z]{2}(?:-[a-z]+)+-\d$/)
    .default('us-east-1'),
  credentials: CredentialSource,
});
export type AwsAccount = z.infer<typeof AwsAccount>;
