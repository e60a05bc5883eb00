import { lookup } from 'node:dns/promises';
import { isUnixSocket, type PostgresDatabase } from '../../contract/system-postgres.ts';
import { isForbiddenAddress } from '../egress.ts';
import { UpstreamError } from '../upstream-error.ts';

/** The rules of HTTP egress for databases: encrypted and outside of this machine, or `unsafe_endpoints`. */
export type DatabaseAddress = Pick<PostgresDatabase, 'host' | 'port' | 'tls'>;

/** Why a database may not be connected to; null when it may. */
export function databaseProblem(address: DatabaseAddress, unsafe_endpoints: boolean): string | null {
  if (isUnixSocket(address.host) || unsafe_endpoints) return null;
  const { host, tls } = address;
  if (tls === 'off') return `${host} would be spoken to without TLS`;
  return isForbiddenAddress(host) || host === 'localhost'
    ? `${host} is this machine or a link-local address`
    : null;
}

/** The address to dial: checked after the name is resolved, so that no second answer can lead elsewhere. */
export async function resolveDatabase(address: DatabaseAddress, unsafe_endpoints: boolean): Promise<string> {
  const problem = databaseProblem(address, unsafe_endpoints);
  if (problem !== null) throw blocked(`${problem}; set unsafe_endpoints only in a lab`);
  if (isUnixSocket(address.host)) return address.host;
  let found: readonly { address: string }[];
  try {
    found = await lookup(address.host, { all: true });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw unreachable(`${address.host} cannot be resolved (${code})`);
  }
  if (!unsafe_endpoints && found.some((one) => isForbiddenAddress(one.address)))
    throw blocked(`${address.host} resolves to a forbidden address`);
  const [first] = found;
  if (first === undefined) throw unreachable(`${address.host} has no address`);
  return first.address;
}

const blocked = (message: string): UpstreamError =>
  new UpstreamError({ problem: 'blocked', sent: 'no', status: null, message });

const unreachable = (message: string): UpstreamError =>
  new UpstreamError({ problem: 'unreachable', sent: 'no', status: null, message });
