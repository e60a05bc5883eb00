import { z } from 'zod';
import { Autonomy, IncidentId, IsoTime, PrincipalId } from './incident.ts';
import { TargetUri } from './tool.ts';

/**
 * Shadow mode: what people did while Aegis only proposed, and how its plan compares. Times are those of the system that
 * was changed, or of the person's own word; nothing here can be executed.
 */

/** Kinds that people repair with; others are not looked at. */
export const WATCHED_KINDS = [
  'deployment',
  'statefulset',
  'daemonset',
  'cronjob',
  'sparkapplication',
  'horizontalpodautoscaler',
  'configmap',
] as const;

/** Kinds whose deletion is an act on what runs, and that nobody repairs by changing them. */
export const DELETED_KINDS = ['pod'] as const;

/** What a commit says besides its files. Seen under two branches it is two changes of one `uid`. */
const SeenCommit = z.strictObject({
  repository: z.string().max(100),
  branch: z.string().max(250),
  /** By the repository's list of protected branches: what is there has been decided, not only written. */
  protected: z.boolean(),
  subject: z.string().max(200),
});

/**
 * One write that a system shows: who claims it (the field manager), when, on what, and what stands there now. Of a
 * commit: the author, the touched files, and the blob of each (`removed` when it is gone).
 */
export const SeenChange = z.strictObject({
  /** Hash of what makes it this change: the same change seen again is the same change. */
  key: z.string().max(64),
  /** `mcp://k8s/<cluster>/<ns>/<kind>/<name>`, `mcp://git/<repository>/-/branch/<branch>` */
  target: TargetUri,
  /** Uid of the object, id of the commit. */
  uid: z.string().max(100),
  /** What the writer called itself. A name, no proof: the client chooses it; with `authenticated` it is a user. */
  manager: z.string().max(128),
  /** `manager` is the user whom the system itself authenticated, as its audit log says. */
  authenticated: z.literal(true).optional(),
  /** The person of the identity map who has that user name. */
  by: PrincipalId.optional(),
  /** What the client of an authenticated user called itself: a field manager, no proof. */
  client: z.string().max(128).optional(),
  /** `Update` or `Apply` of a field manager; of an audit log the verb, with the subresource behind it. */
  operation: z.string().max(40),
  at: IsoTime,
  generation: z.int().min(0),
  /** Fields that the writer owns, as pointers with list items by name; the first ones when there are many. */
  fields: z.array(z.string().max(500)).max(50),
  more_fields: z.int().min(0),
  /** Values at those fields when they were looked at. */
  values: z.record(z.string(), z.unknown()),
  /** Mark of the pod template as it stood then; null where there is none. */
  template: z.string().max(80).nullable(),
  /** A controller, by the list of robots in aegis.yaml. */
  robot: z.boolean(),
  commit: SeenCommit.optional(),
});
export type SeenChange = z.infer<typeof SeenChange>;

/** What a person says they did. */
export const SaidAct = z.strictObject({
  at: IsoTime,
  by: PrincipalId,
  text: z.string().min(1).max(500),
  /** What stood behind the word "because". */
  cause: z.string().max(300).nullable(),
});
export type SaidAct = z.infer<typeof SaidAct>;

/** What a look could not see: `<cluster>/<namespace>/<kind>`, `*` for every kind; `git/<repository>/*`. */
export const Unseen = z.strictObject({ place: z.string().max(300), why: z.string().max(300) });
export type Unseen = z.infer<typeof Unseen>;

/** One planned action as far as it can be compared. */
const ComparedAction = z.strictObject({
  change_id: z.string(),
  tool: z.string(),
  target: TargetUri,
  intent: z.string(),
  uid: z.string(),
  changes: z.array(z.strictObject({ path: z.string(), before: z.unknown(), after: z.unknown() })).max(200),
});
export type ComparedAction = z.infer<typeof ComparedAction>;

/** The plan that is compared: the newest one that was there before the first person acted. */
export const ComparedPlan = z.strictObject({
  revision: z.int(),
  posted_at: IsoTime,
  hypothesis: z.string(),
  confidence: z.number(),
  skill: z.string().nullable(),
  actions: z.array(ComparedAction).max(10),
});
export type ComparedPlan = z.infer<typeof ComparedPlan>;

/**
 * How an incident counts. `nobody_acted` (it resolved by itself) and `unknown` (what people did could not be seen, or it
 * has not resolved) are told and not scored.
 */
export const ShadowVerdict = z.enum(['hit', 'partial', 'missed', 'no_plan', 'nobody_acted', 'unknown']);
export type ShadowVerdict = z.infer<typeof ShadowVerdict>;

export const ShadowRow = z.strictObject({
  /**
   * `hit`: the same act; `equivalent`: the same end by another tool; `miss`: only people; `extra`: only the plan;
   * `said`: a person's word, which nothing shows; `unknown`: it could not be looked at.
   */
  mark: z.enum(['hit', 'equivalent', 'miss', 'extra', 'said', 'unknown']),
  plan: z.string().max(400).nullable(),
  people: z.string().max(600).nullable(),
  at: IsoTime.nullable(),
});
export type ShadowRow = z.infer<typeof ShadowRow>;

export const ShadowScore = z.strictObject({
  verdict: ShadowVerdict,
  rows: z.array(ShadowRow).max(60),
  cause: z.enum(['agrees', 'differs', 'unknown']),
  wrong_and_confident: z.boolean(),
  /** Plan posted before the act that it is compared with (positive), or after it (negative). */
  lead_ms: z.number().nullable(),
  /** What could not be looked at, in sentences. */
  gaps: z.array(z.string().max(300)).max(20),
});
export type ShadowScore = z.infer<typeof ShadowScore>;

/**
 * One scored fact of an incident, for the ladder. `shadow`: a plan against people; `run`: what the checks said after an
 * approved run; `denied`: an eligible person denied the plan for its cause.
 */
export const Score = z.strictObject({
  incident_id: IncidentId,
  /** Step of the incident that made it. */
  step: z.int().min(1),
  kind: z.enum(['shadow', 'run', 'denied']),
  team: z.string(),
  env: z.string(),
  /** `-`: the incident names no service. */
  service: z.string(),
  /** `-`: no skill made the plan. */
  skill: z.string(),
  /** In force in this incident. */
  autonomy: Autonomy,
  verdict: z.union([ShadowVerdict, z.enum(['helped', 'failed'])]),
  wrong_and_confident: z.boolean(),
  lead_ms: z.number().nullable(),
  at: IsoTime,
});
export type Score = z.infer<typeof Score>;

/** Two people decided that a place may go one step up again. */
export const LadderRaise = z.strictObject({
  team: z.string(),
  env: z.string(),
  service: z.string(),
  to: Autonomy,
  by: z.array(PrincipalId).min(2).max(2),
  at: IsoTime,
});
export type LadderRaise = z.infer<typeof LadderRaise>;
