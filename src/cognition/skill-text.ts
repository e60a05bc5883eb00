import { parseYamlText } from '../contract/parse.ts';
import { Skill } from '../contract/skill.ts';
import { lintSkill } from './skill-lint.ts';

const SKILL_LIMITS = { bytes_max: 131_072, depth_max: 20, keys_max: 5_000 } as const;

export type ParsedSkill =
  | { readonly ok: true; readonly skill: Skill }
  | { readonly ok: false; readonly reason: string; readonly line: number | null };

/** Text of a `.skill.yaml` -> a checked skill, or the first thing that is wrong with it and where. */
export function parseSkillText(text: string): ParsedSkill {
  const parsed = parseYamlText(text, SKILL_LIMITS);
  if (!parsed.ok) return { ok: false, reason: parsed.reason, line: parsed.line };
  const skill = Skill.safeParse(parsed.value);
  if (!skill.success) {
    const issue = skill.error.issues[0];
    const path = (issue?.path ?? []) as (string | number)[];
    const at = path.length === 0 ? '' : `${path.join('.')}: `;
    return { ok: false, reason: `${at}${issue?.message ?? 'not a skill'}`, line: parsed.line_of(path) };
  }
  const problem = lintSkill(skill.data)[0];
  return problem === undefined ? { ok: true, skill: skill.data } : { ok: false, reason: problem, line: null };
}
