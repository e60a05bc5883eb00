import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildSkillIndex, printSkillIndex, type SkillFile } from '../../src/cognition/skill-index.ts';
import { parseSkillText } from '../../src/cognition/skill-text.ts';
import type { Expectation } from '../../src/contract/expectation.ts';
import { SkillIndex } from '../../src/contract/skill.ts';

const ROOT = new URL('../../skills/', import.meta.url);

function library(): SkillFile[] {
  const paths = (readdirSync(ROOT, { recursive: true }) as string[]).filter((path) =>
    path.endsWith('.skill.yaml'),
  );
  return paths.map((path) => ({
    path: path.replaceAll('\\', '/'),
    text: readFileSync(new URL(path, ROOT), 'utf8'),
  }));
}

/** A check that old data could answer would be a success that nobody has shown. */
const isFresh = (expect: Expectation): boolean =>
  expect.fresh_select !== undefined || expect.fresh_lines === true;

describe('the skill library', () => {
  it('has a current index: run `aegis skills index` when this fails', () => {
    const built = buildSkillIndex(library());
    if (!built.ok) throw new Error(JSON.stringify(built.problems));
    expect(readFileSync(new URL('_index.json', ROOT), 'utf8')).toBe(printSkillIndex(built.index));
  });

  it('names runbooks that exist', () => {
    for (const { text } of library()) {
      const source = /source: (skills\/\S+\.md)/.exec(text)?.[1];
      if (source !== undefined) expect(existsSync(new URL(source.replace('skills/', ''), ROOT))).toBe(true);
    }
  });

  it('never lets a skill write by itself, and every plan checks its effect', () => {
    for (const { path, text } of library()) {
      const parsed = parseSkillText(text);
      if (!parsed.ok) throw new Error(`${path}: ${parsed.reason}`);
      expect(parsed.skill.guardrails).toMatchObject({ require_evidence: true, allow_write: false });
      for (const plan of parsed.skill.plans) {
        expect(plan.verify.length).toBeGreaterThan(0);
        expect(plan.verify.every((check) => isFresh(check.expect))).toBe(true);
      }
    }
  });

  it('prints an index that parses, one skill a line, sorted, whatever the order of the files', () => {
    const files = library();
    const [there, back] = [buildSkillIndex(files), buildSkillIndex(files.toReversed())];
    if (!there.ok) throw new Error('bad library');
    expect(back).toEqual(there);
    const text = printSkillIndex(there.index);
    expect(SkillIndex.parse(JSON.parse(text))).toEqual(there.index);
    expect(text.split('\n').filter((line) => line.includes('"skill":'))).toHaveLength(
      there.index.skills.length,
    );
    expect(printSkillIndex({ v: 1, skills: [] })).toBe('{"v":1,"skills":[]}\n');
  });

  it('refuses the whole library for one bad skill and names file and reason', () => {
    const [first] = library();
    const twin = { path: 'x/twin.skill.yaml', text: first?.text ?? '' };
    const bad = { path: 'x/bad.skill.yaml', text: 'schema: aegis.skill/v1\nskill: [' };
    const odd = { path: '../evil.skill.yaml', text: first?.text ?? '' };
    const built = buildSkillIndex([...library(), twin, bad, odd]);
    expect(built.ok).toBe(false);
    if (!built.ok)
      expect(built.problems.map((p) => p.path).sort()).toEqual([
        '../evil.skill.yaml',
        'x/bad.skill.yaml',
        'x/twin.skill.yaml',
      ]);
  });
});
