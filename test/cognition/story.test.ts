import { describe, expect, it } from 'vitest';
import { skillCognition } from '../../src/cognition/cognition.ts';
import { fakeWorld, libraryFiles } from './fake-world.ts';
import { LOG, MEMORY, POD, TENANT, sparkFiles, sparkIncident } from './spark-story.ts';

const { investigate, plan } = skillCognition();

describe('the Spark driver story through skills alone', () => {
  it('finds the cause, cites narrow lines for it and against its rivals', async () => {
    const world = fakeWorld({ ...libraryFiles(), ...sparkFiles() });
    const findings = await investigate(world, sparkIncident());
    expect(findings).toMatchObject({
      conclusive: true,
      cause: 'The driver of nightly-settlement ran out of memory; 1g is too small for it.',
      confidence: 0.92,
      gaps: [],
      skill: { name: 'spark_driver_oom', version: 1 },
      facts: {
        job: 'nightly-settlement',
        driver_pod: 'nightly-settlement-driver',
        memory: '1g',
        new_memory: '2g',
      },
    });
    expect(findings.hypotheses.map((h) => [h.id, h.status])).toEqual([
      ['driver_memory_too_small', 'supported'],
      ['application_error', 'refuted'],
      ['node_memory_pressure', 'refuted'],
      ['executor_out_of_memory', 'refuted'],
    ]);
    const cited = findings.evidence.map((e) => [e.pointer.path, e.pointer.lines, e.role]);
    expect(cited).toContainEqual([`${POD}/status.yaml`, '7-7', 'precondition']);
    expect(cited).toContainEqual([
      `${TENANT}/jobs/settlement.nightly-settlement/spec.yaml`,
      '8-8',
      'precondition',
    ]);
    expect(cited).toContainEqual([LOG, '1-2', 'cause']);
    expect(cited).toContainEqual([MEMORY, '2-2', 'cause']);
    expect(new Set(findings.evidence.map((e) => e.id)).size).toBe(findings.evidence.length);
  });

  it('drafts the change of one field of one job, resting on control-plane facts', async () => {
    const world = fakeWorld({ ...libraryFiles(), ...sparkFiles() });
    const incident = sparkIncident();
    const findings = await investigate(world, incident);
    const result = await plan(world, incident, findings);
    if (!result.ok) throw new Error(result.refusal.reason);
    const { draft } = result;
    expect(draft.actions).toEqual([
      {
        tool: 'job.update_spec',
        target: 'mcp://k8s/prod-a/settlement/sparkapplication/nightly-settlement',
        params: { changes: [{ path: '/spec/driver/memory', value: '2g' }] },
        intent: 'Raise driver memory of nightly-settlement from 1g to 2g',
        preconditions: ['job_status', 'pod_status', 'job_spec'],
        rollback: { from: 'before_image' },
        timeout_s: 60,
      },
    ]);
    expect(draft.verify.map((check) => check.read)).toEqual([
      'read /teams/data/prod/jobs/settlement.nightly-settlement/status.yaml',
      'read /teams/data/prod/k8s/clusters/prod-a/namespaces/settlement/pods/nightly-settlement-driver/status.yaml',
      'read /teams/data/prod/metrics/pods/nightly-settlement-driver/memory.prom?window=1m',
    ]);
    expect(draft.alternatives).toHaveLength(3);
    expect(draft.alternatives.every((a) => a.evidence_against.length > 0)).toBe(true);
  });

  it('loads the index and one skill only, and asks with a reason each time', async () => {
    const world = fakeWorld({ ...libraryFiles(), ...sparkFiles() });
    await investigate(world, sparkIncident());
    expect(world.commands().slice(0, 2)).toEqual([
      'read /context/skills/_index.json',
      'read /context/skills/spark/spark_driver_oom.skill.yaml',
    ]);
    expect(world.commands().some((command) => command.includes('image_pull_backoff'))).toBe(false);
    expect(world.asked.every((request) => request.op === 'run' && request.why_needed.length > 0)).toBe(true);
  });
});
