import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ATTACKS } from './attack-names.ts';

describe.each(Object.entries(ATTACKS))('attacks of %s', (file, names) => {
  const text = readFileSync(join(import.meta.dirname, file), 'utf8');
  /** Titles of tests, and the first column of their tables. */
  const titles = [...text.matchAll(/(?:\bit|\))\(\s*(['`])(.*?)\1|\[\s*'(.*?)',/g)].map(
    (m) => m[2] ?? m[3] ?? '',
  );

  it.each(names)('%s', (name) => {
    expect(titles.filter((title) => title.includes(name)).length).toBeGreaterThan(0);
  });
});
