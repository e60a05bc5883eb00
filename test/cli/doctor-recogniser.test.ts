import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { recogniserChecks } from '../../src/cli/doctor-recogniser.ts';
import { RecogniserService, type Settings } from '../../src/contract/settings.ts';
import { startPresidioTwin, type PresidioTwin } from '../../src/lab/presidio/presidio-twin.ts';
import { namingPolicies } from '../gateway/naming-policies.ts';
import { POLICIES_DIR } from '../gateway/stage.ts';

/** The doctor's look at the service that takes names out. */
let twin: PresidioTwin;
const dirs: string[] = [];
beforeAll(async () => {
  twin = await startPresidioTwin({
    names: [
      { text: 'Maria Ortiz', entity_type: 'PERSON' },
      { text: 'Lisbon', entity_type: 'LOCATION' },
    ],
  });
});
afterAll(async () => {
  await twin.close();
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

function asks(more: object = {}): string {
  const dir = namingPolicies(more);
  dirs.push(dir);
  return dir;
}

async function look(url: string | null, policies_dir: string) {
  const recogniser = url === null ? {} : { recogniser: RecogniserService.parse({ url, timeout_ms: 1000 }) };
  return recogniserChecks({ unsafe_endpoints: true, ...recogniser } as Settings, policies_dir);
}

it('says nothing where none is configured', async () => {
  expect(await look(null, POLICIES_DIR)).toEqual([]);
});

it('asks for health, entities, and one sentence', async () => {
  const before = twin.requests().length;
  expect(await look(twin.url, asks())).toEqual([
    {
      check: 'recogniser',
      status: 'ok',
      detail: expect.stringMatching(
        /^twin-1 finds PERSON, LOCATION: "\[REDACTED_PERSON\] from \[REDACTED_LOCATION\] wrote .*" \(\d+ ms\)$/,
      ),
    },
  ]);
  const paths = twin
    .requests()
    .slice(before)
    .map(({ path }) => path);
  expect(paths).toEqual(['/health', '/supportedentities', '/analyze']);
});

it('says that a service which is up is asked for nothing', async () => {
  expect(await look(twin.url, POLICIES_DIR)).toMatchObject([{ status: 'skipped', next: expect.anything() }]);
});

it.each<[string, () => Promise<unknown>, RegExp, RegExp]>([
  ['is away', () => look('http://127.0.0.1:1', asks()), /cannot be reached/, /recogniser\.url/],
  [
    'does not know an entity',
    () => look(twin.url, asks({ entities: { PERSN: '[REDACTED_PERSON]' } })),
    /does not know the entity PERSN in the language en; did you mean "PERSON"\?/,
    /recogniser\.entities/,
  ],
  ['has no model of the language', () => look(twin.url, asks({ language: 'xx' })), /answered 500/, /a model/],
])('names a service that %s, and the next step', async (_name, ask, detail, next) => {
  expect(await ask()).toMatchObject([
    { status: 'failed', detail: expect.stringMatching(detail), next: expect.stringMatching(next) },
  ]);
});

it('names a service that finds no one, and one from before lists of texts', async () => {
  const blind = await startPresidioTwin({ names: [] });
  const old = await startPresidioTwin({ names: [], before_lists: true });
  expect(await look(blind.url, asks())).toMatchObject([
    { status: 'failed', detail: expect.stringContaining('finds no person') },
  ]);
  expect(await look(old.url, asks())).toMatchObject([
    { status: 'failed', next: expect.stringContaining('2.2.361 or newer') },
  ]);
  await Promise.all([blind.close(), old.close()]);
});
