import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { configPath, loadConfig } from '../config.ts';
import type { SkillFile } from '../cognition/skill-index.ts';
import { lintSkill } from '../cognition/skill-lint.ts';
import { parseYamlText } from '../contract/parse.ts';
import { Skill } from '../contract/skill.ts';
import { skillsDir } from '../package-paths.ts';
import type { GlobalOptions } from './output.ts';

/** Largest number of files in a library, and how deep its folders go. */
const FILES_MAX = 5000;
const DEPTH_MAX = 5;

/** The library that the configuration names, or the one that ships; it can be read without any configuration. */
export function skillLibrary(options: GlobalOptions): string {
  const file = configPath(options.config);
  return skillsDir(options.config !== undefined || existsSync(file) ? loadConfig(file).settings : {});
}

/** Every skill file below a folder; paths are relative to it, with `/`. @throws when the folder cannot be read. */
export function skillFiles(dir: string): SkillFile[] {
  const found: SkillFile[] = [];
  const visit = (folder: string, depth: number): void => {
    for (const entry of readdirSync(join(dir, folder), { withFileTypes: true })) {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory() && depth < DEPTH_MAX) visit(path, depth + 1);
      else if (entry.isFile() && entry.name.endsWith('.skill.yaml') && found.length < FILES_MAX)
        found.push({ path, text: readFileSync(join(dir, path), 'utf8') });
    }
  };
  visit('', 0);
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

export interface SkillProblem {
  readonly line: number | null;
  readonly reason: string;
}

/** Everything that is wrong with one skill, each with its line: an author wants all of it at once. */
export function skillProblems(text: string): SkillProblem[] {
  const parsed = parseYamlText(text);
  if (!parsed.ok) return [{ line: parsed.line, reason: parsed.reason }];
  const skill = Skill.safeParse(parsed.value);
  if (!skill.success)
    return skill.error.issues.map((issue) => {
      const path = issue.path.filter((part): part is string | number => typeof part !== 'symbol');
      const at = issue.code === 'unrecognized_keys' ? [...path, issue.keys[0] ?? ''] : path;
      const place = path.length === 0 ? '' : `${path.join('.')}: `;
      return { line: parsed.line_of(at), reason: `${place}${issue.message}` };
    });
  return lintSkill(skill.data).map((reason) => ({
    line: parsed.line_of(placeOf(reason, parsed.value)),
    reason,
  }));
}

/** The lint names places by id (`hypotheses.driver_oom.when[0]: ...`); this is the path of that place in the file. */
function placeOf(reason: string, root: unknown): (string | number)[] {
  const words = (reason.split(':')[0] ?? '').split(/[.[\]]+/).filter((word) => word !== '');
  const path: (string | number)[] = [];
  let node = root;
  for (const word of words) {
    const step = Array.isArray(node) ? indexOf(node, word) : word;
    if (step === null || typeof node !== 'object' || node === null || !(step in node)) break;
    path.push(step);
    node = (node as Record<string | number, unknown>)[step];
  }
  return path;
}

function indexOf(list: readonly unknown[], word: string): number | null {
  if (/^\d+$/.test(word)) return Number(word);
  const named = list.findIndex((item) => {
    const { id, name, hypothesis } = (item ?? {}) as { id?: unknown; name?: unknown; hypothesis?: unknown };
    return id === word || name === word || hypothesis === word;
  });
  return named === -1 ? null : named;
}
