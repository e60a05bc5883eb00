/** sys/leases: lookup, renew and revoke of single leases. */
import { badRequest, type VaultAnswer } from './envelope.ts';
import { durationField, textField } from './fields.ts';
import type { Lease } from './ledger.ts';
import type { Route, RouteContext } from './route.ts';

export const LEASE_ROUTES: readonly Route[] = [
  { path: /^sys\/leases\/lookup$/, operations: { update: lookupLease } },
  { path: /^sys\/(?:leases\/)?renew$/, operations: { update: renewLease } },
  { path: /^sys\/(?:leases\/)?revoke$/, operations: { update: revokeLease } },
];

function lookupLease(context: RouteContext): VaultAnswer {
  const lease = context.ledger.lease(leaseId(context));
  if (lease === undefined) throw badRequest('invalid lease');
  return { data: describe(lease, context.ledger.now_ms()) };
}

function renewLease(context: RouteContext): VaultAnswer {
  const lease = context.ledger.lease(leaseId(context));
  if (lease === undefined) throw badRequest('lease not found');
  if (!lease.renewable) throw badRequest('lease is not renewable');
  const lease_duration = context.ledger.renewLease(lease, durationField(context.fields, 'increment'));
  return { lease: { lease_id: lease.lease_id, renewable: true, lease_duration } };
}

/** Revoking an unknown lease succeeds: it is gone, which is what was asked for. */
async function revokeLease(context: RouteContext): Promise<null> {
  const lease = context.ledger.lease(leaseId(context));
  if (lease !== undefined) await context.ledger.revokeLease(lease);
  return null;
}

function leaseId({ fields }: RouteContext): string {
  const lease_id = textField(fields, 'lease_id');
  if (lease_id === undefined || lease_id === '') throw badRequest('lease_id must be specified');
  return lease_id;
}

function describe(lease: Lease, now_ms: number): Record<string, unknown> {
  return {
    id: lease.lease_id,
    issue_time: new Date(lease.issued_ms).toISOString(),
    expire_time: new Date(lease.expires_ms).toISOString(),
    last_renewal: null,
    renewable: lease.renewable,
    ttl: Math.max(0, Math.floor((lease.expires_ms - now_ms) / 1000)),
  };
}
