import { z } from 'zod';

/** A name that may stand in a path, a label and an id: no slash, no space, no upper case. */
export const Name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, 'use lower-case letters, digits, . _ - (63 at most)');

export const Tier = z.enum(['tier1', 'tier2', 'tier3']);
export type Tier = z.infer<typeof Tier>;

/** Where an incident lives. It comes from configuration (bound to the trigger's secret), never from alert text. */
export const Scope = z.strictObject({
  team: Name,
  env: Name,
  tier: Tier,
  region: Name.optional(),
  cluster: Name.optional(),
  namespace: Name.optional(),
  service: Name.optional(),
  /** Labels of the alert group that selected inside the scope; information only, never used for a decision. */
  labels: z.record(z.string().max(200), z.string().max(1000)).default({}),
});
export type Scope = z.infer<typeof Scope>;

/** The unit of isolation: mounts, seals, channels and roles exist per (team, env). */
export const Tenant = z.strictObject({ team: Name, env: Name });
export type Tenant = z.infer<typeof Tenant>;

/** `team/env`, the key of a tenant in maps and messages. */
export function tenantKey(tenant: { team: string; env: string }): string {
  return `${tenant.team}/${tenant.env}`;
}
