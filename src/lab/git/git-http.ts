import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TWIN_GIT_ENV } from './bare-repository.ts';

/**
 * Git's own smart HTTP server (`git http-backend`) over one bare repository: the protocol is the real one, only the
 * login and the faults are ours.
 */
export interface GitHttp {
  readonly url: string;
  /** `<method> <path>` of each request that passed the login. */
  requests(): readonly string[];
  /** The next pushes are executed and then cut off before the answer (`after`), or cut off first (`before`). */
  cutNextPush(when: 'before' | 'after', times: number): void;
  close(): Promise<void>;
}

export interface GitHttpOptions {
  readonly repository: string;
  /** Path of the repository in addresses: `/acme/infra.git`. */
  readonly path: string;
  readonly allows: (authorization: string | undefined) => boolean;
}

export async function startGitHttp(options: GitHttpOptions): Promise<GitHttp> {
  const requests: string[] = [];
  let cut: { when: 'before' | 'after'; left: number } = { when: 'before', left: 0 };
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? '/', 'http://twin');
    if (!options.allows(request.headers.authorization)) {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end('401 Unauthorized');
      return;
    }
    if (!pathname.startsWith(`${options.path}/`)) {
      response.writeHead(404).end('not found');
      return;
    }
    requests.push(`${request.method ?? ''} ${pathname.slice(options.path.length)}${search}`);
    const push = request.method === 'POST' && pathname.endsWith('/git-receive-pack');
    const fault = push && cut.left > 0 ? cut.when : null;
    if (fault !== null) cut.left -= 1;
    if (fault === 'before') request.socket.destroy();
    else backend(options, request, response, fault === 'after');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${options.path}`,
    requests: () => [...requests],
    cutNextPush: (when, times) => {
      cut = { when, left: times };
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** One CGI call (RFC 3875): headers, an empty line, the body. */
function backend(
  options: GitHttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
  cut_after: boolean,
): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://twin');
  const child = spawn('git', ['http-backend'], {
    env: {
      ...TWIN_GIT_ENV,
      GIT_PROJECT_ROOT: options.repository,
      GIT_HTTP_EXPORT_ALL: '1',
      REMOTE_USER: 'aegis',
      REQUEST_METHOD: request.method ?? 'GET',
      PATH_INFO: pathname.slice(options.path.length),
      QUERY_STRING: searchParams.toString(),
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      ...(request.headers['content-encoding'] === undefined
        ? {}
        : { HTTP_CONTENT_ENCODING: request.headers['content-encoding'] }),
      ...(request.headers['git-protocol'] === undefined
        ? {}
        : { HTTP_GIT_PROTOCOL: String(request.headers['git-protocol']) }),
    },
  });
  request.pipe(child.stdin);
  child.stdin.on('error', () => undefined);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.on('close', () => {
    if (cut_after) {
      request.socket.destroy();
      return;
    }
    const answer = Buffer.concat(chunks);
    const end = answer.indexOf('\r\n\r\n');
    let status = 200;
    for (const line of answer.subarray(0, Math.max(0, end)).toString('latin1').split('\r\n')) {
      const colon = line.indexOf(':');
      const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
      if (name === 'Status') status = Number(value.split(' ')[0]);
      else if (colon > 0) response.setHeader(name, value);
    }
    response.writeHead(end < 0 ? 500 : status).end(end < 0 ? '' : answer.subarray(end + 4));
  });
}
