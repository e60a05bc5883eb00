import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { policy } from '../../src/cli/policy.ts';
import { RecogniserService } from '../../src/contract/settings.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { startPresidioTwin, type PresidioTwin } from '../../src/lab/presidio/presidio-twin.ts';
import { inProcess, json } from '../cli/run-aegis.ts';
import { readmeBlocks } from './readme-blocks.ts';
import { hostile, startUpstreamStage, textOf } from './upstream-stage.ts';
import { POLICIES_DIR } from './stage.ts';

/** README, "Take names of people out": both snippets, with a twin of Presidio at another address. */
const README = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
const rules = /^```yaml redaction\n([^]*?)^```$/m.exec(README)?.[1] ?? '';
const config = readmeBlocks('yaml').find((text) => text.startsWith('recogniser:')) ?? '';

let dir = '';
let twin: PresidioTwin;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-readme-names-'));
  cpSync(POLICIES_DIR, join(dir, 'policies'), { recursive: true });
  appendFileSync(join(dir, 'policies', 'redaction.yaml'), rules);
  const names = ['Maya Ortiz', 'Kafka'].map((text) => ({ text, entity_type: 'PERSON' }));
  twin = await startPresidioTwin({ names });
});
afterAll(async () => {
  await twin.close();
  rmSync(dir, { recursive: true, force: true });
});

/** `aegis policy check` with an aegis.yaml that holds these sections besides the example. */
async function check(more: object) {
  const file = join(dir, 'aegis.yaml');
  const example = parse(EXAMPLE_CONFIG) as object;
  writeFileSync(file, stringify({ ...example, ...more, policies_dir: join(dir, 'policies') }));
  return inProcess(() => policy({ config: file, json: true }, 'check', undefined));
}

it('the two snippets go together; the rules alone are refused with file, line and what to do', async () => {
  expect((await check(parse(config) as object)).code).toBe(0);
  const alone = await check({});
  expect(alone.code).toBe(1);
  const [problem] = json(alone)['problems'] as { file: string; line: number; reason: string }[];
  const text = readFileSync(join(dir, 'policies', 'redaction.yaml'), 'utf8');
  expect(problem).toMatchObject({
    file: join(dir, 'policies', 'redaction.yaml'),
    line: text.split('\n').indexOf('recogniser:') + 1,
    reason: expect.stringContaining('add it there, or remove this block'),
  });
});

it('the commented block of the shipped rules is that of the README, word for word as YAML', () => {
  const shipped = readFileSync(join(POLICIES_DIR, 'redaction.yaml'), 'utf8');
  const block = /^# recogniser:\n(?:# .*\n?)+/m.exec(shipped)?.[0].replaceAll(/^# /gm, '') ?? '';
  expect(parse(block)).toEqual(parse(rules));
});

it('a name is gone, an allowed word stays', async () => {
  const { recogniser } = parse(config) as { recogniser: object };
  const stage = await startUpstreamStage(
    { good: hostile('good') },
    {
      policies_dir: join(dir, 'policies'),
      settings: (settings) => ({
        ...settings,
        recogniser: RecogniserService.parse({ ...recogniser, url: twin.url }),
      }),
    },
  );
  try {
    await stage.approve('good');
    const answer = await stage.call('good', 'look', { at: 'Kafka, said Maya Ortiz' });
    expect(isRefusal(answer)).toBe(false);
    expect(textOf(answer)).toBe('saw Kafka, said [REDACTED_PERSON]');
  } finally {
    await stage.close();
  }
});
