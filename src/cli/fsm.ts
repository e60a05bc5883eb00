import { mermaidOfMoves } from '../harness/fsm.ts';
import { MOVES } from '../harness/moves.ts';
import type { GlobalOptions } from './output.ts';
import { print } from './output.ts';

export function fsm(options: GlobalOptions): void {
  print(options, { moves: MOVES }, mermaidOfMoves());
}
