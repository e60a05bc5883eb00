import { z } from 'zod';
import { CredentialSource } from './credentials.ts';
import { Name } from './scope.ts';

/** Names that decide how the program itself runs; a configuration may not set them. */
const OWN_VARIABLES =
  /^(?:PATH|HOME|TMPDIR|USER|SHELL|LD_.*|DYLD_.*|NODE_.*|TF_(?:CLI|DATA|INPUT|WORKSPACE|IN_AUTOMATION|LOG|PLUGIN|REATTACH|REGISTRY|STATE).*|CHECKPOINT_.*|AEGIS_.*|HTTPS?_PROXY|NO_PROXY|ALL_PROXY)$/;

const Variable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/)
  .refine((name) => !OWN_VARIABLES.test(name), 'is set by Aegis itself');

/** A Terraform or OpenTofu configuration behind the gateway (`mcp://tf/<name>/-/workspace/<workspace>`). */
export const TerraformWorkspace = z.strictObject({
  /** Key of `repositories`; only commits of `branch`, which must be protected there, are planned. */
  repository: Name,
  branch: z.string().min(1).max(200).default('main'),
  /** Folder of the root module in the repository. */
  folder: z
    .string()
    .max(200)
    .regex(
      /^(?:\.|[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)$/,
      'a folder of the repository',
    )
    .default('.'),
  workspaces: z.array(Name).min(1).max(50).default(['default']),
  /** Absolute path of terraform or tofu; left out, it is looked for where programs are installed. */
  program: z.string().max(1000).startsWith('/').optional(),
  /** Folder with providers (`terraform providers mirror`); without one only built-in providers are there. */
  plugin_mirror: z.string().max(1000).startsWith('/').optional(),
  /** Variables of the child, no secrets: AWS_REGION, TF_VAR_size. */
  variables: z.record(Variable, z.string().max(1000)).default({}),
  /** Under which variables the credential of one call reaches the child. Keys of AWS have their usual names. */
  credential_variables: z
    .strictObject({
      token: Variable.optional(),
      username: Variable.optional(),
      password: Variable.optional(),
    })
    .default({}),
  lock_timeout_s: z.int().min(0).max(300).default(20),
  /** A saved plan that is older is not applied. */
  plan_age_s_max: z.int().min(60).max(86_400).default(3600),
  credentials: CredentialSource.default({ engine: 'none' }),
});
export type TerraformWorkspace = z.infer<typeof TerraformWorkspace>;
