import { isoTime } from '../contract/ports.ts';
import type { HarnessDeps } from './deps.ts';
import { EFFECTS } from './effects/index.ts';
import { failed } from './effects/effect.ts';
import type { EffectInput } from './effects/effect.ts';
import { parseSnapshot } from './machine.ts';
import { WRITING_KINDS } from './state.ts';
import type { MachineContext, Running, Snapshot } from './state.ts';

/** Open effects that are picked up after a restart. */
const OPEN_EFFECTS_MAX = 5000;

/**
 * Runs effects beside the runner, one per incident, each with an AbortSignal. An effect never holds the incident: a
 * Stop is handled while it runs. Its result comes back as an inbox row, deduplicated on the effect id.
 */
export class EffectPool {
  readonly #deps: HarnessDeps;
  readonly #wake: () => void;
  readonly #active = new Map<
    string,
    { readonly incident_id: string; readonly abort: AbortController; readonly done: Promise<void> }
  >();
  #stopping = false;

  constructor(deps: HarnessDeps, wake: () => void) {
    this.#deps = deps;
    this.#wake = wake;
  }

  /** After a restart: reads, plans, checks and notices run again; a write goes on only through its journal row. */
  async resumeOpen(): Promise<void> {
    for (const effect of await this.#deps.store.effects.open(OPEN_EFFECTS_MAX)) {
      const row = await this.#deps.store.incidents.get(effect.incident_id);
      if (row === null) continue;
      const { context } = parseSnapshot(row.snapshot);
      if (context.running?.effect_id === effect.effect_id)
        this.#launch(effect.incident_id, context, context.running);
    }
  }

  /** Starts what the step asked for and aborts what the incident no longer waits for. */
  afterStep(incident_id: string, snapshot: Snapshot): void {
    const { running } = snapshot.context;
    for (const [effect_id, active] of this.#active)
      if (active.incident_id === incident_id && effect_id !== running?.effect_id)
        active.abort.abort(new Error('the incident moved on'));
    const fresh = running !== null && running.effect_id === `${incident_id}/${snapshot.context.step}/0`;
    if (fresh) this.#launch(incident_id, snapshot.context, running);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const active of this.#active.values()) active.abort.abort(new Error('Aegis is stopping'));
    await Promise.all([...this.#active.values()].map((a) => a.done));
  }

  #launch(incident_id: string, context: MachineContext, running: Running): void {
    if (this.#stopping || this.#active.has(running.effect_id)) return;
    const abort = new AbortController();
    const done = this.#run(incident_id, context, running, abort.signal).finally(() => {
      this.#active.delete(running.effect_id);
      this.#wake();
    });
    this.#active.set(running.effect_id, { incident_id, abort, done });
  }

  async #run(
    incident_id: string,
    context: MachineContext,
    running: Running,
    signal: AbortSignal,
  ): Promise<void> {
    const deps = this.#deps;
    const input: EffectInput = { deps, context, running, signal, at: () => isoTime(deps.clock.now()) };
    try {
      if (!(await deps.store.effects.start(running.effect_id))) return;
      const event = await EFFECTS[running.kind](input).catch((error: unknown) =>
        failed(input, `${running.kind}: ${messageOf(error)}`),
      );
      // Aborted by a shutdown: the row stays open and the next start runs it again. A write is always reported.
      if (this.#stopping && signal.aborted && !WRITING_KINDS.has(running.kind)) return;
      await deps.store.effects.finish(running.effect_id, {
        source: 'effect',
        dedup_key: `effect:${running.effect_id}`,
        incident_id,
        kind: 'event',
        payload: event,
      });
    } catch (error) {
      deps.log.error(
        { effect_id: running.effect_id, error: messageOf(error) },
        'effect could not be recorded; it runs again after a restart',
      );
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
