import { canonicalJson } from '../contract/canonical.ts';
import type { NewLedgerEntry } from '../contract/ledger.ts';
import type { AppendToChain } from './chain.ts';
import type { Core } from './database.ts';
import { INSTRUCTIONS_PIN, type SeenTool, type UpstreamPin, type UpstreamPinStore } from './authority.ts';

interface Row {
  readonly server: string;
  readonly tool: string;
  readonly approved_hash: string | null;
  readonly approved: string | null;
  readonly approved_by: string | null;
  readonly approved_at_ms: number | null;
  readonly seen_hash: string | null;
  readonly seen: string | null;
  readonly seen_at_ms: number;
}

const COLUMNS =
  'server, tool, approved_hash, approved, approved_by, approved_at_ms, seen_hash, seen, seen_at_ms';
const ACTOR = 'aegis:gateway';

/** Definitions of external tools. Whatever changes here stands in the SYSTEM chain by the same transaction. */
export function upstreamPinStore(core: Core, append: AppendToChain): UpstreamPinStore {
  const { db } = core;
  const one = db.prepare<[string, string], Row>(
    `SELECT ${COLUMNS} FROM upstream_pin WHERE server = ? AND tool = ?`,
  );
  const of = db.prepare<[string], Row>(`SELECT ${COLUMNS} FROM upstream_pin WHERE server = ? ORDER BY tool`);
  const all = db.prepare<[], Row>(`SELECT ${COLUMNS} FROM upstream_pin ORDER BY server, tool`);
  const see = db.prepare<[string, string, string | null, string | null, number]>(
    `INSERT INTO upstream_pin (server, tool, seen_hash, seen, seen_at_ms) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (server, tool) DO UPDATE SET seen_hash = excluded.seen_hash, seen = excluded.seen, seen_at_ms = excluded.seen_at_ms`,
  );
  const approve = db.prepare<[string, number, string, string, string]>(
    `UPDATE upstream_pin SET approved_hash = seen_hash, approved = seen, approved_by = ?, approved_at_ms = ?
      WHERE server = ? AND tool = ? AND seen_hash = ?`,
  );
  return {
    async see(server, tools) {
      // Nearly always nothing has changed; then nothing is written, so a flapping server fills no chain.
      const changesNow = (): Change[] => changesOf(of.all(server).map(pinOf), tools);
      if (changesNow().length === 0) return 0;
      return core.immediate(() => {
        const changes = changesNow();
        const now = core.clock.now();
        for (const { tool, seen } of changes)
          see.run(
            server,
            tool,
            seen?.hash ?? null,
            seen === null ? null : canonicalJson(seen.definition),
            now,
          );
        if (changes.length > 0)
          append(
            'SYSTEM',
            changes.map((change) => entryOf(server, change)),
          );
        return changes.length;
      });
    },
    async approve(server, approvals, by) {
      return core.immediate(() => {
        // All that was shown, or nothing: a definition that moved since then has been seen by nobody.
        const stale = approvals.some(({ tool, hash }) => one.get(server, tool)?.seen_hash !== hash);
        if (stale) return false;
        const now = core.clock.now();
        for (const { tool, hash } of approvals) approve.run(by, now, server, tool, hash);
        append(
          'SYSTEM',
          approvals.map(({ tool, hash }) => ({
            kind: 'event' as const,
            actor: by,
            payload: { type: 'upstream_tool_approved', server, tool, hash, by },
          })),
        );
        return true;
      });
    },
    async get(server, tool) {
      const row = one.get(server, tool);
      return row === undefined ? null : pinOf(row);
    },
    async list(server) {
      return (server === undefined ? all.all() : of.all(server)).map(pinOf);
    },
  };
}

interface Change {
  readonly tool: string;
  readonly type: 'upstream_tool_new' | 'upstream_tool_changed' | 'upstream_tool_gone';
  readonly seen: SeenTool | null;
  readonly approved_hash: string | null;
}

function changesOf(pins: readonly UpstreamPin[], tools: readonly SeenTool[]): Change[] {
  const known = new Map(pins.map((pin) => [pin.tool, pin]));
  const changes: Change[] = [];
  for (const seen of tools) {
    const pin = known.get(seen.tool);
    known.delete(seen.tool);
    if (pin?.seen?.hash === seen.hash) continue;
    const type = pin === undefined ? 'upstream_tool_new' : 'upstream_tool_changed';
    changes.push({ tool: seen.tool, type, seen, approved_hash: pin?.approved?.hash ?? null });
  }
  for (const pin of known.values())
    if (pin.seen !== null && pin.tool !== INSTRUCTIONS_PIN)
      changes.push({
        tool: pin.tool,
        type: 'upstream_tool_gone',
        seen: null,
        approved_hash: pin.approved?.hash ?? null,
      });
  return changes;
}

function entryOf(server: string, { tool, type, seen, approved_hash }: Change): NewLedgerEntry {
  const payload = { type, server, tool, hash: seen?.hash ?? null, approved_hash };
  return { kind: 'event', actor: ACTOR, payload };
}

function pinOf(row: Row): UpstreamPin {
  const { server, tool, seen_at_ms } = row;
  const parsed = (text: string): Readonly<Record<string, unknown>> =>
    JSON.parse(text) as Record<string, unknown>;
  return {
    server,
    tool,
    approved:
      row.approved_hash === null || row.approved === null
        ? null
        : {
            hash: row.approved_hash,
            definition: parsed(row.approved),
            by: row.approved_by ?? '',
            at_ms: row.approved_at_ms ?? 0,
          },
    seen:
      row.seen_hash === null || row.seen === null
        ? null
        : { hash: row.seen_hash, definition: parsed(row.seen) },
    seen_at_ms,
  };
}
