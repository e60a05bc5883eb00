import { z } from 'zod';
import type { RpcParams } from '../upstreams/link.ts';

/**
 * What the relay passes and what it says about it: pure tables. Whatever is not in them does not exist, in either
 * direction; the protocol's other parts (tasks, experiments, links to open) would go around what the gateway checks.
 */
export interface RelayedMethod {
  /** The name in policies and in the audit; a tool that is called has its own. */
  readonly tool: string;
  /** The kind of its target. */
  readonly kind: 'server' | 'tool' | 'resource' | 'prompt' | 'completion';
  /** The part of the server's capabilities that must be offered. */
  readonly needs: keyof OfferedCapabilities | null;
}

const method = (name: string, kind: RelayedMethod['kind'], needs: RelayedMethod['needs']): RelayedMethod => ({
  tool: `mcp.${name}`,
  kind,
  needs,
});

export const INITIALIZE = method('initialize', 'server', null);

/** Requests of the client that reach the server. All of them are reads, each with its rows in the audit. */
export const RELAYED_METHODS: ReadonlyMap<string, RelayedMethod> = new Map([
  ['tools/list', method('tools_list', 'server', 'tools')],
  ['tools/call', method('tools_call', 'tool', 'tools')],
  ['resources/list', method('resources_list', 'server', 'resources')],
  ['resources/templates/list', method('resources_templates_list', 'server', 'resources')],
  ['resources/read', method('resources_read', 'resource', 'resources')],
  ['resources/subscribe', method('resources_subscribe', 'resource', 'resources')],
  ['resources/unsubscribe', method('resources_unsubscribe', 'resource', 'resources')],
  ['prompts/list', method('prompts_list', 'server', 'prompts')],
  ['prompts/get', method('prompts_get', 'prompt', 'prompts')],
  ['completion/complete', method('completion_complete', 'completion', 'completions')],
  ['logging/setLevel', method('logging_set_level', 'server', 'logging')],
]);

/** Requests of the server that may reach the client, with the capability that the client must have advertised. */
export const ASKED_BACK: ReadonlyMap<string, keyof ClientCapabilities> = new Map([
  ['sampling/createMessage', 'sampling'],
  ['elicitation/create', 'elicitation'],
  ['roots/list', 'roots'],
]);

/** Notifications of the server that reach the client; progress comes with its request. */
export const TOLD_BACK: ReadonlySet<string> = new Set([
  'notifications/message',
  'notifications/resources/updated',
  'notifications/resources/list_changed',
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
]);

const Flag = z.boolean().optional();

/** The part of a server's capabilities that the relay offers on. */
const OfferedCapabilities = z.object({
  tools: z.object({ listChanged: Flag }).optional(),
  resources: z.object({ listChanged: Flag, subscribe: Flag }).optional(),
  prompts: z.object({ listChanged: Flag }).optional(),
  completions: z.object({}).optional(),
  logging: z.object({}).optional(),
});
export type OfferedCapabilities = z.infer<typeof OfferedCapabilities>;

/** A server whose capabilities cannot be read offers nothing. */
export function offeredCapabilities(capabilities: unknown): OfferedCapabilities {
  const parsed = OfferedCapabilities.safeParse(capabilities);
  return parsed.success ? parsed.data : {};
}

/**
 * The part of a client's capabilities that the server learns of. Elicitation by URL is not among it: it would make a
 * person open an address that an untrusted server chose.
 */
const ClientCapabilities = z.object({
  sampling: z.object({}).optional(),
  elicitation: z.object({}).optional(),
  roots: z.object({ listChanged: Flag }).optional(),
});
export type ClientCapabilities = z.infer<typeof ClientCapabilities>;

export function clientCapabilities(capabilities: unknown): ClientCapabilities {
  const parsed = ClientCapabilities.safeParse(capabilities);
  return parsed.success ? parsed.data : {};
}

const CHARS_MAX = 2000;
const Text = z.string().min(1).max(CHARS_MAX);
const Arguments = z.record(z.string(), z.unknown()).optional();

/** The parameters of each relayed method as far as the gateway decides by them; the server checks the rest. */
const PARAMS: Readonly<Record<string, z.ZodType<RpcParams>>> = {
  'tools/call': z.object({ name: Text, arguments: Arguments }),
  'resources/read': z.object({ uri: Text }),
  'resources/subscribe': z.object({ uri: Text }),
  'resources/unsubscribe': z.object({ uri: Text }),
  'prompts/get': z.object({ name: Text, arguments: Arguments }),
  'completion/complete': z.object({
    ref: z.object({ type: Text, name: Text.optional(), uri: Text.optional() }),
    argument: z.object({ name: Text, value: z.string().max(CHARS_MAX) }),
    context: z.object({ arguments: z.record(z.string(), z.string().max(CHARS_MAX)).optional() }).optional(),
  }),
  'logging/setLevel': z.object({ level: Text }),
};
const Page = z.object({ cursor: Text.optional() });

/** Only what the protocol knows goes on to the server: nothing of the request's own metadata does. Null: not valid. */
export function relayedParams(method_name: string, params: unknown): RpcParams | null {
  const parsed = (PARAMS[method_name] ?? Page).safeParse(params ?? {});
  return parsed.success ? parsed.data : null;
}
