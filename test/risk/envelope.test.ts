import { describe, expect, it } from 'vitest';
import { RiskEnvelope } from '../../src/contract/risk.ts';
import { assessRisk } from '../../src/risk/envelope.ts';
import { halfStep } from '../../src/risk/step-down.ts';
import { input, JOB, planOf, preview, QUOTA, service } from './fixtures.ts';

describe('risk envelope of the Spark story', () => {
  const envelope = assessRisk(input());

  it('is a valid envelope with words that carry numbers', () => {
    expect(RiskEnvelope.parse(envelope)).toEqual(envelope);
    expect(envelope.why).toContain(
      "memory request 1.4 GiB -> 2.4 GiB incl. Spark's overhead of max(384 MiB, 10 %) a pod, unless the job sets its own",
    );
    expect(envelope.why).toContain('namespace memory quota 62 % -> 67 % while it runs');
    expect(envelope.why).toContain('1 of 2 services depend on it: settlement-api');
  });

  it('names the dependants and what happens if nothing is done', () => {
    expect(envelope.counterfactual_impact.affected_services).toEqual([
      'nightly-settlement',
      'settlement-api',
    ]);
    expect(envelope.if_not_applied).toBe(
      "Shops see no settlement report (within 4 h, from the catalog's entry of nightly-settlement)",
    );
  });

  it('offers half of the step as the safe alternative', () => {
    expect(envelope.safe_alternatives).toContain(
      'Take half of the step first: /spec/driver/memory 1g -> 1536m instead of 2g',
    );
  });

  it('asks for a dry run and a person, and takes nothing down: the job has failed already', () => {
    expect(envelope.required_gates).toEqual(['dry_run_required', 'human_approval_required']);
    expect(envelope.counterfactual_impact.estimated_downtime_sec).toBe(0);
    expect(envelope.blast_radius_score).toBeGreaterThan(0.15);
    expect(envelope.blast_radius_score).toBeLessThan(0.4);
  });
});

describe('what risk does with what it does not know', () => {
  it('counts a target outside the catalog as tier 1, asks for two people and says so', () => {
    const envelope = assessRisk(input({ services: [] }));
    expect(envelope.required_gates).toContain('two_person_approval_required');
    expect(envelope.why.some((line) => line.startsWith('not in the catalog'))).toBe(true);
    expect(envelope.confidence).toBeLessThan(assessRisk(input()).confidence);
    expect(envelope.if_not_applied).toContain('the catalog does not say');
  });

  it('does not take an unknown quota for a small request', () => {
    const unknown = assessRisk(input({ quota: null }));
    const unchanged = assessRisk(
      input({
        quota: null,
        previews: [
          preview({
            resources: {
              memory_bytes_before: 1,
              memory_bytes_after: 1,
              cpu_millis_before: 1,
              cpu_millis_after: 1,
            },
          }),
        ],
      }),
    );
    expect(unknown.blast_radius_score).toBeGreaterThan(unchanged.blast_radius_score);
    expect(unknown.why.join(' ')).toContain('quota of the namespace is not known');
  });

  it('calls a request that does not fit into the quota the worst case', () => {
    const envelope = assessRisk(input({ quota: { ...QUOTA, used_memory_bytes: QUOTA.hard_memory_bytes } }));
    expect(envelope.blast_radius_score).toBe(1);
    expect(envelope.required_gates).toContain('step_up_required');
    expect(envelope.why).toContain('it does not fit into the quota: new pods would be refused');
  });

  it('never lets the confidence of a plan change a number or a gate', () => {
    const timid = assessRisk(input({ plan: { ...planOf(), confidence: 0.01 } }));
    const bold = assessRisk(input({ plan: { ...planOf(), confidence: 1 } }));
    expect(bold).toEqual(timid);
  });

  it('does not hand the dependants of a namesake in another environment to the target', () => {
    const elsewhere = service('report', { env: 'staging', depends_on: ['nightly-settlement'] });
    const staging_job = service('nightly-settlement', {
      env: 'staging',
      cluster: 'stage',
      kind: 'sparkapplication',
    });
    const envelope = assessRisk(input({ services: [JOB, staging_job, elsewhere] }));
    expect(envelope.counterfactual_impact.affected_services).toEqual(['nightly-settlement']);
  });
});

describe('half of a step', () => {
  it.each([
    ['1g', '2g', '1536m'],
    ['2g', '4g', '3g'],
    ['512Mi', '1024Mi', '768Mi'],
    ['1Gi', '2Gi', '1536Mi'],
    ['1g', '1024m', null],
    ['2g', '1g', null],
    ['1g', '2g; rm -rf /', null],
    [1, 2, null],
  ])('%s -> %s: %s', (before, after, half) => {
    expect(halfStep(before, after)).toBe(half);
  });
});
