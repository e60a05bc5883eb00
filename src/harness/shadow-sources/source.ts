import type { Look } from '../shadow/look.ts';
import type { EffectInput } from '../effects/effect.ts';
import type { ReadSession } from '../world-session.ts';

/** What one look at one source gave. */
export interface Looked extends Look {
  /** The source did not answer: another try may see more. */
  readonly outage: boolean;
}

/**
 * A place where people's acts show. A source that the environment does not have gives an empty look; one that it has and
 * that cannot be seen says so in `unseen`, since nobody is called idle who was not watched.
 */
export interface ShadowSource {
  readonly source: string;
  /** `targets`: what the compared plan wanted to change. */
  look(input: EffectInput, read: ReadSession, targets: ReadonlySet<string>): Promise<Looked>;
}

/** What several looks gave together. */
export function allOf(looks: readonly Looked[]): Looked {
  return {
    changes: looks.flatMap((look) => look.changes),
    unseen: looks.flatMap((look) => look.unseen),
    outage: looks.some((look) => look.outage),
  };
}
