import { sha256Hex } from '../contract/canonical.ts';
import type { SkillIndex, SkillIndexEntry } from '../contract/skill.ts';
import { parseSkillText } from './skill-text.ts';

/** A file of the skill library; `path` is relative to it, with `/`: `spark/spark_driver_oom.skill.yaml`. */
export interface SkillFile {
  readonly path: string;
  readonly text: string;
}

interface SkillFileProblem {
  readonly path: string;
  readonly line: number | null;
  readonly reason: string;
}

export type BuiltIndex =
  | { readonly ok: true; readonly index: SkillIndex }
  | { readonly ok: false; readonly problems: readonly SkillFileProblem[] };

/** Where a skill may lie: `<area>/<name>.skill.yaml`, plain names only, so that a path of the index is never syntax. */
export const SKILL_PATH = /^[a-z0-9][a-z0-9_-]{0,63}(\/[a-z0-9][a-z0-9_-]{0,63}){0,4}\.skill\.yaml$/;

/** The index over a whole library, sorted by skill; other files (runbooks) are left out. One bad skill refuses all. */
export function buildSkillIndex(files: readonly SkillFile[]): BuiltIndex {
  const problems: SkillFileProblem[] = [];
  const entries = new Map<string, SkillIndexEntry>();
  for (const { path, text } of files.filter((file) => file.path.endsWith('.skill.yaml'))) {
    const parsed = parseSkillText(text);
    const problem = (reason: string, line: number | null = null) => problems.push({ path, line, reason });
    if (!SKILL_PATH.test(path)) problem('use a path like spark/spark_driver_oom.skill.yaml');
    else if (!parsed.ok) problem(parsed.reason, parsed.line);
    else if (entries.has(parsed.skill.skill))
      problem(`${parsed.skill.skill} is already in ${entries.get(parsed.skill.skill)?.path}`);
    else {
      const { skill, version, summary, tags, triggers } = parsed.skill;
      entries.set(skill, { skill, version, path, summary, tags, triggers, sha256: sha256Hex(text) });
    }
  }
  if (problems.length > 0) return { ok: false, problems };
  const skills = [...entries.values()].sort((a, b) => (a.skill < b.skill ? -1 : 1));
  return { ok: true, index: { v: 1, skills } };
}

/** Text of `skills/_index.json`: one skill a line, so that `grep spark /context/skills/_index.json` finds whole entries. */
export function printSkillIndex(index: SkillIndex): string {
  const lines = index.skills.map((entry) => JSON.stringify(entry));
  return lines.length === 0 ? '{"v":1,"skills":[]}\n' : `{"v":1,"skills":[\n${lines.join(',\n')}\n]}\n`;
}
