import { z } from 'zod';
import { hashOf } from '../../contract/canonical.ts';
import { PrincipalId } from '../../contract/incident.ts';
import { parseYamlText } from '../../contract/parse.ts';
import { isoTime } from '../../contract/ports.ts';
import type { ShadowSettings } from '../../contract/settings.ts';
import { DELETED_KINDS, type SeenChange } from '../../contract/shadow.ts';
import { parseTarget, TargetUri } from '../../contract/tool.ts';
import type { Look } from './look.ts';
import { isRobotUser } from './people.ts';

/** A captured `audit.yaml` as what people and programs did. Pure. */

const AuditFile = z.object({
  cluster: z.string(),
  namespace: z.string(),
  acts: z.array(
    z.object({
      target: TargetUri,
      uid: z.string().default(''),
      generation: z.int().min(0).default(0),
      user: z.string(),
      impersonated: z.string().nullable().default(null),
      by: PrincipalId.nullable().catch(null).default(null),
      client: z.string().default(''),
      operation: z.string(),
      at: z.iso.datetime({ offset: true }),
      fields: z.array(z.string().max(500)),
      more_fields: z.int().min(0).default(0),
      values: z.record(z.string(), z.unknown()),
      template: z.string().max(80).nullable().default(null),
    }),
  ),
  unseen: z.array(z.string()),
});
type Act = z.infer<typeof AuditFile>['acts'][number];

/** Programs are not left out yet: an act that the objects show under a person's tool may turn out to be theirs. */
export function readAudit(text: string, settings: Pick<ShadowSettings, 'robots' | 'kinds'>): Look | null {
  const parsed = parseYamlText(text);
  const file = parsed.ok ? AuditFile.safeParse(parsed.value) : null;
  if (file === null || !file.success) return null;
  const { cluster, namespace, acts, unseen } = file.data;
  const kinds: readonly string[] = [...settings.kinds, ...DELETED_KINDS];
  return {
    changes: acts
      .filter(({ target }) => kinds.includes(parseTarget(target).kind))
      .map((act) => seenChange(act, settings.robots)),
    unseen: unseen.map((why) => ({
      place: `${cluster}/${namespace}/audit log`.slice(0, 300),
      why: why.slice(0, 300),
    })),
  };
}

function seenChange(act: Act, robots: readonly string[]): SeenChange {
  const { target, uid, generation, user, impersonated, by, client, operation, at } = act;
  const manager = actingUser(user, impersonated, robots);
  return {
    key: hashOf(['audit', at, user, impersonated, operation, target]).slice(0, 32),
    target,
    uid: uid.slice(0, 100),
    manager: manager.slice(0, 128),
    authenticated: true,
    ...(by === null ? {} : { by }),
    ...(client === '' ? {} : { client: client.slice(0, 128) }),
    operation: operation.slice(0, 40),
    at: isoTime(Date.parse(at)),
    generation,
    fields: act.fields.slice(0, 50),
    more_fields: act.more_fields,
    values: act.values,
    template: act.template,
    robot: by === null && isRobotUser(manager, robots),
  };
}

/** Whoever acts as a program is still the one who acts; a proxy that acts as a person lends its hand only. */
function actingUser(user: string, impersonated: string | null, robots: readonly string[]): string {
  if (impersonated === null) return user;
  return isRobotUser(impersonated, robots) && !isRobotUser(user, robots) ? user : impersonated;
}
