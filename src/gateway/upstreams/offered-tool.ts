import type { McpUpstream } from '../../contract/system-mcp.ts';
import { ToolDefinition } from '../../contract/tool.ts';
import { refuse, type Refusal } from '../../contract/verdict.ts';
import type { UpstreamPin } from '../../store/authority.ts';
import { pinState } from './definition.ts';
import { upstreamTarget, type UpstreamToolId } from './registry-names.ts';

const DESCRIPTION_CHARS_MAX = 500;
const REASON_CHARS_MAX = 150;

/** Why a tool may not be used now; null when it is listed exactly as a person approved it. Pure. */
export function quarantine(
  { server, tool }: UpstreamToolId,
  pin: UpstreamPin | null,
  instructions: UpstreamPin | null,
): Refusal | null {
  const look = `Look at it and decide: aegis upstreams diff ${server}`;
  switch (pinState(pin)) {
    case 'unseen':
      return refuse('tool-quarantined', `${tool} of ${server} has never been looked at.`, look);
    case 'new':
      return refuse('tool-quarantined', `${tool} of ${server} waits for a person to approve it.`, look);
    case 'changed':
      return refuse(
        'tool-quarantined',
        `${server} describes ${tool} differently from what was approved.`,
        look,
      );
    case 'gone':
      return refuse(
        'tool-gone',
        `${server} no longer lists ${tool}.`,
        'Look at that server; the tool works again when it is back unchanged.',
      );
    case 'approved':
  }
  const told = pinState(instructions);
  if (told === 'approved') return null;
  return refuse(
    'tool-quarantined',
    `The instructions of ${server} are ${told === 'changed' ? 'not those that were approved' : 'not approved'}.`,
    look,
  );
}

/** The tool as the gateway knows it, in its own words and limits; `unavailable` stands where whoever lists it reads it. */
export function toolDefinition(
  name: string,
  id: UpstreamToolId,
  config: McpUpstream,
  approved: Readonly<Record<string, unknown>>,
  unavailable: string | null,
): ToolDefinition {
  const said = approved['description'] ?? approved['title'];
  const words = typeof said === 'string' && said.trim() !== '' ? said.trim() : id.tool;
  const now = unavailable === null ? '' : `(unavailable now: ${unavailable.slice(0, REASON_CHARS_MAX)}) `;
  return ToolDefinition.parse({
    name,
    system: 'mcp',
    description: `${now}[${id.server}] ${words}`.slice(0, DESCRIPTION_CHARS_MAX),
    base_class: 'read',
    target_kinds: ['tool'],
    target: upstreamTarget(id),
    input_schema: approved['inputSchema'],
    dry_run: 'none',
    observe: false,
    before_image: false,
    timeout_ms_max: config.call_timeout_ms,
    result_bytes_max: config.result_bytes_max,
  });
}
