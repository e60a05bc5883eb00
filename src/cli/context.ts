import { loadConfig, configPath } from '../config.ts';
import type { LoadedConfig } from '../config.ts';
import type { Log } from '../contract/ports.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import { createLog, systemClock } from '../system-ports.ts';
import type { GlobalOptions } from './output.ts';

export interface CliContext {
  readonly config: LoadedConfig;
  readonly store: Store;
  readonly log: Log;
}

/** Opens configuration and store for one verb and closes the store afterwards, also when the verb fails. */
export async function withContext<T>(
  options: GlobalOptions,
  access: 'read' | 'write',
  work: (context: CliContext) => Promise<T>,
): Promise<T> {
  const config = loadConfig(configPath(options.config));
  const log = createLog(options.debug === true ? 'debug' : 'warn', () => null);
  const store = await openStore({
    home: config.settings.home,
    clock: systemClock,
    log,
    readonly: access === 'read',
  });
  try {
    return await work({ config, store, log });
  } finally {
    await store.close();
  }
}
