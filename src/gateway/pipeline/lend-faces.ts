import type { CallHandle, EvictionGrant } from '../drivers/driver.ts';
import type { Lease } from '../credentials/lease.ts';
import { lendSql } from '../sql/lend-sql.ts';
import { lendTransport, type TransportMode } from '../transport.ts';
import type { Admission } from './admit.ts';
import type { GatewayCore } from './core.ts';
import { programFaces } from './program-faces.ts';
import type { OperationLimits } from './upstream-call.ts';

/** What a driver is lent for one operation: a face for each way to speak, the credential behind them. */
export type Faces = Pick<CallHandle, 'http' | 'sql' | 'git' | 'forge' | 'terraform'>;

export interface LendingLimits {
  readonly call_id: string;
  readonly mode: TransportMode;
  readonly timeout_ms: number;
  readonly signal: AbortSignal | undefined;
  readonly evictions: EvictionGrant | null;
  readonly brake: OperationLimits['brake'];
}

export function lendFaces(
  core: GatewayCore,
  admission: Admission,
  lease: Lease,
  { call_id, mode, timeout_ms, signal, evictions, brake }: LendingLimits,
): Faces {
  const { egress, settings } = core;
  const { entry, route } = admission;
  const { upstream, target } = route;
  const { unsafe_endpoints } = settings;
  const bytes_max = entry.tool.result_bytes_max;
  const lent = { mode, credential: lease.credential, timeout_ms, bytes_max, signal };
  const http = lendTransport({ ...lent, upstream, target, egress, evictions, brake });
  const sql = lendSql({ ...lent, upstream, target, call_id, unsafe_endpoints });
  const programs = programFaces(core, admission, lease, { call_id, mode, timeout_ms, signal });
  return { http, sql, ...programs };
}
