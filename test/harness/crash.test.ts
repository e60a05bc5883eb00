import { writeFileSync } from 'node:fs';
import { it } from 'vitest';
import { crashStory } from '../scenarios/crash-story.ts';
import { twoWriteSkills, twoWritesStory } from './two-writes-story.ts';
it('clean', async () => {
  const t = Date.now();
  const end = await crashStory({ points: [], story: twoWritesStory(twoWriteSkills()) });
  writeFileSync('/tmp/clean-ops', end.operations.join('\n'));
  console.log(Date.now() - t, JSON.stringify({ ...end, operations: end.operations.length, log: '' }));
}, 200_000);
