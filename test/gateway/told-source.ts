import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A log or metrics server that says whatever a test tells it to, to whatever it is asked. */
export interface ToldSource {
  answer: { status: number; body: string };
  /** As aegis.yaml names a source; without credentials. */
  readonly settings: {
    readonly url: string;
    readonly credentials: { readonly engine: 'none' };
    readonly namespace_label: string;
    readonly ingest_interval_s: number;
  };
  close(): void;
}

export async function startToldSource(): Promise<ToldSource> {
  const server = createServer((request, response) => {
    const { status, body } = source.answer;
    request.resume();
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const source: ToldSource = {
    answer: { status: 200, body: '' },
    settings: {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      credentials: { engine: 'none' },
      namespace_label: 'namespace',
      ingest_interval_s: 1,
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
  return source;
}
