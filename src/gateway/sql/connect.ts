import { readFileSync } from 'node:fs';
import { connect as connectSocket, isIP } from 'node:net';
import { checkServerIdentity, connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { Client } from 'pg';
import type { Credential } from '../credentials/credential.ts';
import { isUnixSocket, type PostgresDatabase } from '../../contract/system-postgres.ts';
import { UpstreamError } from '../upstream-error.ts';
import { resolveDatabase } from './database-address.ts';
import { asSqlError } from './sql-error.ts';

/** One connection for one call: the leased credential goes into its start-up and nowhere else. */
export interface ConnectOptions {
  readonly config: PostgresDatabase;
  readonly credential: Credential | null;
  readonly unsafe_endpoints: boolean;
  /** Names the call in pg_stat_activity and in the server's log. */
  readonly call_id: string;
  readonly timeout_ms: number;
  /** The connection is cut when the server sends more than this. */
  readonly wire_bytes_max: number;
}

export interface SqlConnection {
  readonly client: Client;
  /** True once the server sent more than it may. */
  overflowed(): boolean;
  /** Asks the server to stop what it runs, then cuts the connection. */
  cancel(): void;
  close(): Promise<void>;
}

const CONNECT_MS_MAX = 5000;
const CLOSE_MS_MAX = 1000;

/** @throws UpstreamError, always with `sent: no`. */
export async function connectSql(options: ConnectOptions): Promise<SqlConnection> {
  const { config, credential, call_id } = options;
  if (credential?.kind !== 'password')
    throw new UpstreamError({
      problem: 'blocked',
      sent: 'no',
      status: null,
      message: 'a database is logged in to with a user and a password (engine password)',
    });
  const address = await resolveDatabase(config, options.unsafe_endpoints);
  const tls = tlsOptions(config);
  const { Client } = await import('pg');
  const settings = {
    host: address,
    port: config.port,
    database: config.database,
    user: credential.username,
    password: credential.password.reveal(),
    ssl: tls ?? false,
    sslnegotiation: 'postgres' as const,
    application_name: call_id.slice(0, 63),
    client_encoding: 'UTF8',
    connectionTimeoutMillis: Math.max(1, Math.min(CONNECT_MS_MAX, options.timeout_ms)),
    // Text as the server writes it: no precision is lost on the way.
    types: { getTypeParser: () => (text: string) => text },
  };
  const client = new Client(settings);
  // What is left out, pg takes from the environment (PGOPTIONS): the configuration alone decides here.
  Object.assign(inside(client).connectionParameters, { options: undefined, replication: undefined });
  // Without a listener a cut connection would end the process; the query that waits for it hears of it itself.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    streamOf(client).destroy();
    throw asSqlError(error, 'connect');
  }
  let bytes = 0;
  let overflowed = false;
  streamOf(client).on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= options.wire_bytes_max || overflowed) return;
    overflowed = true;
    stop(client, address, config, tls);
  });
  return {
    client,
    overflowed: () => overflowed,
    cancel: () => stop(client, address, config, tls),
    close: () => close(client),
  };
}

function tlsOptions(config: PostgresDatabase): ConnectionOptions | null {
  if (isUnixSocket(config.host) || config.tls === 'off') return null;
  return {
    // The address was resolved here; the certificate must be for the name in the configuration.
    ...(isIP(config.host) === 0 ? { servername: config.host } : {}),
    checkServerIdentity: (_address, certificate) => checkServerIdentity(config.host, certificate),
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(config.ca_file === undefined ? {} : { ca: readCa(config.ca_file) }),
  };
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new UpstreamError({
      problem: 'unreachable',
      sent: 'no',
      status: null,
      message: `the CA file ${file} cannot be read (${code})`,
    });
  }
}

interface Inside {
  readonly connection: { readonly stream: Duplex };
  readonly connectionParameters: object;
  readonly processID: number | null;
  readonly secretKey: number | null;
}

/** Parts of pg's client that it does not declare. */
const inside = (client: Client): Inside => client as unknown as Inside;
const streamOf = (client: Client): Duplex => inside(client).connection.stream;

async function close(client: Client): Promise<void> {
  const ended = client.end().catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS_MAX);
  });
  await Promise.race([ended, late]);
  clearTimeout(timer);
  streamOf(client).destroy();
}

/** A server notices a closed socket only when it writes to it: a long query is told to stop, on a connection of its own. */
function stop(
  client: Client,
  address: string,
  config: PostgresDatabase,
  tls: ConnectionOptions | null,
): void {
  const { processID, secretKey } = inside(client);
  streamOf(client).destroy();
  if (processID === null || secretKey === null) return;
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE(80_877_102, 4);
  request.writeInt32BE(processID, 8);
  request.writeInt32BE(secretKey, 12);
  const socket = isUnixSocket(config.host)
    ? connectSocket(`${config.host}/.s.PGSQL.${config.port}`)
    : connectSocket(config.port, address);
  socket.setTimeout(CONNECT_MS_MAX, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  if (tls === null) {
    socket.once('connect', () => socket.end(request));
    return;
  }
  socket.once('connect', () => socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])));
  socket.once('data', (answer) => {
    if (answer[0] !== 0x53) return void socket.destroy();
    const secure = connectTls({ ...tls, socket }, () => secure.end(request));
    secure.on('error', () => socket.destroy());
  });
}
