import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { configPath } from '../config.ts';
import { EXAMPLE_CONFIG } from './example-config.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, print } from './output.ts';

/** Writes a commented aegis.yaml that loads as it is, once its secrets are exported. */
export function init(options: GlobalOptions, o: { force?: boolean }): void {
  const file = resolve(configPath(options.config));
  if (existsSync(file) && o.force !== true)
    throw new CliError(
      `${file} exists; nothing was written. Use --force to overwrite it, or --config for another file`,
    );
  writeFileSync(file, EXAMPLE_CONFIG, { mode: 0o600 });
  print(
    options,
    { written: file },
    `Wrote ${file}. Edit it, export the secrets that it names, then run "aegis doctor" and "aegis start".`,
  );
}
