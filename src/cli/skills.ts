import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSkillIndex, printSkillIndex } from '../cognition/skill-index.ts';
import type { SkillFile } from '../cognition/skill-index.ts';
import { parseSkillText } from '../cognition/skill-text.ts';
import { nearest } from '../config-issue.ts';
import type { GlobalOptions } from './output.ts';
import { CliError, EXIT, print, table } from './output.ts';
import { skillFiles, skillLibrary, skillProblems } from './skill-library.ts';

const INDEX_FILE = '_index.json';

/** `aegis skills list|show|lint|index`: the library as its authors see it. Nothing here needs a running service. */
export function skills(options: GlobalOptions, action: string, name: string | undefined): void {
  const dir = skillLibrary(options);
  if (action === 'list') return list(options, dir);
  if (action === 'show') return show(options, dir, name);
  if (action === 'lint') return lint(options, dir, name);
  if (action === 'index') return index(options, dir);
  throw new CliError(`"${action}" is not a skills action; use list, show, lint or index`, EXIT.usage);
}

function list(options: GlobalOptions, dir: string): void {
  const built = buildSkillIndex(skillFiles(dir));
  if (!built.ok) throw new CliError(`${dir} has skills that cannot be loaded; run "aegis skills lint"`);
  const rows = built.index.skills.map((s) => [s.skill, String(s.version), s.path, s.summary]);
  print(
    options,
    { dir, skills: built.index.skills },
    table([['SKILL', 'VERSION', 'FILE', 'SUMMARY'], ...rows]),
  );
}

function show(options: GlobalOptions, dir: string, name: string | undefined): void {
  if (name === undefined)
    throw new CliError('name the skill; "aegis skills list" shows what there is', EXIT.usage);
  const file = find(skillFiles(dir), name);
  const parsed = parseSkillText(file.text);
  const runbook = file.path.replace(/\.skill\.yaml$/, '.md');
  const more = existsSync(join(dir, runbook)) ? `\n# For people: ${join(dir, runbook)}` : '';
  print(
    options,
    { path: join(dir, file.path), skill: parsed.ok ? parsed.skill : null },
    `# ${join(dir, file.path)}\n${file.text.trimEnd()}${more}`,
  );
}

function find(files: readonly SkillFile[], name: string): SkillFile {
  const names = files.map((f) => nameOf(f));
  const found = files[names.indexOf(name)];
  if (found !== undefined) return found;
  const near = nearest(name, names);
  throw new CliError(
    `there is no skill "${name}"${near === null ? '' : `; did you mean "${near}"?`} "aegis skills list" shows what there is`,
  );
}

/** By its own word when it can be read, else by its file name: a broken skill can still be shown and linted. */
function nameOf(file: SkillFile): string {
  const parsed = parseSkillText(file.text);
  return parsed.ok ? parsed.skill.skill : file.path.replace(/^.*\/|\.skill\.yaml$/g, '');
}

function lint(options: GlobalOptions, dir: string, name: string | undefined): void {
  const all = skillFiles(dir);
  const files = name === undefined ? all : [find(all, name)];
  const problems = files.flatMap((file) =>
    skillProblems(file.text).map((p) => ({
      file: join(dir, file.path),
      line: p.line ?? 1,
      reason: p.reason,
    })),
  );
  if (problems.length === 0) {
    // What only the library as a whole can have: two skills of one name, a path that is no skill path, an old index.
    const built = buildSkillIndex(all);
    if (!built.ok)
      for (const p of built.problems)
        problems.push({ file: join(dir, p.path), line: p.line ?? 1, reason: p.reason });
    else if (name === undefined && readIndex(dir) !== printSkillIndex(built.index))
      problems.push({
        file: join(dir, INDEX_FILE),
        line: 1,
        reason: 'is not the index of these skills; run "aegis skills index"',
      });
  }
  const text = problems.map((p) => `${p.file}:${p.line}: ${p.reason}`).join('\n');
  print(
    options,
    { checked: files.length, problems },
    text === '' ? `${files.length} skills are sound.` : text,
  );
  if (problems.length > 0) process.exitCode = EXIT.refused;
}

function readIndex(dir: string): string | null {
  return existsSync(join(dir, INDEX_FILE)) ? readFileSync(join(dir, INDEX_FILE), 'utf8') : null;
}

function index(options: GlobalOptions, dir: string): void {
  const built = buildSkillIndex(skillFiles(dir));
  if (!built.ok) {
    const first = built.problems[0];
    throw new CliError(
      `${join(dir, first?.path ?? '')}:${first?.line ?? 1}: ${first?.reason ?? 'not a skill'}. The index was not written; "aegis skills lint" shows everything`,
    );
  }
  const file = join(dir, INDEX_FILE);
  // Renamed into place: a running service reads the old index or the new one, never half of it.
  writeFileSync(`${file}.new`, printSkillIndex(built.index));
  renameSync(`${file}.new`, file);
  print(
    options,
    { written: file, skills: built.index.skills.length },
    `Wrote ${file}: ${built.index.skills.length} skills.`,
  );
}
