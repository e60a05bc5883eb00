import { setTimeout as sleep } from 'node:timers/promises';
import { Secret } from '../../src/contract/secret.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import type { HarnessDeps } from '../../src/harness/deps.ts';
import { executeEffect } from '../../src/harness/effects/execute.ts';
import type { HarnessEvent } from '../../src/harness/events.ts';
import type { MachineContext } from '../../src/harness/state.ts';
import type { Store } from '../../src/store/store.ts';
import { createLog, systemClock, systemIds } from '../../src/system-ports.ts';

/**
 * One life of a write: gateway and the harness's own execute effect over one home, nothing else of the product. A life
 * begins as the service does (what an earlier one left leased is swept) and goes on until the effect says what happened.
 */
export interface WriteSpec {
  readonly home: string;
  readonly policies_dir: string;
  readonly settings: GatewaySettings;
  readonly secrets: Readonly<Record<string, string>>;
  /** The incident in EXECUTING, its effect running. */
  readonly context: MachineContext;
}

/** Tries of the machine: the first and its retries. */
const TRIES_MAX = 5;
const PAUSE_MS = 300;

export async function liveWrite(store: Store, spec: WriteSpec): Promise<HarnessEvent> {
  const ports = { store, clock: systemClock, ids: systemIds, log: createLog('silent', () => null) };
  const gateway = await createGateway({
    ...ports,
    settings: spec.settings,
    policies_dir: spec.policies_dir,
    secrets: (ref) => new Secret(('env' in ref ? spec.secrets[ref.env] : undefined) ?? ''),
  });
  const { running } = spec.context;
  if (running === null) throw new Error('no effect is running');
  try {
    await gateway.sweepLeases();
    for (let tries = 1; ; tries += 1) {
      const event = await executeEffect({
        deps: { ...ports, gateway } as unknown as HarnessDeps,
        context: spec.context,
        running,
        signal: new AbortController().signal,
        at: () => new Date(systemClock.now()).toISOString(),
      });
      if (event.type !== 'effect_failed' || !event.retryable || tries === TRIES_MAX) return event;
      await sleep(PAUSE_MS);
    }
  } finally {
    await gateway.close();
  }
}
