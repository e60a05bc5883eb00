import type { Secret } from '../../contract/secret.ts';
import type { KubernetesCluster } from '../../contract/settings.ts';
import type { Egress } from '../egress.ts';
import { UpstreamError } from '../upstream-error.ts';
import { CredentialError } from './credential-error.ts';

/**
 * The broker's own narrow client of a Kubernetes API: it creates a Secret, asks for a token and deletes the Secret,
 * with the minter's token. No driver is ever lent it: their face forbids exactly these paths.
 */
export interface Minter {
  /** @throws CredentialError */
  create(path: string, body: object, signal: AbortSignal | undefined): Promise<unknown>;
  /** The same for what everything else hangs on: when it is refused, nothing was made. @throws CredentialError */
  createFirst(path: string, body: object, signal: AbortSignal | undefined): Promise<unknown>;
  /** Returns when the object is certainly gone. @throws CredentialError when it may still be there. */
  remove(path: string): Promise<void>;
}

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 1024 * 1024;
const TRIES_MAX = 3;
const PAUSE_MS = 150;

export function createMinter(
  egress: Egress,
  { server, ca_file }: Pick<KubernetesCluster, 'server' | 'ca_file'>,
  token: () => Secret,
): Minter {
  const send = async (method: string, path: string, body: object | null, signal?: AbortSignal) =>
    egress.request(
      { url: server, ca_file },
      {
        method,
        path,
        query: {},
        headers: {
          accept: 'application/json',
          'content-type': 'application/json',
          'user-agent': 'aegis-broker',
          authorization: `Bearer ${token().reveal()}`,
        },
        body: body === null ? null : JSON.stringify(body),
        timeout_ms: TIMEOUT_MS,
        bytes_max: ANSWER_BYTES_MAX,
        signal,
      },
    );
  const create = async (path: string, body: object, signal: AbortSignal | undefined, first: boolean) => {
    // Repeated only when the request certainly never left: what has an unknown outcome is deleted by its name.
    const answer = await withTries(
      () => send('POST', path, body, signal),
      (error) => error.info.sent === 'no',
      path,
    );
    if (answer.status === 201 || answer.status === 200) return parsed(answer.text);
    const { message, remedy } = refusedBy(answer.status, path);
    throw new CredentialError(message, remedy, first && answer.status >= 400 && answer.status < 500);
  };
  return {
    create: (path, body, signal) => create(path, body, signal, false),
    createFirst: (path, body, signal) => create(path, body, signal, true),
    async remove(path) {
      const answer = await withTries(
        () => send('DELETE', path, null),
        () => true,
        path,
      );
      if (answer.status === 200 || answer.status === 202 || answer.status === 404) return;
      throw refusedBy(answer.status, path);
    },
  };
}

async function withTries<T>(
  attempt: () => Promise<T>,
  may_repeat: (error: UpstreamError) => boolean,
  path: string,
): Promise<T> {
  for (let n = 1; ; n += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      const final = n >= TRIES_MAX || error.info.problem === 'aborted' || error.info.problem === 'blocked';
      if (final || !may_repeat(error))
        throw new CredentialError(
          `Kubernetes: ${resourceOf(path)}: ${error.message}`,
          'Check that the cluster is up and that clusters.<name>.server in aegis.yaml is right; Aegis tries again by itself.',
        );
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * n * (0.5 + Math.random())));
    }
  }
}

function refusedBy(status: number, path: string): CredentialError {
  const what = resourceOf(path);
  if (status === 401)
    return new CredentialError(
      `Kubernetes: ${what}: the minter's token is not accepted (401)`,
      'Give a valid token where credentials.minter in aegis.yaml points.',
    );
  if (status === 403)
    return new CredentialError(
      `Kubernetes: ${what}: the minter may not do this (403)`,
      'The minter needs create and delete on secrets and create on serviceaccounts/token in this namespace.',
    );
  if (status === 404)
    return new CredentialError(
      `Kubernetes: ${what}: there is no such account or namespace (404)`,
      'Create the account, or correct read_account, write_account and namespace under credentials in aegis.yaml.',
    );
  return new CredentialError(
    `Kubernetes: ${what}: the request was refused (${status})`,
    'Look at the API server, then ask again.',
  );
}

/** The path without its ids: enough to know what was asked. */
function resourceOf(path: string): string {
  return path.replace(/^\/api\/v1\/namespaces\//, '').replace(/aegis-lease-\w+/, '<lease>');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
