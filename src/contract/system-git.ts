import { z } from 'zod';
import { CredentialSource } from './credentials.ts';

/**
 * A git repository behind the gateway (`mcp://git/<name>/-/branch/<branch>`). A branch name with slashes is written
 * with `..` in their place, which git allows in no branch name: `release..1.2` is `release/1.2`.
 */
const Remote = z
  .string()
  .min(1)
  .max(1000)
  .regex(
    /^(?:https?:\/\/[A-Za-z0-9.:[\]-]+\/[A-Za-z0-9._~/-]+|\/[A-Za-z0-9._ /-]+)$/,
    'an https address without user, query and fragment, or the absolute path of a bare repository',
  )
  .refine((remote) => !remote.includes('/../'), 'without ".."');

export const GitRepository = z.strictObject({
  /** Address of the remote: https, or the absolute path of a bare repository on this machine. */
  remote: Remote,
  /** Where change requests are opened; without it the branch itself is the request. */
  forge: z
    .strictObject({
      kind: z.enum(['github', 'gitlab']),
      /** Address of the REST API: `https://api.github.com`, `https://gitlab.example.com/api/v4`. */
      url: z.url({ protocol: /^https?$/ }).max(1000),
      /** `owner/name`, for GitLab with all groups. */
      project: z
        .string()
        .max(200)
        .regex(/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)+$/, 'owner/name'),
    })
    .optional(),
  /** Branches that no tool writes to: a name, or a prefix that ends with `/*`. */
  protected: z
    .array(
      z
        .string()
        .max(200)
        .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*(\/\*)?$/, 'a branch, or a prefix that ends with /*'),
    )
    .min(1)
    .max(100)
    .default(['main', 'master', 'production', 'release/*']),
  /** Certificate authority of the remote and of the forge. */
  ca_file: z.string().max(1000).optional(),
  /** The mirror below AEGIS_HOME is never larger than this. */
  mirror_bytes_max: z
    .int()
    .min(1024 * 1024)
    .max(50 * 1024 ** 3)
    .default(1024 ** 3),
  /** A read may be answered from a mirror that is this old. Previews and writes always ask the remote. */
  mirror_age_s_max: z.int().min(0).max(3600).default(30),
  credentials: CredentialSource.default({ engine: 'none' }),
});
export type GitRepository = z.infer<typeof GitRepository>;
