import { describe, expect, it } from 'vitest';
import { rankSkills, route } from '../../src/cognition/router.ts';
import { SkillIndexEntry } from '../../src/contract/skill.ts';
import { fakeWorld, libraryFiles } from './fake-world.ts';
import { sparkIncident } from './spark-story.ts';

function entry(skill: string, ...triggers: unknown[]): SkillIndexEntry {
  return SkillIndexEntry.parse({
    skill,
    version: 1,
    path: `a/${skill}.skill.yaml`,
    summary: skill,
    tags: [],
    triggers,
    sha256: 'a'.repeat(64),
  });
}

const names = (entries: SkillIndexEntry[], incident = sparkIncident()) =>
  rankSkills(entries, incident).map((r) => r.entry.skill);

describe('router', () => {
  it('reads the index only and puts the skill of the alert first', async () => {
    const world = fakeWorld(libraryFiles());
    const routed = await route(world, sparkIncident());
    expect(routed.ok && routed.ranked[0]).toMatchObject({
      entry: { skill: 'spark_driver_oom' },
      why: "the alert's name matches ^SparkApplicationFailed$",
    });
    expect(world.commands()).toEqual(['read /context/skills/_index.json']);
  });

  it('finds a skill for a question without any alert by its words', async () => {
    const asked = {
      ...sparkIncident({ title: 'spark job nightly-settlement keeps running out of memory' }),
      alerts: [],
    };
    const routed = await route(fakeWorld(libraryFiles()), asked);
    expect(routed.ok && routed.ranked.map((r) => r.entry.skill)).toEqual(['spark_driver_oom']);
  });

  it('wants all conditions of one trigger and any trigger of a skill', () => {
    const both = entry('both', { alert: 'Spark', labels: { app_name: '^other$' }, score: 1 });
    const any = entry('any', { alert: 'Nope', score: 1 }, { labels: { app_name: 'settle' }, score: 0.2 });
    expect(names([both, any])).toEqual(['any']);
  });

  it('ranks free text, which anybody can write, below an equal match of the alert name', () => {
    const text = entry('a_text', { text: 'FAILED', score: 0.9 });
    const alert = entry('b_alert', { alert: 'SparkApplicationFailed', score: 0.8 });
    expect(names([text, alert])).toEqual(['b_alert', 'a_text']);
  });

  it('does not mistake properties of objects for labels, and a bad pattern matches nothing', () => {
    expect(names([entry('proto', { labels: { constructor: '.*', toString: '.*' }, score: 1 })])).toEqual([]);
    expect(names([entry('bad', { alert: '(?=x)', score: 1 })])).toEqual([]);
  });

  it('takes a pattern that would ruin a backtracking engine', () => {
    const incident = sparkIncident({ title: `${'a'.repeat(299)}!` });
    const started = performance.now();
    names([entry('slow', { text: '(a+)+$', score: 1 })], incident);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it('refuses with a next step when the index is missing or is no index', async () => {
    expect(await route(fakeWorld({}), sparkIncident())).toMatchObject({ ok: false });
    for (const text of ['{"v":2,"skills":[]}', '{"v":1', '[]', '{"v":1,"skills":[],"extra":1}']) {
      const routed = await route(fakeWorld({ '/context/skills/_index.json': text }), sparkIncident());
      expect(routed).toMatchObject({
        ok: false,
        refusal: { code: 'skill-index-unreadable', remedy: 'Run `aegis skills index`.' },
      });
    }
  });
});
