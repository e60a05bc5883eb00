import { sha256Hex } from '../../contract/canonical.ts';

/**
 * Names of our tools as outside agents see them: always with our prefix, so that they collide with nobody's and never
 * change when another server joins, and short enough for every model provider. Read back through the table only.
 */
const PREFIX = 'aegis_';
/** Providers allow 64 characters; clients put a few of their own in front. */
const NAME_CHARS_MAX = 60;
const HASH_CHARS = 8;

export interface ToolNames {
  /** Our name -> the name outside. */
  readonly outside: ReadonlyMap<string, string>;
  /** The name outside -> our name. */
  readonly inside: ReadonlyMap<string, string>;
}

/** Pure: `k8s.get` -> `aegis_k8s_get`. What is too long, or would read the same as another, ends in a hash of its own name. */
export function toolNames(tools: readonly string[]): ToolNames {
  const plain = (tool: string): string => `${PREFIX}${tool.replaceAll('.', '_')}`;
  const uses = new Map<string, number>();
  for (const tool of tools) uses.set(plain(tool), (uses.get(plain(tool)) ?? 0) + 1);
  const outside = new Map<string, string>();
  for (const tool of tools) {
    const name = plain(tool);
    const fits = name.length <= NAME_CHARS_MAX && uses.get(name) === 1;
    outside.set(tool, fits ? name : `${name.slice(0, NAME_CHARS_MAX - HASH_CHARS - 1)}_${tail(tool)}`);
  }
  return { outside, inside: new Map([...outside].map(([tool, name]) => [name, tool])) };
}

function tail(tool: string): string {
  return sha256Hex(tool).slice(0, HASH_CHARS);
}
