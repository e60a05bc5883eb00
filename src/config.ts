import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseYamlText } from './contract/parse.ts';
import { Secret } from './contract/secret.ts';
import { SecretRef } from './contract/credentials.ts';
import { Settings } from './contract/settings.ts';
import { isUnixSocket } from './contract/system-postgres.ts';
import { explainIssue, explainPlace } from './config-issue.ts';
import { withPaths } from './config-paths.ts';
import { referenceProblems } from './config-references.ts';
import type { Problem } from './config-references.ts';

/**
 * `aegis.yaml` + environment -> frozen settings. The only reader of the process environment. Everything that can be
 * wrong is said at once, with file, line, reason and the nearest valid word; nothing starts with a half-understood file.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];
  constructor(file: string, problems: readonly string[]) {
    super(`${file} cannot be used:\n${problems.map((p) => `  - ${p}`).join('\n')}`);
    this.problems = problems;
  }
}

export interface LoadedConfig {
  readonly settings: Settings;
  readonly file: string;
  /** The same words for what only another room can check: file, line and reason. */
  readonly problem: (places: readonly Problem[]) => ConfigError;
  /** Resolves a secret reference. @throws ConfigError that names the reference, never the value. */
  readonly secrets: (ref: SecretRef) => Secret;
}

/** Largest configuration file and secret file, bytes. */
const CONFIG_BYTES_MAX = 4_194_304;
const SECRET_BYTES_MAX = 65_536;

/** Variables that make LangChain send prompts to a third party: their presence stops the start. */
const TRACING = /^(LANGSMITH_|LANGCHAIN_TRACING)/;

export function loadConfig(file: string, env: NodeJS.ProcessEnv = process.env): LoadedConfig {
  const path = resolve(file);
  const text = readText(path);
  const parsed = parseYamlText(text, { bytes_max: CONFIG_BYTES_MAX, depth_max: 20, keys_max: 200_000 });
  if (!parsed.ok)
    throw new ConfigError(file, [`${parsed.line === null ? '' : `line ${parsed.line}: `}${parsed.reason}`]);
  const checked = Settings.safeParse(parsed.value);
  if (!checked.success) {
    throw new ConfigError(
      file,
      checked.error.issues.map((issue) => explainIssue(issue, parsed)),
    );
  }
  const settings = withPaths(checked.data, dirname(path), env);
  const places = [...referenceProblems(settings), ...endpointProblems(settings)];
  const problems = [
    ...places.map(({ path: place, say }) => `${explainPlace(place, parsed)}: ${say}`),
    ...tracingProblems(env),
  ];
  if (problems.length > 0) throw new ConfigError(file, problems);
  return {
    settings: deepFreeze(settings),
    file: path,
    problem: (found) =>
      new ConfigError(
        file,
        found.map(({ path: place, say }) => `${explainPlace(place, parsed)}: ${say}`),
      ),
    secrets: (ref) => resolveSecret(ref, dirname(path), env, file),
  };
}

/** A secret that the configuration refers to and that cannot be read. */
export interface MissingSecret {
  readonly ref: SecretRef;
  readonly problem: string;
}

/** Tries every secret reference of the file, so that all that is missing is said at once and before anything starts. */
export function missingSecrets({ settings, secrets }: LoadedConfig): {
  found: number;
  missing: MissingSecret[];
} {
  const missing: MissingSecret[] = [];
  const refs = secretRefs(settings);
  for (const ref of refs) {
    try {
      secrets(ref);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      missing.push({ ref, problem: error.problems.join('; ') });
    }
  }
  return { found: refs.length - missing.length, missing };
}

function secretRefs(value: unknown): SecretRef[] {
  if (typeof value !== 'object' || value === null) return [];
  const ref = SecretRef.safeParse(value);
  return ref.success ? [ref.data] : Object.values(value).flatMap(secretRefs);
}

/** The configuration file to use: `--config`, else `AEGIS_CONFIG`, else `./aegis.yaml`. */
export function configPath(flag: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  return flag ?? env['AEGIS_CONFIG'] ?? './aegis.yaml';
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const next =
      code === 'ENOENT'
        ? 'run "aegis init" to write one, or name it with --config'
        : 'make it readable for this user';
    throw new ConfigError(path, [`the file cannot be read (${code}); ${next}`]);
  }
}

function resolveSecret(ref: SecretRef, base: string, env: NodeJS.ProcessEnv, file: string): Secret {
  if ('env' in ref) {
    const value = env[ref.env];
    if (value === undefined || value === '')
      throw new ConfigError(file, [
        `the environment variable ${ref.env} is not set; export it before the start`,
      ]);
    return new Secret(value);
  }
  try {
    const value = readFileSync(resolve(base, ref.file)).subarray(0, SECRET_BYTES_MAX).toString('utf8').trim();
    if (value === '') throw new ConfigError(file, [`the secret file ${ref.file} is empty`]);
    return new Secret(value);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(file, [
      `the secret file ${ref.file} cannot be read (${(error as NodeJS.ErrnoException).code})`,
    ]);
  }
}

function tracingProblems(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(env)
    .filter((name) => TRACING.test(name))
    .map((name) => `the environment variable ${name} would send prompts to a third party; unset it`);
}

/** Addresses that only a practice range may have, and passwords where everybody would read them. */
function endpointProblems(settings: Settings): Problem[] {
  const problems: Problem[] = [];
  const need = 'or set unsafe_endpoints: true (every card then says SIMULATED)';
  const check = (path: Problem['path'], url: string) => {
    const { protocol, username, password } = new URL(url);
    if (username !== '' || password !== '')
      problems.push({ path, say: 'holds a user or password; take it out and use `credentials`' });
    if (protocol !== 'https:' && !settings.unsafe_endpoints)
      problems.push({ path, say: `is plain HTTP; use https ${need}` });
  };
  if (settings.slack.api_url !== undefined) {
    if (settings.unsafe_endpoints) check(['slack', 'api_url'], settings.slack.api_url);
    else problems.push({ path: ['slack', 'api_url'], say: `is not Slack; remove it ${need}` });
  }
  if (settings.vault !== undefined) check(['vault', 'address'], settings.vault.address);
  if (settings.http.public_url !== undefined) check(['http', 'public_url'], settings.http.public_url);
  if (settings.recogniser !== undefined) check(['recogniser', 'url'], settings.recogniser.url);
  for (const [name, { server }] of Object.entries(settings.clusters))
    check(['clusters', name, 'server'], server);
  for (const [name, { host, tls }] of Object.entries(settings.databases))
    if (tls === 'off' && !isUnixSocket(host) && !settings.unsafe_endpoints)
      problems.push({
        path: ['databases', name, 'tls'],
        say: `would send everything in the clear; use verify ${need}`,
      });
  for (const [name, upstream] of Object.entries(settings.upstreams))
    if (upstream.transport === 'http') check(['upstreams', name, 'url'], upstream.url);
  for (const [name, { endpoint }] of Object.entries(settings.aws)) check(['aws', name, 'endpoint'], endpoint);
  for (const kind of ['loki', 'prometheus'] as const)
    for (const [name, { url }] of Object.entries(settings.sources[kind]))
      check(['sources', kind, name, 'url'], url);
  return problems;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
