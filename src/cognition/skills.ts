import { sha256Hex } from '../contract/canonical.ts';
import { parseJsonText } from '../contract/parse.ts';
import { SkillIndex, type Skill, type SkillIndexEntry } from '../contract/skill.ts';
import { refuse, type Refusal } from '../contract/verdict.ts';
import type { World } from '../contract/world.ts';
import { readWhole } from './reading.ts';
import { SKILL_PATH } from './skill-index.ts';
import { parseSkillText } from './skill-text.ts';

/** The skill library as cognition sees it: the index first, one skill's text only when the router has chosen it. */
const SKILL_INDEX_PATH = '/context/skills/_index.json';

const INDEX_LIMITS = { bytes_max: 4_194_304, depth_max: 8, keys_max: 200_000 } as const;

export type IndexResult =
  { readonly ok: true; readonly index: SkillIndex } | { readonly ok: false; readonly refusal: Refusal };
export type SkillResult =
  { readonly ok: true; readonly skill: Skill } | { readonly ok: false; readonly refusal: Refusal };

export async function loadIndex(world: World, signal?: AbortSignal): Promise<IndexResult> {
  const document = await readWhole(
    world,
    SKILL_INDEX_PATH,
    'Which procedures exist for this kind of incident',
    signal,
  );
  if (!document.ok) return document;
  const parsed = parseJsonText(document.capture.lines.join('\n'), INDEX_LIMITS);
  const index = parsed.ok ? SkillIndex.safeParse(parsed.value) : null;
  if (index?.success) return { ok: true, index: index.data };
  const detail = parsed.ok ? 'it does not have the form of an index' : parsed.reason;
  return {
    ok: false,
    refusal: refuse(
      'skill-index-unreadable',
      `The skill index cannot be used: ${detail}.`,
      'Run `aegis skills index`.',
    ),
  };
}

/** Loads one skill strictly: its bytes are the indexed ones, its schema and cross-references hold. */
export async function loadSkill(
  world: World,
  entry: SkillIndexEntry,
  signal?: AbortSignal,
): Promise<SkillResult> {
  const refusal = (code: string, reason: string): SkillResult => ({
    ok: false,
    refusal: refuse(
      code,
      `Skill ${entry.skill} cannot be used: ${reason}.`,
      'Run `aegis skills lint`, then `aegis skills index`.',
    ),
  });
  if (!SKILL_PATH.test(entry.path))
    return refusal('skill-path-invalid', 'its path in the index is not a skill path');
  const why = `Procedure for: ${entry.summary}`.slice(0, 500);
  const document = await readWhole(world, `/context/skills/${entry.path}`, why, signal);
  if (!document.ok) return document;
  const text = document.capture.lines.join('\n');
  // Captured lines carry no final newline; the index hashes the file's bytes.
  if (![text, `${text}\n`].some((bytes) => sha256Hex(bytes) === entry.sha256))
    return refusal('skill-index-stale', 'its text is not the one that was indexed');
  const parsed = parseSkillText(text);
  if (!parsed.ok)
    return refusal(
      'skill-invalid',
      `${parsed.reason}${parsed.line === null ? '' : ` (line ${parsed.line})`}`,
    );
  if (parsed.skill.skill !== entry.skill || parsed.skill.version !== entry.version)
    return refusal('skill-index-stale', 'name and version are not the indexed ones');
  return { ok: true, skill: parsed.skill };
}
