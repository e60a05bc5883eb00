import { MOVES } from './moves.ts';

/** The table of legal moves as a Mermaid state diagram; several events between two states share one arrow. */
export function mermaidOfMoves(): string {
  const arrows = new Map<string, string[]>();
  for (const move of MOVES) {
    const key = `${move.from} --> ${move.to}`;
    const label = move.when === undefined ? move.on : `${move.on} [${move.when}]`;
    arrows.set(key, [...(arrows.get(key) ?? []), label]);
  }
  const lines = [...arrows].map(([arrow, labels]) => `  ${arrow}: ${[...new Set(labels)].join(', ')}`);
  return ['stateDiagram-v2', '  [*] --> IDLE', ...lines, '  CLOSED --> [*]'].join('\n');
}
