import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseSkillText } from '../../src/cognition/skill-text.ts';

const GOOD = readFileSync(new URL('../../skills/spark/spark_driver_oom.skill.yaml', import.meta.url), 'utf8');

/** What each mistake in a skill is answered with. */
const MISTAKES: readonly (readonly [string, string, string, RegExp])[] = [
  [
    'an undeclared variable in a read',
    '$driver_pod.log',
    '$nobody.log',
    /reads\.driver_log: \$nobody is not declared/,
  ],
  [
    'an undeclared variable in a target',
    'sparkapplication/$job',
    'sparkapplication/$nobody',
    /\$nobody stands in a target/,
  ],
  [
    'an undeclared variable in a parameter',
    'value: $new_memory',
    'value: $nobody',
    /\$nobody is not declared/,
  ],
  [
    'an undeclared variable in a sentence',
    'intent: Raise driver memory of $job',
    'intent: Raise driver memory of $nobody',
    /\$nobody is not declared/,
  ],
  [
    'a variable as the kind of a target',
    '/sparkapplication/$job',
    '/$job/$job',
    /system and kind of a target are literal/,
  ],
  [
    'a variable as a part of a segment',
    'sparkapplication/$job',
    'sparkapplication/x-$job',
    /fills a whole segment/,
  ],
  ['a quantity in a target', 'sparkapplication/$job', 'sparkapplication/$memory', /declared with type name/],
  ['a target with a wrong number of segments', 'mcp://k8s/$cluster/', 'mcp://k8s/', /a target is mcp/],
  [
    'a read that is no pipeline',
    'grep "OutOfMemoryError|OOM" /teams',
    'grep "(" /teams',
    /reads\.driver_log/,
  ],
  ['a second command in a read', '--since 1h | tail', '--since 1h ; tail', /reads\.driver_log/],
  ['a pattern that is not RE2', "pattern: 'OutOfMemoryError|OOM'", "pattern: '(?=OOM)'", /not RE2/],
  ['a condition over an unknown read', 'read: memory\n', 'read: nobody\n', /there is no read nobody/],
  [
    'a plan for an unknown hypothesis',
    '- hypothesis: driver_memory_too_small',
    '- hypothesis: nobody',
    /there is no hypothesis nobody/,
  ],
  [
    'a plan that rests on logs only',
    'role: precondition',
    'role: cause',
    /no condition with role precondition/,
  ],
  [
    'a computation over a later variable',
    'of: [$memory]',
    'of: [$later]',
    /\$later is not declared before it/,
  ],
  ['an unknown key', 'guardrails:', 'powers: all\nguardrails:', /[Uu]nrecognized key/],
  ['a right to write', 'allow_write: false', 'allow_write: true', /allow_write/],
];

describe('a skill with a mistake is refused with the place', () => {
  it.each(MISTAKES)('%s', (_, from, to, problem) => {
    expect(GOOD).toContain(from);
    const parsed = parseSkillText(GOOD.replaceAll(from, to));
    expect(parsed.ok ? 'accepted' : parsed.reason).toMatch(problem);
  });

  it('names the line of a value that the schema refuses', () => {
    const line = GOOD.split('\n').findIndex((text) => text.includes('confidence: 0.92')) + 1;
    expect(parseSkillText(GOOD.replace('confidence: 0.92', 'confidence: 92'))).toMatchObject({
      ok: false,
      line,
    });
  });

  it('refuses aliases, tags, duplicate keys and files beyond the limit', () => {
    for (const text of [
      `${GOOD}\nx: &a 1\ny: *a`,
      GOOD.replace('version: 1', 'version: !!js/function 1'),
      `${GOOD}\nversion: 2`,
      `${GOOD}\n# ${'x'.repeat(200_000)}`,
    ])
      expect(parseSkillText(text).ok).toBe(false);
  });
});
