import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP proxy in front of PostgreSQL that can lose a COMMIT or its answer. */
export interface CuttingProxy {
  readonly port: number;
  /** Everything that clients sent, as text. */
  sent(): string;
  /**
   * What happens to the next COMMIT: it is cut off before the server sees it, or the server's answer is lost; `meanwhile`
   * runs in between.
   */
  loseNextCommit(how: 'before' | 'after', meanwhile?: () => Promise<void>): void;
  close(): Promise<void>;
}

export async function startCuttingProxy(server_port: number): Promise<CuttingProxy> {
  let sent = '';
  let plan: { how: 'before' | 'after'; meanwhile: () => Promise<void> } | null = null;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(server_port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    let silent = false;
    const cut = (): void => {
      near.destroy();
      far.destroy();
    };
    near.on('data', (bytes: Buffer) => {
      const text = bytes.toString('latin1');
      sent += text;
      if (plan !== null && text.includes('COMMIT')) {
        const { how, meanwhile } = plan;
        plan = null;
        silent = true;
        if (how === 'before') void meanwhile().then(cut);
        else {
          far.once('data', () => void meanwhile().then(cut));
          far.write(bytes);
        }
        return;
      }
      far.write(bytes);
    });
    far.on('data', (bytes) => {
      if (!silent) near.write(bytes);
    });
    near.on('close', () => far.destroy());
    far.on('close', () => {
      if (!silent) near.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sent: () => sent,
    loseNextCommit: (how, meanwhile = () => Promise.resolve()) => {
      plan = { how, meanwhile };
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
