import { sha256Hex } from '../../contract/canonical.ts';
import { formatTarget, ToolName } from '../../contract/tool.ts';

/** One declared tool of an external server, by its own names. */
export interface UpstreamToolId {
  readonly server: string;
  readonly tool: string;
}

const HASH_CHARS = 8;
const PART_CHARS_MAX = 60;

/**
 * Pure: `files`, `read-file` -> `mcp.files.read_file`. Always prefixed, so that no server can take a name of ours. What
 * had to be altered and then reads the same as another ends in a hash of its own name. Read back through the table only.
 */
export function registryNames(ids: readonly UpstreamToolId[]): ReadonlyMap<string, UpstreamToolId> {
  const plain = ({ server, tool }: UpstreamToolId): string => `mcp.${part(server)}.${part(tool)}`;
  const uses = new Map<string, number>();
  for (const id of ids) uses.set(plain(id), (uses.get(plain(id)) ?? 0) + 1);
  return new Map(
    ids.map((id) => {
      const name = plain(id);
      const exact = name === `mcp.${id.server}.${id.tool}`;
      const unique = uses.get(name) === 1 || exact;
      const hash = sha256Hex(`${id.server}/${id.tool}`).slice(0, HASH_CHARS);
      return [ToolName.parse(unique ? name : `${name}_${hash}`), id];
    }),
  );
}

/** The stable address of a tool, whatever name it goes by. */
export function upstreamTarget({ server, tool }: UpstreamToolId): string {
  return formatTarget({ system: 'mcp', cluster: server, namespace: '-', kind: 'tool', name: tool });
}

function part(text: string): string {
  const flat = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]/g, '_')
    .slice(0, PART_CHARS_MAX);
  return /^[a-z]/.test(flat) ? flat : `x${flat}`;
}
