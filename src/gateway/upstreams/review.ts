import { hashOf } from '../../contract/canonical.ts';
import type { McpUpstream } from '../../contract/system-mcp.ts';
import { INSTRUCTIONS_PIN, type UpstreamPin } from '../../store/authority.ts';
import { definitionDiff, findingsIn, pinState, type Finding, type PinState } from './definition.ts';

/** What a person is shown of a server before deciding, and what exactly a decision then covers. Pure. */
export interface ReviewedTool {
  readonly tool: string;
  readonly declared: 'read' | 'write' | 'instructions';
  readonly state: PinState;
  readonly findings: readonly Finding[];
  readonly diff: readonly string[];
  /** Of the definition as listed now; null when it is not listed. */
  readonly hash: string | null;
}

export interface ReviewInput {
  readonly server: string;
  readonly settings: Readonly<Record<string, McpUpstream>>;
  readonly pins: readonly UpstreamPin[];
  /** Names of Aegis' own tools. */
  readonly own_tools: readonly string[];
}

export function reviewServer({ server, settings, pins, own_tools }: ReviewInput): ReviewedTool[] {
  const others = Object.entries(settings).filter(([name]) => name !== server);
  const neighbours = {
    servers: others.map(([name]) => name),
    tools: [
      ...own_tools,
      ...others.flatMap(([name, { tools }]) => Object.keys(tools).map((tool) => `${name}/${tool}`)),
    ],
  };
  const known = new Map(pins.filter((pin) => pin.server === server).map((pin) => [pin.tool, pin]));
  const declared: [string, ReviewedTool['declared']][] = [
    [INSTRUCTIONS_PIN, 'instructions'],
    ...Object.entries(settings[server]?.tools ?? {}),
  ];
  return declared.map(([tool, as]) => {
    const pin = known.get(tool) ?? null;
    const seen = pin?.seen ?? null;
    const findings = seen === null ? [] : findingsIn({ tool, definition: seen.definition }, neighbours);
    return {
      tool,
      declared: as,
      state: pinState(pin),
      // A tool that may write by its operator's word is refused anyway; its own word adds nothing.
      findings: as === 'write' ? findings.filter(({ kind }) => kind !== 'raises-risk') : findings,
      diff: pin === null ? [] : definitionDiff(pin),
      hash: seen?.hash ?? null,
    };
  });
}

export interface Decision {
  /** What a person repeats to say which text was looked at. */
  readonly mark: string;
  readonly approvals: readonly { readonly tool: string; readonly hash: string }[];
  /** Waiting too, but a tool whose server says that it writes is decided by its own name alone. */
  readonly by_name_only: readonly string[];
}

const MARK_CHARS = 12;

/** A tool that is declared to write is refused whatever it says of itself: there is nothing to decide. */
export function waits({ declared, state }: ReviewedTool): boolean {
  return declared !== 'write' && (state === 'new' || state === 'changed');
}

/** What an approval of this server (or of one tool) would cover now; null when nothing waits. */
export function decisionOf(reviewed: readonly ReviewedTool[], tool: string | undefined): Decision | null {
  const waiting = reviewed.filter(waits);
  const risky = (one: ReviewedTool): boolean => one.findings.some(({ kind }) => kind === 'raises-risk');
  const covered = waiting.filter((one) => (tool === undefined ? !risky(one) : one.tool === tool));
  const approvals = covered.flatMap((one) => (one.hash === null ? [] : [{ tool: one.tool, hash: one.hash }]));
  if (approvals.length === 0) return null;
  return {
    mark: hashOf({ v: 1, approvals }).slice(0, MARK_CHARS),
    approvals,
    by_name_only: tool === undefined ? waiting.filter(risky).map((one) => one.tool) : [],
  };
}
