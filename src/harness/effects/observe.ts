import type { SeenChange } from '../../contract/shadow.ts';
import { SHADOW_SOURCES } from '../shadow-sources/all-sources.ts';
import { KubernetesWatch } from '../shadow-sources/kubernetes-watch.ts';
import { allOf } from '../shadow-sources/source.ts';
import type { Looked } from '../shadow-sources/source.ts';
import { oneAct } from '../shadow/one-act.ts';
import type { WatchPositions } from '../shadow/watch.ts';
import { incidentOf, quietMs } from '../state.ts';
import { withWorld } from '../world-session.ts';
import type { ReadSession } from '../world-session.ts';
import type { Effect, EffectInput } from './effect.ts';

/** Pauses between looks grow: people act soon, and an incident may stay open for a day. */
const PAUSE_FIRST_MS = 5000;
const PAUSE_GROWTH = 1.5;
const PAUSE_MAX_MS = 300_000;
/** An observation that sees nothing comes to an end and begins anew: its token does not live for ever. */
const TURN_MS = 30 * 60_000;
/** The last look decides what is said about people, so it is tried again when a source does not answer. */
const FINAL_TRIES_MAX = 3;
const FINAL_PAUSE_MS = 2000;
const CHANGES_MAX = 100;
const UNSEEN_MAX = 20;

/**
 * OBSERVING: looks at who changed what since the incident opened, again and again, until somebody did something. It
 * reads through the same door as everything else, outside of the incident's budget: watching is not investigating.
 */
export const observeEffect: Effect = (input) =>
  withWorld(input.deps, input.context, { purpose: 'look', principal: 'aegis' }, async (read) => {
    const { deps, context } = input;
    const known = new Map(context.shadow?.seen.map((change) => [change.key, change]));
    const started_ms = deps.clock.now();
    const final = isFinal(input, started_ms);
    const targets = plannedTargets(input);
    const watch = new KubernetesWatch(input, read, targets);
    for (let pause_ms = PAUSE_FIRST_MS, tries = 1; ; tries += 1) {
      const look = await lookAround(input, read, watch, targets);
      const fresh = look.changes.filter((change) => isNews(change, known.get(change.key)));
      const now_ms = deps.clock.now();
      const over = now_ms >= watchEndMs(input);
      const blind = final && look.outage && tries < FINAL_TRIES_MAX;
      const is_news = fresh.some((change) => !change.robot);
      if (!blind && (final || over || is_news || now_ms - started_ms >= TURN_MS))
        return observed(input, { ...look, changes: fresh }, watch.positions(), { final, over });
      await watch.pause(final ? FINAL_PAUSE_MS : pause_ms);
      pause_ms = Math.min(pause_ms * PAUSE_GROWTH, PAUSE_MAX_MS);
    }
  });

function observed(
  { at, running }: EffectInput,
  { changes, unseen }: Looked,
  positions: WatchPositions | undefined,
  end: { readonly final: boolean; readonly over: boolean },
): ReturnType<Effect> {
  return Promise.resolve({
    type: 'observed',
    at: at(),
    effect_id: running.effect_id,
    changes: changes.slice(0, CHANGES_MAX),
    unseen: unseen.slice(0, UNSEEN_MAX),
    ...(positions === undefined ? {} : { positions }),
    ...end,
  });
}

/** The objects and their watches name the same writes. */
function distinct(changes: readonly SeenChange[]): SeenChange[] {
  const found = new Map<string, SeenChange>();
  for (const change of changes) if (!found.has(change.key)) found.set(change.key, change);
  return [...found.values()];
}

/** An act that is not known, or the user's name of one that is. */
function isNews(change: SeenChange, known: SeenChange | undefined): boolean {
  return known === undefined || (change.authenticated === true && known.authenticated !== true);
}

/** The quiet time is over: this look is the last one. */
function isFinal({ context }: EffectInput, now_ms: number): boolean {
  return context.resolved_at !== null && now_ms >= Date.parse(context.resolved_at) + quietMs(context);
}

function watchEndMs({ context }: EffectInput): number {
  const { opened_at, shadow } = incidentOf(context);
  return Date.parse(opened_at) + (shadow?.watch_s ?? 0) * 1000;
}

function plannedTargets({ context }: EffectInput): ReadonlySet<string> {
  return new Set((context.shadow?.compared?.actions ?? []).map((action) => action.target));
}

async function lookAround(
  input: EffectInput,
  read: ReadSession,
  watch: KubernetesWatch,
  targets: ReadonlySet<string>,
): Promise<Looked> {
  const all: Looked[] = [];
  for (const source of SHADOW_SOURCES) all.push(await source.look(input, read, targets));
  all.push(await watch.look());
  const { changes, unseen, outage } = allOf(all);
  return { changes: oneAct(distinct(changes), input.context.shadow?.seen ?? [], targets), unseen, outage };
}
