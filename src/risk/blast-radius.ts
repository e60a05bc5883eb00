import type { Service } from '../contract/settings.ts';
import type { ActionClass } from '../contract/tool.ts';
import type { Dependant } from './topology.ts';

/**
 * Blast radius: how much else could be hurt, 0..1. Three independent ways to do harm are joined by a noisy OR, the usual
 * combination of independent causes (Pearl 1988): score = 1 - (1 - H)(1 - D)(1 - R), with
 *
 *   H  harm of the change itself = class factor x tier weight of the target
 *   D  harm to dependants        = 0.8 x weighted share of the catalog that depends on the target, directly or not
 *   R  harm to neighbours        = share of the namespace's quota that the change adds; 1 when it does not fit
 *
 * The noisy OR keeps the score in 0..1, and no factor can lower it, so one more dependant, a higher class or a larger
 * request never makes a plan look safer. The weights are judgements of ours, written down here to be argued with.
 */

/** A reviewed, reversible write is a quarter of the worst; destroying or giving rights is near it. Reading harms nobody. */
const CLASS_FACTOR: Readonly<Record<ActionClass, number>> = {
  read: 0,
  write: 0.25,
  destroy: 0.7,
  privileged: 0.9,
};

/** Tiers as the catalog means them: tier 1 wakes people, tier 3 waits for the morning. */
export const TIER_WEIGHT: Readonly<Record<Service['tier'], number>> = { tier1: 1, tier2: 0.6, tier3: 0.3 };

/** A dependant is hurt often, not always (caches, retries, batch slack). */
const DEPENDANT_FACTOR = 0.8;

/** Weight that a catalog has at least: in a catalog of three services one dependant is not a third of the company. */
const CATALOG_WEIGHT_MIN = 10;

/** What is added to R when the change asks for more but the quota is not known. */
const UNKNOWN_QUOTA_SHARE = 0.1;

export interface BlastInput {
  /** The highest class among the actions. */
  readonly action_class: ActionClass;
  /** The most important tier among the targets; an unknown target counts as tier 1. */
  readonly tier: Service['tier'];
  readonly dependants: readonly Dependant[];
  readonly catalog: readonly Service[];
  readonly resources: ResourceShare;
}

export type ResourceShare =
  | { readonly state: 'unchanged' }
  /** The change asks for more, and nobody could say of how much. */
  | { readonly state: 'unknown' }
  /** Shares of the quota (0..1 and above): added by the change, and used after it. */
  | { readonly state: 'known'; readonly added: number; readonly after: number };

export interface BlastRadius {
  readonly score: number;
  readonly change: number;
  readonly dependants: number;
  readonly neighbours: number;
}

export function blastRadius(input: BlastInput): BlastRadius {
  if (input.action_class === 'read') return { score: 0, change: 0, dependants: 0, neighbours: 0 };
  const change = CLASS_FACTOR[input.action_class] * TIER_WEIGHT[input.tier];
  const weight = (services: readonly Service[]) => services.reduce((sum, s) => sum + TIER_WEIGHT[s.tier], 0);
  const hurt = weight(input.dependants.map((d) => d.service));
  const dependants = DEPENDANT_FACTOR * clamp(hurt / Math.max(weight(input.catalog), CATALOG_WEIGHT_MIN));
  const neighbours = neighbourHarm(input.resources);
  return {
    score: round3(1 - (1 - change) * (1 - dependants) * (1 - neighbours)),
    change,
    dependants,
    neighbours,
  };
}

function neighbourHarm(resources: ResourceShare): number {
  if (resources.state === 'unchanged') return 0;
  if (resources.state === 'unknown') return UNKNOWN_QUOTA_SHARE;
  return resources.added > 0 && resources.after > 1 ? 1 : clamp(resources.added);
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** Three decimals: finer differences mean nothing, and the envelope is part of the plan hash. */
function round3(value: number): number {
  return Math.round(clamp(value) * 1000) / 1000;
}
