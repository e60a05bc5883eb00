import type { Autonomy } from '../contract/incident.ts';
import type { LadderRaise, Score } from '../contract/shadow.ts';

/** Where incidents of one service are scored; `-` stands for incidents that name none. */
export interface LadderPlace {
  readonly team: string;
  readonly env: string;
  readonly service: string;
}

/** The record that autonomy is earned with. Scores are written by a step; here they are read. */
export interface LadderStore {
  /** Every place that has a score, in order. */
  places(): Promise<readonly LadderPlace[]>;
  /** The newest scores of a place, oldest first. */
  scores(place: LadderPlace, limit: number): Promise<readonly Score[]>;
  raises(place: LadderPlace): Promise<readonly LadderRaise[]>;
  /**
   * One person's wish for a step up. The second person within the window makes it a decision; each wish is a row of the
   * SYSTEM chain in the same transaction. The same person twice counts once.
   */
  vote(
    place: LadderPlace,
    vote: { readonly to: Autonomy; readonly by: string; readonly window_ms: number },
  ): Promise<'first' | 'same-person' | LadderRaise>;
}
