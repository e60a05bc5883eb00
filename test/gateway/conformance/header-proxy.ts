import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Puts a token in front of every request, since the conformance suite cannot send one. Nothing else of a request or an
 * answer changes: Host and Origin arrive as the suite wrote them.
 */
export interface HeaderProxy {
  readonly url: string;
  close(): Promise<void>;
}

export async function startHeaderProxy(target: string, token: string): Promise<HeaderProxy> {
  const { hostname, port, pathname } = new URL(target);
  const server = createServer((req, res) => {
    const headers = { ...req.headers, authorization: `Bearer ${token}` };
    const passed = httpRequest(
      { hostname, port, path: pathname, method: req.method, headers, agent: false },
      (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        res.flushHeaders();
        answer.pipe(res);
        answer.once('error', () => res.destroy());
      },
    );
    passed.once('error', () => res.destroy());
    res.once('close', () => passed.destroy());
    req.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
