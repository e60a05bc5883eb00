import { z } from 'zod';
import { CredentialSource, SecretRef } from './credentials.ts';

/**
 * An external MCP server behind the gateway (`mcp://mcp/<name>/-/tool/<tool>`). What its tools may do is said here, by
 * the operator: a server's own words can only make a tool look more dangerous, never less.
 */
const Text = z.string().max(4000);

/** A tool's name as its server knows it, as far as it can stand in a target. */
export const UpstreamToolName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'use letters, digits, . _ - (128 at most)');

/** Given to a process or sent as a header: a secret by its place, or plain text. */
const Value = z.union([SecretRef, Text]);

const Common = {
  /**
   * The tools that exist for Aegis. `read`: it changes nothing, by your word. `write`: known, and refused: a foreign
   * server has no dry run that Aegis could force, so there is nothing to show to whoever approves. Others are not offered.
   */
  tools: z
    .record(UpstreamToolName, z.enum(['read', 'write']))
    .refine((tools) => Object.keys(tools).length <= 200, 'at most 200 tools of one server')
    .default({}),
  handshake_timeout_ms: z.int().min(100).max(120_000).default(20_000),
  call_timeout_ms: z.int().min(100).max(120_000).default(20_000),
  /** Longer results are refused, never cut. */
  result_bytes_max: z.int().min(1024).max(4_194_304).default(262_144),
  /** Without a call for so long, the session (and the process) is ended; the next call starts it again. */
  idle_stop_s: z.int().min(1).max(86_400).default(600),
  /** Also serves it as it is, on `/mcp/<name>`, to holders of a token whose team and environment own it. */
  relay: z.boolean().default(false),
};

const HttpUpstreamServer = z.strictObject({
  transport: z.literal('http'),
  /** Of the MCP endpoint, often `https://<host>/mcp`; without query. */
  url: z
    .url({ protocol: /^https?$/ })
    .max(1000)
    .refine((url) => !url.includes('?') && !url.includes('#'), 'write the address without ? and #'),
  ca_file: z.string().max(1000).optional(),
  headers: z.record(z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,99}$/), Value).default({}),
  credentials: CredentialSource.default({ engine: 'none' }),
  ...Common,
});

const StdioUpstreamServer = z.strictObject({
  transport: z.literal('stdio'),
  /** A program, started directly and without a shell: `node`, not `npx`, which would stand between. */
  command: z.string().min(1).max(1000),
  args: z.array(Text).max(100).default([]),
  /** All that the process gets besides PATH, HOME and TMPDIR. */
  env: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/), Value)
    .refine((env) => Object.keys(env).length <= 100, 'at most 100 variables')
    .default({}),
  /**
   * Numeric user and group of the process, where Aegis runs as root: then the system itself keeps it from AEGIS_HOME and
   * from everything else that belongs to Aegis. Left out, it runs as Aegis does.
   */
  run_as: z
    .strictObject({ uid: z.int().min(1).max(4_294_967_294), gid: z.int().min(1).max(4_294_967_294) })
    .optional(),
  /** A process has its secrets in `env`, for as long as it lives. */
  credentials: z.strictObject({ engine: z.literal('none') }).default({ engine: 'none' }),
  ...Common,
});

export const McpUpstream = z.discriminatedUnion('transport', [StdioUpstreamServer, HttpUpstreamServer]);
export type McpUpstream = z.infer<typeof McpUpstream>;
