import { z } from 'zod';

export const RequiredGate = z.enum([
  'dry_run_required',
  'human_approval_required',
  'two_person_approval_required',
  'step_up_required',
]);
export type RequiredGate = z.infer<typeof RequiredGate>;

/** Risk of a frozen plan, computed by deterministic code. A skill's or a model's confidence never lowers a gate. */
export const RiskEnvelope = z.strictObject({
  v: z.literal(1),
  /** 0 (touches nothing else) .. 1 (touches everything that depends on it). */
  blast_radius_score: z.number().min(0).max(1),
  impact_scope: z.array(z.string().max(200)).max(100),
  confidence: z.number().min(0).max(1),
  required_gates: z.array(RequiredGate).max(10),
  counterfactual_impact: z.strictObject({
    affected_services: z.array(z.string().max(200)).max(100),
    estimated_downtime_sec: z.number().min(0),
    /** Beta-posterior style estimate; `n` is the number of cases it rests on (0 = prior only). */
    failure_likelihood: z.strictObject({
      mean: z.number().min(0).max(1),
      low: z.number().min(0).max(1),
      high: z.number().min(0).max(1),
      n: z.int().min(0),
    }),
  }),
  /** What happens if nothing is done, in words with a number where one is known. */
  if_not_applied: z.string().min(1).max(500),
  why: z.array(z.string().max(300)).max(20),
  safe_alternatives: z.array(z.string().max(300)).max(10),
});
export type RiskEnvelope = z.infer<typeof RiskEnvelope>;
