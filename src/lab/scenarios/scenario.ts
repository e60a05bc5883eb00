import type { WorldOptions } from '../world/world.ts';
import type { Range } from '../range.ts';

/** One story of the practice range. */
export interface Scenario {
  readonly name: string;
  readonly summary: string;
  /** The simulated world at the start. */
  world(): Omit<WorldOptions, 'clock' | 'seed'>;
  /** What Alertmanager posts when the story begins. */
  alert(now_ms: number): unknown;
  /** Simulated people carry the incident to its end. @throws when it does not end as it should. */
  handsOff(range: Range, say: (line: string) => void): Promise<void>;
  /** The same in shadow: Aegis proposes, a simulated person repairs by hand. */
  readonly shadow?: (range: Range, say: (line: string) => void) => Promise<void>;
  /** The same under autonomy `limited`: nobody presses anything. */
  readonly limited?: (range: Range, say: (line: string) => void) => Promise<void>;
}
