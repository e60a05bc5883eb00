import type { SeenTool } from '../../store/authority.ts';
import type { Credential } from '../credentials/credential.ts';
import { UpstreamError } from '../upstream-error.ts';
import { seenTool, ToolPage } from './definition.ts';
import type { Link } from './link.ts';

const PAGES_MAX = 50;
const TOOLS_MAX = 2000;
/** For all pages together. */
const LIST_TIMEOUT_MS = 20_000;

/** Everything that the server lists now. @throws UpstreamError when it does not list, or lists without end. */
export async function listTools(
  link: Link,
  credential: Credential | null,
): Promise<{ readonly tools: readonly SeenTool[]; readonly instructions: string | null }> {
  const { instructions, capabilities } = link.server;
  const tools = new Map<string, SeenTool>();
  if (capabilities['tools'] === undefined) return { tools: [], instructions };
  let cursor: string | undefined;
  const deadline_ms = performance.now() + LIST_TIMEOUT_MS;
  for (let page = 1; ; page += 1) {
    const params = cursor === undefined ? {} : { cursor };
    const timeout_ms = Math.max(1, Math.ceil(deadline_ms - performance.now()));
    const answer = await link.request('tools/list', params, { timeout_ms, credential });
    if (!answer.ok)
      throw new UpstreamError({ ...answer.error, message: `its tools: ${answer.error.message}` });
    const parsed = ToolPage.safeParse(answer.result);
    if (!parsed.success) throw malformed('its list of tools is not one of MCP');
    for (const raw of parsed.data.tools) {
      const seen = seenTool(raw);
      if (seen === null) continue;
      // Two tools of one name: which of them a call would reach is the server's secret, so neither is believed.
      if (tools.has(seen.tool)) throw malformed(`it lists the tool ${seen.tool} twice`);
      tools.set(seen.tool, seen);
    }
    cursor = parsed.data.nextCursor;
    if (cursor === undefined || cursor === '') return { tools: [...tools.values()], instructions };
    if (page >= PAGES_MAX || tools.size > TOOLS_MAX) throw malformed('its list of tools does not end');
  }
}

function malformed(message: string): UpstreamError {
  return new UpstreamError({ problem: 'malformed', sent: 'answered', status: null, message });
}
