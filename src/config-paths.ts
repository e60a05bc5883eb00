import { resolve } from 'node:path';
import type { Settings } from './contract/settings.ts';

/** Paths in the file are relative to the file; `AEGIS_HOME` wins over `home`. Pure but for the working directory. */
export function withPaths(settings: Settings, base: string, env: NodeJS.ProcessEnv): Settings {
  const at = (path: string): string => resolve(base, path);
  const certified = <T extends object>(system: T): T =>
    'ca_file' in system && typeof system.ca_file === 'string'
      ? { ...system, ca_file: at(system.ca_file) }
      : system;
  const all = <T extends object>(section: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(section).map(([name, system]) => [name, certified(system)]));
  const { vault, recogniser, sealed_file, policies_dir, skills_dir, sources } = settings;
  return {
    ...settings,
    home: env['AEGIS_HOME'] === undefined ? at(settings.home) : resolve(env['AEGIS_HOME']),
    clusters: all(settings.clusters),
    sources: { loki: all(sources.loki), prometheus: all(sources.prometheus) },
    databases: all(settings.databases),
    repositories: all(settings.repositories),
    aws: all(settings.aws),
    upstreams: all(settings.upstreams),
    ...(vault === undefined ? {} : { vault: certified(vault) }),
    ...(recogniser === undefined ? {} : { recogniser: certified(recogniser) }),
    ...(sealed_file === undefined ? {} : { sealed_file: { ...sealed_file, file: at(sealed_file.file) } }),
    ...(policies_dir === undefined ? {} : { policies_dir: at(policies_dir) }),
    ...(skills_dir === undefined ? {} : { skills_dir: at(skills_dir) }),
  };
}
