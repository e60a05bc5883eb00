import { execFile, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { userInfo, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';

/** A real PostgreSQL in a temporary folder, on a Unix socket and a free loopback port. */
export interface PostgresServer {
  /** Directory of the Unix socket. */
  readonly socket: string;
  readonly port: number;
  /** Runs SQL as the superuser, past the product. */
  admin(sql: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** Runs SQL in a transaction of its own that stays open until it is committed. */
  hold(sql: string): Promise<{ commit(): Promise<void> }>;
  /** How many connections wait for a lock. */
  waiting(): Promise<number>;
  crash(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Directory of the binaries, or null when PostgreSQL is not installed. */
export function postgresBinaries(): string | null {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : [];
  const found = versions
    .map((version) => join(root, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')));
  if (found !== undefined) return found;
  const path = spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' });
  return path.status === 0 && existsSync(join(path.stdout.trim(), 'initdb')) ? path.stdout.trim() : null;
}

/** True when the server can be started here; else a line says why the tests are skipped. */
export function postgresIsHere(): boolean {
  const missing =
    postgresBinaries() === null
      ? 'PostgreSQL (initdb, pg_ctl) is not installed'
      : account() === null
        ? 'PostgreSQL refuses to run as root, and there is no setpriv or no user postgres or nobody'
        : null;
  if (missing !== null) process.stdout.write(`skipped: ${missing}\n`);
  return missing === null;
}

interface Account {
  readonly prefix: readonly string[];
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL does not run as root: then it runs as somebody else. */
function account(): Account | null {
  const { uid, gid } = userInfo();
  if (uid !== 0) return { prefix: [], uid, gid };
  for (const name of ['postgres', 'nobody']) {
    const ids = ['-u', '-g'].map((flag) =>
      Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout),
    );
    const [u, g] = ids as [number, number];
    if (!(u > 0 && g > 0)) continue;
    const prefix = ['setpriv', `--reuid=${u}`, `--regid=${g}`, '--clear-groups'];
    if (spawnSync(prefix[0] as string, [...prefix.slice(1), 'true']).status === 0)
      return { prefix, uid: u, gid: g };
  }
  return null;
}

export const ADMIN_PASSWORD = 'admin-password-of-the-test';

export async function startPostgres(
  options: {
    readonly tls?: { readonly cert: string; readonly key: string };
  } = {},
): Promise<PostgresServer> {
  const bin = postgresBinaries() as string;
  const { prefix, uid, gid } = account() as Account;
  // Short: the path of a Unix socket has at most 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), 'pg-'));
  chownSync(folder, uid, gid);
  const run = async (program: string, args: readonly string[]): Promise<void> => {
    const [file, ...rest] = [...prefix, join(bin, program), ...args] as [string, ...string[]];
    await promisify(execFile)(file, rest, { cwd: folder });
  };
  const data = join(folder, 'data');
  writeFileSync(join(folder, 'password'), ADMIN_PASSWORD);
  chownSync(join(folder, 'password'), uid, gid);
  await run('initdb', [
    '-D',
    data,
    '-U',
    'postgres',
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
    '--auth=scram-sha-256',
    `--pwfile=${join(folder, 'password')}`,
  ]);
  const port = await freePort();
  if (options.tls !== undefined)
    for (const [name, text] of Object.entries({
      'server.crt': options.tls.cert,
      'server.key': options.tls.key,
    })) {
      writeFileSync(join(data, name), text, { mode: 0o600 });
      chownSync(join(data, name), uid, gid);
    }
  const settings = [
    'fsync=off',
    'max_connections=30',
    'shared_buffers=16MB',
    `ssl=${options.tls === undefined ? 'off' : 'on'}`,
  ];
  writeFileSync(join(data, 'postgresql.auto.conf'), `${settings.join('\n')}\n`);
  const log_file = join(folder, 'log');
  const start = () =>
    run('pg_ctl', [
      '-D',
      data,
      '-w',
      '-s',
      '-l',
      log_file,
      '-o',
      `-k ${folder} -h 127.0.0.1 -p ${port}`,
      'start',
    ]);
  await start();
  const connected = async (): Promise<Client> => {
    const client = new Client({
      host: folder,
      port,
      user: 'postgres',
      password: ADMIN_PASSWORD,
      database: 'postgres',
    });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const admin: PostgresServer['admin'] = async (sql, values) => {
    const client = await connected();
    try {
      const answer = await client.query<Record<string, unknown>>(
        sql,
        values === undefined ? undefined : [...values],
      );
      return answer.rows;
    } finally {
      await client.end();
    }
  };
  return {
    socket: folder,
    port,
    admin,
    hold: async (sql) => {
      const client = await connected();
      await client.query(`BEGIN; ${sql}`);
      return {
        commit: async () => {
          await client.query('COMMIT');
          await client.end();
        },
      };
    },
    waiting: async () =>
      Number(
        (await admin("SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))[0]?.['n'],
      ),
    crash: () => run('pg_ctl', ['-D', data, '-m', 'immediate', '-s', '-w', 'stop']),
    start,
    close: async () => {
      await run('pg_ctl', ['-D', data, '-m', 'immediate', '-s', '-w', 'stop']).catch(() => undefined);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
