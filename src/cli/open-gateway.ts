import type { Gateway } from '../gateway/gateway.ts';
import { policiesDir } from '../package-paths.ts';
import { systemClock, systemIds } from '../system-ports.ts';
import type { CliContext } from './context.ts';

/** The gateway of one verb; whoever opens it closes it. It is loaded only now, since most verbs do without. */
export async function openGateway({ config, store, log }: CliContext): Promise<Gateway> {
  const { createGateway } = await import('../gateway/create-gateway.ts');
  const { settings, secrets } = config;
  const ports = { store, clock: systemClock, ids: systemIds, log };
  return createGateway({ ...ports, settings, secrets, policies_dir: policiesDir(settings) });
}
