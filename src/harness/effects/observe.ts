import { setTimeout as sleep } from 'node:timers/promises';
import type { SeenChange, Unseen } from '../../contract/shadow.ts';
import { readLook, watchedPlaces } from '../shadow/look.ts';
import type { Look } from '../shadow/look.ts';
import { incidentOf, quietMs } from '../state.ts';
import { isOutage, withWorld } from '../world-session.ts';
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
    const known = new Set(context.shadow?.seen.map((change) => change.key));
    const started_ms = deps.clock.now();
    const final = isFinal(input, started_ms);
    for (let pause_ms = PAUSE_FIRST_MS, tries = 1; ; tries += 1) {
      const look = await lookAround(input, read);
      const fresh = look.changes.filter((change) => !known.has(change.key));
      const now_ms = deps.clock.now();
      const over = now_ms >= watchEndMs(input);
      const blind = final && look.outage && tries < FINAL_TRIES_MAX;
      const is_news = fresh.some((change) => !change.robot);
      if (!blind && (final || over || is_news || now_ms - started_ms >= TURN_MS))
        return observed(input, fresh, look.unseen, final, over);
      await sleep(final ? FINAL_PAUSE_MS : pause_ms, undefined, { signal: input.signal });
      pause_ms = Math.min(pause_ms * PAUSE_GROWTH, PAUSE_MAX_MS);
    }
  });

function observed(
  { at, running }: EffectInput,
  fresh: readonly SeenChange[],
  unseen: readonly Unseen[],
  final: boolean,
  over: boolean,
): ReturnType<Effect> {
  return Promise.resolve({
    type: 'observed',
    at: at(),
    effect_id: running.effect_id,
    changes: fresh.slice(0, CHANGES_MAX),
    unseen: unseen.slice(0, UNSEEN_MAX),
    final,
    over,
  });
}

/** The quiet time is over: this look is the last one. */
function isFinal({ context }: EffectInput, now_ms: number): boolean {
  return context.resolved_at !== null && now_ms >= Date.parse(context.resolved_at) + quietMs(context);
}

function watchEndMs({ context }: EffectInput): number {
  const { opened_at, shadow } = incidentOf(context);
  return Date.parse(opened_at) + (shadow?.watch_s ?? 0) * 1000;
}

interface Looked extends Look {
  /** A source did not answer: another try may see more. */
  readonly outage: boolean;
}

async function lookAround(input: EffectInput, read: ReadSession): Promise<Looked> {
  const { scope } = incidentOf(input.context);
  const targets = input.context.shadow?.compared?.actions.map((action) => action.target) ?? [];
  const places = watchedPlaces(scope, targets);
  if (places.length === 0)
    return {
      changes: [],
      unseen: [{ place: '*', why: 'the incident names no namespace, so nobody could be watched' }],
      outage: false,
    };
  const changes: SeenChange[] = [];
  const unseen: Unseen[] = [];
  let outage = false;
  for (const place of places) {
    const seen = await lookAt(input, read, place, new Set(targets));
    changes.push(...seen.changes);
    unseen.push(...seen.unseen);
    outage ||= seen.outage;
  }
  return { changes, unseen, outage };
}

async function lookAt(
  input: EffectInput,
  read: ReadSession,
  place: { readonly cluster: string; readonly namespace: string },
  targets: ReadonlySet<string>,
): Promise<Looked> {
  const { scope, opened_at } = incidentOf(input.context);
  const kinds = input.deps.settings.shadow.kinds.join('+');
  const path = `/teams/${scope.team}/${scope.env}/k8s/clusters/${place.cluster}/namespaces/${place.namespace}/changes.yaml`;
  const response = await read.world.call(
    {
      op: 'run',
      command: `read ${path}?since=${opened_at}&kinds=${kinds}`,
      why_needed: 'shadow: what people do by hand',
    },
    input.signal,
  );
  const blind = (why: string, outage: boolean): Looked => ({
    changes: [],
    unseen: [{ place: `${place.cluster}/${place.namespace}/*`, why: why.slice(0, 300) }],
    outage,
  });
  if (!response.ok) return blind(response.refusal.reason, isOutage(response.refusal.code));
  if (response.op !== 'run') return blind('the answer is no file', false);
  const opened = await input.deps.store.evidence.open(response.capture.pointer.evidence_id);
  if ('problem' in opened) return blind(`what was read cannot be opened (${opened.problem})`, false);
  const look = readLook(opened.text, input.deps.settings.shadow.robots, targets);
  return look === null ? blind('the file of changes has another form', false) : { ...look, outage: false };
}
