import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import type { TerraformWorkspace } from '../../contract/system-terraform.ts';
import { runChild, type ChildResult } from '../child-process.ts';
import type { Credential } from '../credentials/credential.ts';
import { neverSent, SYSTEM_PATH } from '../git/git-program.ts';
import { UpstreamError } from '../upstream-error.ts';

/**
 * Terraform or OpenTofu, run with nothing of our own environment: own home, own data folder, own settings file,
 * providers only from the configured folder, no questions, no telephone calls home.
 */
export interface TerraformPlace {
  /** Root module of the checkout. */
  readonly module: string;
  readonly data: string;
  readonly home: string;
  readonly settings_file: string;
}

export interface TerraformRun {
  readonly program: string;
  readonly place: TerraformPlace;
  readonly workspace: string;
  readonly config: TerraformWorkspace;
  readonly credential: Credential | null;
  readonly args: readonly string[];
  /** No network and no other program: for the step that only copies local modules. */
  readonly sealed_off?: boolean;
  readonly timeout_ms: number;
  readonly grace_ms?: number;
  readonly stdout_bytes_max: number;
  readonly signal: AbortSignal | undefined;
}

/** A folder that is not there: nothing is found in it. */
const NO_PROGRAMS = '/nonexistent';
const NO_NETWORK = 'http://127.0.0.1:1';

/** The configured program, or the first that is installed. @throws UpstreamError when there is none. */
export async function findProgram({ program }: TerraformWorkspace): Promise<string> {
  const candidates =
    program === undefined
      ? ['terraform', 'tofu'].flatMap((name) => SYSTEM_PATH.split(':').map((folder) => join(folder, name)))
      : [program];
  for (const candidate of candidates) {
    const found = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return candidate;
  }
  throw neverSent('unreachable', `neither terraform nor tofu is installed here (${program ?? SYSTEM_PATH})`);
}

export function runTerraform(run: TerraformRun): Promise<ChildResult> {
  const { place, config } = run;
  return runChild({
    program: run.program,
    args: [`-chdir=${place.module}`, ...run.args],
    cwd: place.module,
    env: {
      ...config.variables,
      ...credentialVariables(config, run.credential),
      PATH: NO_PROGRAMS,
      HOME: place.home,
      TMPDIR: place.home,
      LC_ALL: 'C',
      TF_DATA_DIR: place.data,
      TF_CLI_CONFIG_FILE: place.settings_file,
      TF_WORKSPACE: run.workspace,
      TF_IN_AUTOMATION: '1',
      TF_INPUT: '0',
      CHECKPOINT_DISABLE: '1',
      ...(run.sealed_off === true ? { HTTP_PROXY: NO_NETWORK, HTTPS_PROXY: NO_NETWORK } : {}),
    },
    timeout_ms: run.timeout_ms,
    grace_ms: run.grace_ms ?? 0,
    stdout_bytes_max: run.stdout_bytes_max,
    signal: run.signal,
  });
}

/** The settings file: providers from one folder, and from nowhere else. */
export function settingsFile(plugin_mirror: string): string {
  return `disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = ${JSON.stringify(plugin_mirror).replaceAll('${', '$${')}\n  }\n}\n`;
}

function credentialVariables(
  { credential_variables: names }: TerraformWorkspace,
  credential: Credential | null,
): Record<string, string> {
  if (credential === null) return {};
  if (credential.kind === 'aws')
    return {
      AWS_ACCESS_KEY_ID: credential.access_key_id,
      AWS_SECRET_ACCESS_KEY: credential.secret_access_key.reveal(),
      ...(credential.session_token === null ? {} : { AWS_SESSION_TOKEN: credential.session_token.reveal() }),
    };
  const given =
    credential.kind === 'bearer'
      ? [[names.token, credential.token.reveal()]]
      : [
          [names.username, credential.username],
          [names.password, credential.password.reveal()],
        ];
  const named = given.filter((pair): pair is [string, string] => pair[0] !== undefined);
  if (named.length === 0)
    throw neverSent('blocked', 'credential_variables does not say how the credential reaches the child');
  return Object.fromEntries(named);
}

/** What a run that failed says. `sent`: whether it may have changed something. */
export function terraformFailure(result: ChildResult, doing: string, sent: 'no' | 'maybe'): UpstreamError {
  const fail = (problem: UpstreamError['info']['problem'], words: string): UpstreamError =>
    new UpstreamError({ problem, sent, status: null, message: `${doing}: ${words}` });
  if (result.ended === 'timeout') return fail('timeout', 'it took too long and was stopped');
  if (result.ended === 'aborted') return fail('aborted', 'it was aborted');
  if (result.ended === 'too-large') return fail('too-large', 'it said more than its limit');
  if (result.ended === 'not-started')
    return neverSent('unreachable', `${doing}: ${result.stderr.slice(0, 100)}`);
  const words = errorsOf(result.stderr);
  if (/error acquiring the state lock/i.test(result.stderr))
    return neverSent('throttled', `${doing}: somebody else holds the lock of the state`);
  return fail(sent === 'no' ? 'invalid' : 'failed', words);
}

/** The paragraphs that begin with `Error:`, on one line, without the frame that is drawn around them. */
function errorsOf(stderr: string): string {
  const text = stderr
    .split('\n')
    .map((line) => line.replace(/^[│╷╵ ]+/, '').trim())
    .filter((line) => line !== '')
    .join(' ');
  const at = text.indexOf('Error:');
  return (at < 0 ? text : text.slice(at)).slice(0, 400);
}
