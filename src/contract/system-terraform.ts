import { z } from 'zod';
import { CredentialSource } from './credentials.ts';

/** A Terraform or OpenTofu workspace behind the gateway (`mcp://tf/<name>/-/workspace/<workspace>`). */
export const TerraformWorkspace = z.strictObject({
  credentials: CredentialSource.default({ engine: 'none' }),
});
export type TerraformWorkspace = z.infer<typeof TerraformWorkspace>;
