import { ConfigError, configPath, loadConfig, missingSecrets } from '../config.ts';
import { compose } from '../main.ts';
import { openStore } from '../store/open-store.ts';
import { createLog, systemClock, systemIds } from '../system-ports.ts';
import { checkStatements } from './check-statements.ts';
import type { GlobalOptions } from './output.ts';
import { print } from './output.ts';

/** Runs the product until SIGINT or SIGTERM; a second signal ends it at once. */
export async function start(options: GlobalOptions): Promise<void> {
  const config = loadConfig(configPath(options.config));
  const { missing } = missingSecrets(config);
  if (missing.length > 0)
    throw new ConfigError(
      config.file,
      missing.map((m) => m.problem),
    );
  await checkStatements(config);
  let redact: ((text: string) => string) | null = null;
  const log = createLog(options.debug === true ? 'debug' : config.settings.log_level, () => redact);
  const store = await openStore({ home: config.settings.home, clock: systemClock, log });
  const aegis = await compose(config, { store, clock: systemClock, ids: systemIds, log });
  redact = (text) => aegis.gateway.redactText(text);
  const { port } = await aegis.start();
  print(options, { ready: true, port }, `Aegis is ready on http://${config.settings.http.host}:${port}`);
  await new Promise<void>((resolve) => {
    let signals = 0;
    const onSignal = (): void => {
      signals += 1;
      if (signals > 1) process.exit(1);
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
  await aegis.stop();
  await store.close();
}
