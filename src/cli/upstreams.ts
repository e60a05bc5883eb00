import { nearest } from '../config-issue.ts';
import { isoTime } from '../contract/ports.ts';
import { isRefusal } from '../contract/verdict.ts';
import { DRIVERS } from '../gateway/drivers/index.ts';
import { decisionOf, reviewServer, waits, type ReviewedTool } from '../gateway/upstreams/review.ts';
import { INSTRUCTIONS_PIN, type UpstreamPin } from '../store/authority.ts';
import { withContext, type CliContext } from './context.ts';
import { localUser } from './freeze.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print, table } from './output.ts';
import { openGateway } from './open-gateway.ts';

/**
 * `aegis upstreams list|diff|approve`: what external MCP servers say of their tools, and a person's word on it. `diff`
 * asks the server; an approval names the text that was looked at, so what changes in between is never approved.
 */
export interface UpstreamsOptions {
  readonly seen?: string;
}

export async function upstreams(
  options: GlobalOptions,
  action: string,
  server: string | undefined,
  tool: string | undefined,
  o: UpstreamsOptions,
): Promise<void> {
  if (action === 'list') return list(options, server);
  if (action === 'diff') return diff(options, server, tool);
  if (action === 'approve') return approve(options, server, tool, o.seen);
  throw new CliError(`"${action}" is not an action; use list, diff or approve`, EXIT.usage);
}

const STATES: Readonly<Record<ReviewedTool['state'], string>> = {
  approved: 'approved',
  new: 'waits for approval',
  changed: 'changed, waits for approval',
  gone: 'no longer listed',
  unseen: 'never looked at',
};

async function list(options: GlobalOptions, only: string | undefined): Promise<void> {
  await withContext(options, 'read', async (context) => {
    const { settings } = context.config;
    const servers = only === undefined ? Object.keys(settings.upstreams) : [known(context, only)];
    const pins = await context.store.upstream_pins.list();
    const tools = servers.flatMap((server) => reviewed(context, server, pins));
    const rows = tools.map((t) => {
      const approval = approvalOf(pins, t.server, t.tool);
      return [t.server, t.tool, t.declared, stateWords(t), approval];
    });
    const text =
      rows.length === 0
        ? 'No MCP server is configured: add it to `upstreams` in aegis.yaml.'
        : table([['SERVER', 'TOOL', 'CLASS', 'STATE', 'APPROVED BY'], ...rows]);
    print(options, { tools: tools.map(({ diff: _lines, ...rest }) => rest) }, text);
  });
}

function approvalOf(pins: readonly UpstreamPin[], server: string, tool: string): string {
  const approved = pins.find((pin) => pin.server === server && pin.tool === tool)?.approved;
  return approved === undefined || approved === null ? '-' : `${approved.by} ${isoTime(approved.at_ms)}`;
}

async function diff(
  options: GlobalOptions,
  name: string | undefined,
  tool: string | undefined,
): Promise<void> {
  await withContext(options, 'write', async (context) => {
    const server = known(context, name);
    const { undeclared, trouble } = await look(context, server);
    const all = reviewed(context, server, await context.store.upstream_pins.list(server));
    if (tool !== undefined) declaredTool(all, server, tool);
    const shown = all.filter((t) => tool === undefined || t.tool === tool);
    const decision = decisionOf(all, tool);
    const command = (mark: string, one = ''): string =>
      `aegis upstreams approve ${server}${one === '' ? '' : ` ${quoted(one)}`} --seen ${mark}`;
    const next = [
      ...(decision === null ? [] : [`Approve what is shown: ${command(decision.mark, tool)}`]),
      ...(decision?.by_name_only ?? risky(all, tool)).map((one) => {
        const alone = decisionOf(all, one);
        return `${one}: ${server} says itself that it is no harmless read. If you know better: ${command(alone?.mark ?? '', one)}`;
      }),
    ];
    const text = [
      ...(trouble === null ? [] : [`${server} cannot be asked now: ${trouble}`, '']),
      ...shown.flatMap(linesOf),
      ...(undeclared.length === 0
        ? []
        : [`Listed too, not in aegis.yaml and not offered: ${undeclared.join(', ')}`]),
      ...(next.length === 0 ? ['Nothing waits for approval.'] : next),
    ].join('\n');
    print(options, { server, trouble, undeclared, tools: shown, seen: decision?.mark ?? null, next }, text);
  });
}

/** Waiting tools that a person must name, when nothing else waits. */
function risky(all: readonly ReviewedTool[], tool: string | undefined): string[] {
  if (tool !== undefined) return [];
  return all
    .filter(waits)
    .filter((t) => t.findings.some(({ kind }) => kind === 'raises-risk'))
    .map((t) => t.tool);
}

function linesOf(one: ReviewedTool): string[] {
  const { tool, declared, findings, diff: lines } = one;
  return [
    `${tool} (${declared}): ${stateWords(one)}`,
    ...findings.map(({ text }) => `  LOOK: ${text}`),
    ...(waits(one) ? lines.map((line) => `  ${line}`) : []),
    '',
  ];
}

function stateWords({ declared, state }: ReviewedTool): string {
  return declared === 'write' ? 'refused' : STATES[state];
}

async function approve(
  options: GlobalOptions,
  name: string | undefined,
  tool: string | undefined,
  seen: string | undefined,
): Promise<void> {
  await withContext(options, 'write', async (context) => {
    const server = known(context, name);
    if (seen === undefined)
      throw new CliError(
        `say which text you looked at: --seen <mark>. "aegis upstreams diff ${server}" shows it`,
        EXIT.usage,
      );
    const all = reviewed(context, server, await context.store.upstream_pins.list(server));
    if (tool !== undefined) declaredTool(all, server, tool);
    const decision = decisionOf(all, tool);
    const again = `look again: aegis upstreams diff ${server}. Nothing was approved`;
    if (decision === null)
      throw new CliError(
        `nothing of ${server}${tool === undefined ? '' : ` ${tool}`} waits for approval; ${again}`,
      );
    if (decision.mark !== seen)
      throw new CliError(`what ${server} lists is no longer what you looked at; ${again}`);
    const by = localUser();
    if (!(await context.store.upstream_pins.approve(server, decision.approvals, by)))
      throw new CliError(`what ${server} lists has just changed; ${again}`);
    const tools = decision.approvals.map((one) => one.tool);
    print(options, { server, approved: tools, by }, `Approved by ${by}: ${tools.join(', ')} of ${server}.`);
  });
}

/** Asks the server through a gateway of this command's own; a running service reads the same pins from the store. */
async function look(
  context: CliContext,
  server: string,
): Promise<{ undeclared: readonly string[]; trouble: string | null }> {
  const gateway = await openGateway(context);
  try {
    const answer = await gateway.lookAtUpstream(server);
    return isRefusal(answer) ? { undeclared: [], trouble: answer.reason } : { ...answer, trouble: null };
  } finally {
    await gateway.close();
  }
}

function reviewed(
  { config }: CliContext,
  server: string,
  pins: readonly UpstreamPin[],
): (ReviewedTool & { server: string })[] {
  const { upstreams: settings } = config.settings;
  return reviewServer({
    server,
    settings,
    pins,
    own_tools: DRIVERS.flatMap((driver) => driver.tools.map((tool) => tool.name)),
  }).map((tool) => ({ server, ...tool }));
}

function known({ config }: CliContext, name: string | undefined): string {
  const names = Object.keys(config.settings.upstreams);
  if (name === undefined)
    throw new CliError(`name the server; configured: ${names.join(', ') || 'none'}`, EXIT.usage);
  if (names.includes(name)) return name;
  const near = nearest(name, names);
  throw new CliError(
    `there is no MCP server "${name}" in aegis.yaml${near === null ? '' : `; did you mean "${near}"?`} Configured: ${names.join(', ') || 'none'}`,
    EXIT.usage,
  );
}

function declaredTool(all: readonly ReviewedTool[], server: string, tool: string): void {
  if (all.some((one) => one.tool === tool)) return;
  const names = all.map((one) => one.tool);
  const near = nearest(tool, names);
  throw new CliError(
    `aegis.yaml declares no tool "${tool}" of ${server}${near === null ? '' : `; did you mean "${near}"?`} Declared: ${names.join(', ')}`,
    EXIT.usage,
  );
}

/** The parentheses of the instructions' name mean something to a shell. */
function quoted(tool: string): string {
  return tool === INSTRUCTIONS_PIN ? `'${tool}'` : tool;
}
