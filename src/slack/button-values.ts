// What buttons and modals carry: opaque ids, parsed strictly when they come back. What they mean is looked up in the
// store at the click; nothing that a message shows is ever believed.
import { z } from 'zod';
import { ApprovalId } from '../contract/approval.ts';
import { IncidentId, Sha256 } from '../contract/incident.ts';

export const IncidentRef = z.strictObject({ v: z.literal(1), inc: IncidentId, rev: z.int().min(0) });
export type IncidentRef = z.infer<typeof IncidentRef>;

export const ApprovalRef = z.strictObject({
  v: z.literal(1),
  apr: ApprovalId,
  rev: z.int().min(1),
  plan: Sha256,
});
export type ApprovalRef = z.infer<typeof ApprovalRef>;

/** Where a modal was opened from, so that its submit answers there. */
const Place = { channel: z.string().max(40), thread_ts: z.string().max(40).nullable() };

/** `private_metadata` of the modals that decide: what the server rendered into them, page by page. */
export const DecisionMeta = z.strictObject({
  v: z.literal(1),
  inc: IncidentId,
  apr: ApprovalId,
  rev: z.int().min(1),
  plan: Sha256,
  /** Page shown now and the last one that was shown; every page must have been on screen before a submit exists. */
  page: z.int().min(0).max(999),
  seen: z.int().min(0).max(999),
  ...Place,
});
export type DecisionMeta = z.infer<typeof DecisionMeta>;

export const EvidenceMeta = z.strictObject({
  v: z.literal(1),
  inc: IncidentId,
  page: z.int().min(0).max(99),
  ...Place,
});
export type EvidenceMeta = z.infer<typeof EvidenceMeta>;

export const JsonMeta = z.strictObject({
  v: z.literal(1),
  apr: ApprovalId,
  page: z.int().min(0).max(999),
  ...Place,
});
export type JsonMeta = z.infer<typeof JsonMeta>;

export function incidentValue(ref: IncidentRef): string {
  return JSON.stringify(ref);
}

export function approvalValue(ref: ApprovalRef): string {
  return JSON.stringify(ref);
}

/** Parses a value that came back from Slack; null when it is not one of ours. */
export function parseValue<T>(schema: z.ZodType<T>, text: string | undefined): T | null {
  if (text === undefined || text.length > 3000) return null;
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
