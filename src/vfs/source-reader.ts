import { hashOf, sha256Hex } from '../contract/canonical.ts';
import { formatTarget, type Target } from '../contract/tool.ts';
import { isRefusal, refuse, type Refusal } from '../contract/verdict.ts';
import type { GatewayRead, ReadResult } from '../gateway/read.ts';
import type { VfsSession } from './session.ts';

/**
 * One read's way to its sources: it carries the reader's token and reason to the gateway, counts calls, and remembers
 * where the text came from (source query, redaction rules, keyed hashes of the raw bytes) for the evidence record.
 */
export interface SourceReader {
  readonly session: VfsSession;
  readonly signal: AbortSignal | undefined;
  /** A tool of the gateway; refusals come back as values. */
  call(tool: string, target: Target, args: Readonly<Record<string, unknown>>): Promise<ReadResult | Refusal>;
  /** Text that did not come through the gateway (a skill, the ledger): named and hashed like the rest. */
  local(source: string, text: string): void;
  provenance(): Provenance;
}

export interface Provenance {
  readonly source_query: string;
  readonly rules_hash: string;
  /** What the raw bytes were, as one text to be keyed by the store. */
  readonly raw_identity: string;
  readonly calls: number;
}

const CALLS_MAX = 400;
const SOURCE_QUERY_CHARS_MAX = 8000;
const NO_RULES = hashOf({ v: 1, rules: 'none' });

export function createSourceReader(options: {
  readonly gateway: GatewayRead;
  readonly session: VfsSession;
  readonly why: string;
  readonly signal: AbortSignal | undefined;
  /** Told of each refusal that the gateway gave (and has recorded). */
  readonly onRefusal?: (refusal: Refusal) => void;
}): SourceReader {
  const { gateway, session, why, signal } = options;
  const queries: string[] = [];
  const raw: string[] = [];
  const rules = new Set<string>();
  let calls = 0;
  return {
    session,
    signal,
    async call(tool, target, args) {
      signal?.throwIfAborted();
      if (calls++ >= CALLS_MAX)
        return refuse(
          'read-too-large',
          `This read needs more than ${CALLS_MAX} calls to its source.`,
          'Narrow it: a shorter window, a fixed text to search for, or tail.',
        );
      const result = await gateway.read(
        { token: session.token, tool, target: formatTarget(target), args, why },
        signal,
      );
      signal?.throwIfAborted();
      if (isRefusal(result)) {
        options.onRefusal?.(result);
        return result;
      }
      queries.push(result.source_query);
      raw.push(result.raw_hmac);
      rules.add(result.rules_hash);
      return result;
    },
    local(source, text) {
      queries.push(source);
      raw.push(sha256Hex(text));
    },
    provenance() {
      const [only, ...others] = [...rules].sort();
      return {
        source_query: clip([...new Set(queries)].join('\n')),
        rules_hash:
          only === undefined
            ? NO_RULES
            : others.length === 0
              ? only
              : hashOf({ v: 1, rules: [only, ...others] }),
        raw_identity: raw.join('\n'),
        calls,
      };
    },
  };
}

function clip(text: string): string {
  return text.length <= SOURCE_QUERY_CHARS_MAX ? text : `${text.slice(0, SOURCE_QUERY_CHARS_MAX - 1)}…`;
}
