import { describe, expect, it } from 'vitest';
import { investigate } from '../../src/cognition/investigator.ts';
import { plan } from '../../src/cognition/planner.ts';
import { sha256Hex } from '../../src/contract/canonical.ts';
import { SkillIndex } from '../../src/contract/skill.ts';
import { fakeWorld, libraryFiles, type FakeFile } from './fake-world.ts';
import { LOG, MEMORY, POD, TENANT, sparkFiles, sparkIncident } from './spark-story.ts';

const SPEC = `${TENANT}/jobs/settlement.nightly-settlement/spec.yaml`;
const STATUS = `${TENANT}/jobs/settlement.nightly-settlement/status.yaml`;

describe('what could not be read', () => {
  it('every single refused read ends in findings, never in an exception', async () => {
    const commands = await commandsOfStory();
    for (const refused of commands) {
      const world = fakeWorld(
        { ...libraryFiles(), ...sparkFiles() },
        { refuse: (command) => (command === refused ? 'Loki is down.' : null) },
      );
      const findings = await investigate(world, sparkIncident());
      expect(findings.gaps.join('\n')).toContain('Loki is down.');
      expect(findings.conclusive).toBe(/events\.tail|memory\.prom|quota/.test(refused));
    }
  });

  it('an optional read that is refused costs confidence and leaves its rival open', async () => {
    const world = fakeWorld(
      { ...libraryFiles(), ...sparkFiles() },
      { refuse: (c) => (/memory\.prom|events/.test(c) ? 'Not now.' : null) },
    );
    const findings = await investigate(world, sparkIncident());
    expect(findings.conclusive).toBe(true);
    expect(findings.confidence).toBeLessThan(0.92);
    expect(findings.hypotheses.find((h) => h.id === 'node_memory_pressure')?.status).toBe('open');
    const result = await plan(world, sparkIncident(), findings);
    expect(result.ok && result.draft.gaps.length).toBeGreaterThan(0);
  });

  it('a needed read that is refused ends the procedure: nothing further is asked', async () => {
    const world = fakeWorld(
      { ...libraryFiles(), ...sparkFiles() },
      { refuse: (c) => (c.includes('status.yaml') ? 'Outside your scope.' : null) },
    );
    const findings = await investigate(world, sparkIncident());
    expect(findings).toMatchObject({ conclusive: false, cause: null, confidence: 0 });
    expect(world.commands()).toHaveLength(3);
    expect(findings.gaps).toEqual([
      'Whether the job failed, and which pod was its driver: Outside your scope.',
      'Not looked at after that: pod_status, pod_events, driver_log, job_spec, memory, quota',
    ]);
  });

  it('without an index or without a matching skill the answer is "inconclusive" with the reason', async () => {
    expect(await investigate(fakeWorld({}), sparkIncident())).toMatchObject({
      conclusive: false,
      skill: null,
      evidence: [],
    });
    const other = await investigate(
      fakeWorld(libraryFiles()),
      sparkIncident({ alert: 'DiskFull', title: 'Disk full on db-1', annotations: {} }),
    );
    expect(other.gaps).toEqual(['No skill in the library knows "Disk full on db-1"; a person has to look.']);
  });

  it('throws only when it is aborted', async () => {
    const world = fakeWorld({ ...libraryFiles(), ...sparkFiles() });
    await expect(
      investigate(world, sparkIncident(), AbortSignal.abort(new Error('stopped'))),
    ).rejects.toThrow('stopped');
  });
});

describe('empty and long files', () => {
  it('an empty log is asked once more in a wider window and then neither proves nor refutes anything', async () => {
    const world = fakeWorld({ ...libraryFiles(), ...sparkFiles(), [LOG]: '' });
    const findings = await investigate(world, sparkIncident());
    expect(
      world
        .commands()
        .filter((c) => c.includes('.log'))
        .map((c) => /--since (\S+)/.exec(c)?.[1]),
    ).toEqual(['1h', '6h']);
    expect(findings.conclusive).toBe(false);
    expect(findings.hypotheses[0]).toMatchObject({ id: 'driver_memory_too_small', status: 'open' });
  });

  it('a state file that is longer than an answer is paged through, and cited as the one file that it is', async () => {
    const long = `${'# padding\n'.repeat(300)}${sparkFiles()[SPEC] as string}`;
    const world = fakeWorld({ ...libraryFiles(), ...sparkFiles(), [SPEC]: long });
    const findings = await investigate(world, sparkIncident());
    expect(findings).toMatchObject({ conclusive: true, facts: { memory: '1g' } });
    const cited = findings.evidence.find((e) => e.id === 'job_spec');
    expect(cited?.pointer).toMatchObject({
      lines: '308-308',
      query: `read ${SPEC}`,
      sha256: sha256Hex(long),
    });
  });

  it('a file that changes between its pages is not put together: no value, a gap, no plan', async () => {
    const long = `${'# padding\n'.repeat(300)}${sparkFiles()[SPEC] as string}`;
    const files: Record<string, FakeFile | string> = { ...libraryFiles(), ...sparkFiles(), [SPEC]: long };
    const changing = fakeWorld(files, {
      refuse: (command) => {
        if (command.includes('spec.yaml --lines')) files[SPEC] = long.replace('memory: 1g', 'memory: 64g');
        return null;
      },
    });
    const findings = await investigate(changing, sparkIncident());
    expect(findings.conclusive).toBe(false);
    expect(findings.facts).not.toHaveProperty('memory');
    expect(findings.gaps).toContain('job_spec: only the first 200 of 310 lines were looked at.');
  });

  it('a long file is asked for the lines that matter instead of being handed over', async () => {
    const events = [
      ...Array.from({ length: 29 }, (_, i) => `2026-11-23T13:05:0${i % 10}Z Normal Pulled`),
      '2026-11-23T13:11:00Z Warning Evicted The node was low on resource: memory',
    ];
    const files = {
      ...sparkFiles(),
      [`${POD}/events.tail`]: events.join('\n'),
      [MEMORY]: (sparkFiles()[MEMORY] as string).replaceAll('0.9957', '0.4'),
    };
    const world = fakeWorld({ ...libraryFiles(), ...files }, { lines_max: 12 });
    const findings = await investigate(world, sparkIncident());
    expect(world.commands().some((c) => c.includes('events.tail') && c.includes('| grep "Evicted'))).toBe(
      true,
    );
    expect(findings.hypotheses.find((h) => h.id === 'node_memory_pressure')?.status).toBe('supported');
  });

  it('a skill that is longer than an answer is paged through', async () => {
    const world = fakeWorld({ ...libraryFiles(), ...sparkFiles() }, { lines_max: 50 });
    expect((await investigate(world, sparkIncident())).conclusive).toBe(true);
    expect(world.commands()).toContain(
      'read /context/skills/spark/spark_driver_oom.skill.yaml --lines 51-100',
    );
  });
});

describe('other endings of the same alert', () => {
  it('a driver that failed by itself is diagnosed, and there is no plan for it', async () => {
    const files = sparkFiles();
    files[`${POD}/status.yaml`] = (files[`${POD}/status.yaml`] as string)
      .replace('OOMKilled', 'Error')
      .replace('137', '1');
    files[LOG] = 'Exception in thread "main" java.lang.IllegalStateException: OOM guard tripped';
    const world = fakeWorld({ ...libraryFiles(), ...files });
    const findings = await investigate(world, sparkIncident());
    expect(findings.cause).toContain('ended with an error of its own');
    expect(await plan(world, sparkIncident(), findings)).toMatchObject({
      ok: false,
      refusal: { code: 'diagnosis-only' },
    });
  });

  it('a job that somebody has already run again is not touched', async () => {
    const files = sparkFiles();
    files[STATUS] = (files[STATUS] as string).replace('state: FAILED', 'state: RUNNING');
    const findings = await investigate(fakeWorld({ ...libraryFiles(), ...files }), sparkIncident());
    expect(findings.conclusive).toBe(false);
    expect(findings.hypotheses[0]?.status).toBe('refuted');
  });
});

describe('the library', () => {
  it('refuses a skill whose text is not the indexed one', async () => {
    const files = libraryFiles();
    const path = '/context/skills/spark/spark_driver_oom.skill.yaml';
    files[path] = (files[path] as string).replace('/spec/driver/memory', '/spec/image');
    const findings = await investigate(fakeWorld({ ...files, ...sparkFiles() }), sparkIncident());
    expect(findings.conclusive).toBe(false);
    expect(findings.gaps.join()).toContain('its text is not the one that was indexed');
  });

  it('refuses an index entry that points outside the library', async () => {
    const files = libraryFiles();
    const index = SkillIndex.parse(JSON.parse(files['/context/skills/_index.json'] as string));
    const entry = index.skills.find((s) => s.skill === 'spark_driver_oom');
    if (entry !== undefined) entry.path = '../../teams/fraud/prod/jobs/payroll/spec.yaml';
    const world = fakeWorld({
      ...files,
      '/context/skills/_index.json': JSON.stringify(index),
      ...sparkFiles(),
    });
    const findings = await investigate(world, sparkIncident());
    expect(findings.gaps.join()).toContain('not a skill path');
    expect(world.commands().join()).not.toContain('fraud');
  });

  it('refuses to plan with another version of the skill than the findings rest on', async () => {
    const world = fakeWorld({ ...libraryFiles(), ...sparkFiles() });
    const findings = await investigate(world, sparkIncident());
    const result = await plan(world, sparkIncident(), {
      ...findings,
      skill: { name: 'spark_driver_oom', version: 7 },
    });
    expect(result).toMatchObject({ ok: false, refusal: { code: 'skill-changed' } });
  });

  it('accepts the indexed bytes with or without their last newline', () => {
    const files = libraryFiles();
    const index = SkillIndex.parse(JSON.parse(files['/context/skills/_index.json'] as string));
    for (const entry of index.skills)
      expect(sha256Hex(files[`/context/skills/${entry.path}`] as string)).toBe(entry.sha256);
  });
});

async function commandsOfStory(): Promise<string[]> {
  const world = fakeWorld({ ...libraryFiles(), ...sparkFiles() });
  await investigate(world, sparkIncident());
  return world.commands();
}
