import { rmSync } from 'node:fs';
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RecogniserService } from '../../src/contract/settings.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { createVfs, type Vfs } from '../../src/vfs/vfs.ts';
import { startPresidioTwin, type PresidioTwin } from '../../src/lab/presidio/presidio-twin.ts';
import type { VfsSession } from '../../src/vfs/session.ts';
import { WIDE } from '../vfs/fixture.ts';
import { namingPolicies } from './naming-policies.ts';
import { call, connectRelay } from './relay-client.ts';
import { startRelayStage, type RelayStage } from './relay-stage.ts';
import { LENT, startRelayUpstream, type RelayUpstream } from './relay-upstream.ts';
import { JOB, POLICIES_DIR, startStage, type Stage } from './stage.ts';
import { startToldSource, type ToldSource } from './told-source.ts';
import { hostile, startUpstreamStage, textOf, type UpstreamStage } from './upstream-stage.ts';

// Every door through which outside data leaves: names are planted behind it, none comes out; without a recogniser nothing does.

const NAMES = [
  'Ana Silva',
  'Bo Ek',
  'José Ávila',
  '李雷',
  'data-platform',
  'page 4',
  'and',
  '/spec/driver/memory',
];
const LEAKS = /Ana Silva|Bo Ek|José Ávila|李雷/;
const LOGS = 'mcp://loki/main/spark-jobs/query/-';
const LOG = { debug() {}, info() {}, warn() {}, error() {} };

let twin: PresidioTwin;
let policies_dir: string;
beforeAll(async () => {
  policies_dir = namingPolicies();
  twin = await startPresidioTwin({
    names: [
      ...NAMES.map((text) => ({ text, entity_type: 'PERSON' })),
      { text: 'SparkContext', entity_type: 'PERSON' },
      { text: 'settlement window', entity_type: 'LOCATION' },
    ],
  });
});
afterEach(() => twin.faults.clear());
afterAll(async () => {
  await twin.close();
  rmSync(policies_dir, { recursive: true, force: true });
});
const service = () => RecogniserService.parse({ url: twin.url });
const down = (): void => void twin.faults.inject({ kind: 'status', status: 503 }, { times: Infinity });

describe('reads of a source', () => {
  let source: ToldSource;
  let stage: Stage;
  beforeAll(async () => {
    source = await startToldSource();
    stage = await startStage({
      policies_dir,
      settings: (settings) => ({
        ...settings,
        recogniser: service(),
        sources: { ...settings.sources, loki: { main: source.settings } },
      }),
    });
  });
  afterAll(async () => {
    await stage.close();
    source.close();
  });

  async function read(gateway = stage.gateway) {
    const found = await gateway.read({
      token: await stage.token({ action_class: 'read' }),
      tool: 'loki.query_range',
      target: LOGS,
      args: {
        query: '{app="x"}',
        start_ns: '1795453000000000000',
        end_ns: '1795453900000000000',
        limit: 1000,
        direction: 'forward',
      },
      why: 'names',
    });
    stage.clock.skip(20_000);
    return found;
  }
  const lines = (texts: readonly string[], labels: object = {}): string =>
    JSON.stringify({
      status: 'success',
      data: {
        resultType: 'streams',
        result: [
          {
            stream: { app: 'x', namespace: 'spark-jobs', ...labels },
            values: texts.map((line, n) => [String(1_795_453_100_000_000_000n + BigInt(n)), line]),
          },
        ],
      },
    });

  it('hold no name: in lines, in JSON inside of them, in labels; secrets are gone before anybody is asked', async () => {
    const before = twin.requests().length;
    source.answer = {
      status: 200,
      body: lines(
        [
          'INFO 😀 Ana Silva logged in from 203.0.113.9',
          '{"user":{"name":"José Ávila","mail":"jose@example.com"},"by":["Bo Ek"]}',
          '李雷 used password=hunter2hunter2',
          'all is well',
        ],
        { owner: 'Bo Ek' },
      ),
    };
    const found = await read();
    if (isRefusal(found)) throw new Error(found.reason);
    const shown = JSON.stringify(found.result);
    expect(shown).not.toMatch(LEAKS);
    expect(shown).toContain('INFO 😀 [REDACTED_PERSON] logged in from [REDACTED_IP]');
    expect(shown).toContain('[REDACTED_PERSON] used password=[REDACTED_SECRET]');
    expect(shown).toContain('all is well');
    // Three by the rules; of names four in lines and one in the labels of each of the four.
    expect(found.redactions).toBe(11);
    const asked = JSON.stringify(twin.requests().slice(before));
    expect(asked).toContain('Ana Silva');
    expect(asked).not.toMatch(/203\.0\.113|jose@|hunter2/);
  });

  it('that fail tell no name either, and keep their reason when the recogniser is down', async () => {
    source.answer = { status: 400, body: 'parse error near Ana Silva' };
    const found = await read();
    expect(found).toMatchObject({
      code: 'source-rejected',
      reason: expect.stringContaining('[REDACTED_PERSON]'),
    });
    down();
    source.answer = { status: 400, body: 'parse error near Bo Ek' };
    const again = await read();
    expect(again).toMatchObject({ code: 'source-rejected', reason: expect.stringContaining('[WITHHELD') });
    expect(JSON.stringify([found, again])).not.toMatch(LEAKS);
  });

  it('are refused while the recogniser is down: a value, an audit row, and nothing of the text anywhere', async () => {
    down();
    source.answer = { status: 200, body: lines(['a new line of Ana Silva and 李雷']) };
    const found = await read();
    expect(found).toMatchObject({
      allow: false,
      code: 'redaction-unavailable',
      reason: expect.stringMatching(
        /^The recogniser .*names could not be taken out and the answer was withheld\.$/,
      ),
    });
    const entries = await stage.store.ledger.read('INC-2026-1123-001', { limit: 10_000 });
    const [before, after, refusal] = entries.slice(-3);
    expect([before?.kind, after?.kind, refusal?.kind]).toEqual(['call', 'call', 'refusal']);
    expect(after?.payload).toMatchObject({ phase: 'after', status: 'failed' });
    expect(refusal?.payload).toMatchObject({ code: 'redaction-unavailable' });
    expect(JSON.stringify(entries) + stage.log_lines.join('\n')).not.toMatch(LEAKS);
  });

  it('carry the hash of rules with the recogniser in them', async () => {
    source.answer = { status: 200, body: lines(['all is well']) };
    const with_names = await read();
    const plain = await stage.beside({ policies_dir: POLICIES_DIR });
    const without = await read(plain.gateway);
    await plain.close();
    if (isRefusal(with_names) || isRefusal(without)) throw new Error('refused');
    expect(with_names.rules_hash).not.toBe(without.rules_hash);
  });
});

describe('previews', () => {
  let stage: Stage;
  let own_dir: string;
  beforeAll(async () => {
    own_dir = namingPolicies({ allow: ['/spec/driver/memory', 'and'] });
    stage = await startStage({
      policies_dir: own_dir,
      settings: (settings) => ({ ...settings, recogniser: service() }),
    });
  });
  afterAll(async () => {
    await stage.close();
    rmSync(own_dir, { recursive: true, force: true });
  });
  const preview = async (from: Stage = stage) =>
    from.gateway.preview({
      token: await from.token(),
      tool: 'job.update_spec',
      target: JOB,
      params: { changes: [{ path: '/spec/driver/memory', value: '2g' }] },
      change_id: 'CHG-1',
      why: 'names',
    });

  it('show the change without the names around it', async () => {
    const answer = await preview();
    if (isRefusal(answer)) throw new Error(answer.reason);
    expect(answer.preview.changes).toMatchObject([{ path: '/spec/driver/memory', after: '2g' }]);
    expect(JSON.stringify(answer.preview)).not.toContain('data-platform');
    expect(twin.requests().some(({ texts }) => texts.includes('data-platform'))).toBe(true);
  });

  it('are refused when a touched field would be shown as a mark, and while the recogniser is down', async () => {
    const strict = await stage.beside({ policies_dir });
    expect(await preview(strict)).toMatchObject({ code: 'effect-unshowable' });
    down();
    const fresh = await stage.beside({ policies_dir: own_dir });
    expect(await preview(fresh)).toMatchObject({ code: 'redaction-unavailable' });
    await Promise.all([strict.close(), fresh.close()]);
  });
});

describe('tools of an external server', () => {
  let stage: UpstreamStage;
  beforeAll(async () => {
    stage = await startUpstreamStage(
      { good: hostile('good') },
      { policies_dir, settings: (settings) => ({ ...settings, recogniser: service() }) },
    );
    await stage.approve('good');
  });
  afterAll(() => stage.close());

  it('answer without names, or not at all', async () => {
    expect(textOf(await stage.call('good', 'look', { at: 'Ana Silva' }))).toBe('saw [REDACTED_PERSON]');
    down();
    expect(await stage.call('good', 'look', { at: 'Bo Ek' })).toMatchObject({
      code: 'redaction-unavailable',
    });
  });
});

describe('the relay', () => {
  let upstream: RelayUpstream;
  let stage: RelayStage;
  beforeAll(async () => {
    upstream = await startRelayUpstream();
    const upstreams = { leaky: upstream.settings() };
    stage = await startRelayStage({ upstreams, secrets: { LENT }, policies_dir, recogniser: twin.url });
    await stage.approve('leaky');
  });
  afterAll(async () => {
    await stage.close();
    await upstream.close();
  });

  it('takes names out of hello, results, errors, log lines, progress, resources and prompts', async () => {
    const said: unknown[] = [];
    const { client } = await connectRelay(stage.url('leaky'), await stage.token(), {
      before: (one) =>
        one.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void said.push(params)),
    });
    said.push(client.getServerVersion(), client.getInstructions());
    said.push(await client.callTool({ name: 'leak' }, undefined, { onprogress: (step) => said.push(step) }));
    said.push(await call(client, 'tool_error'));
    await call(client, 'fail').catch((error: Error & { data?: unknown }) =>
      said.push(error.message, error.data),
    );
    said.push(await client.listResources(), await client.readResource({ uri: 'note://one' }));
    said.push(await client.listPrompts(), await client.getPrompt({ name: 'one' }));
    const all = JSON.stringify(said);
    expect(said.length).toBeGreaterThanOrEqual(11);
    expect(all).toContain('[REDACTED_CLOUD_KEY] [REDACTED_PERSON] [REDACTED_EMAIL]');
    expect(all).not.toMatch(/ and /);
    await client.close();
  });

  it('passes nothing on while the recogniser is down', async () => {
    const said: unknown[] = [];
    const { client } = await connectRelay(stage.url('leaky'), await stage.token(), {
      before: (one) =>
        one.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void said.push(params)),
    });
    down();
    // What was asked before is known; this is new.
    const asked = await call(client, 'ask', { method: 'roots/list' });
    expect(JSON.stringify(asked)).toMatch(/names could not be taken out/);
    expect(asked.isError).toBe(true);
    await client.close();
  });
});

describe('a log as a file', () => {
  const FILE = '/teams/data/prod/logs/pods/nightly-settlement-driver.log';
  let stage: Stage;
  let vfs: Vfs;
  let session: VfsSession;
  beforeAll(async () => {
    stage = await startStage({
      policies_dir,
      settings: (settings) => ({ ...settings, recogniser: service() }),
    });
    const { store, gateway, settings, clock, ids } = stage;
    vfs = createVfs({
      store,
      gateway,
      settings,
      skills_dir: null,
      clock,
      ids,
      log: LOG,
      redaction_marks: () => gateway.redactionMarks(),
    });
    const token = await stage.token({ action_class: 'read' });
    const budget = { round: WIDE, incident: WIDE };
    session = {
      incident_id: 'INC-2026-1123-001',
      team: 'data',
      env: 'prod',
      opened_at_ms: clock.now(),
      token,
      budget,
    };
  });
  afterAll(() => stage.close());

  it('has the same bytes pushed down and filtered afterwards', async () => {
    const iso = (ms: number): string => new Date(stage.clock.now() - ms).toISOString();
    const window = `--since ${iso(7_200_000)} --until ${iso(5000)}`;
    const read = async (command: string): Promise<readonly string[]> => {
      const response = await vfs.world(session).call({ op: 'run', command, why_needed: 'names' });
      if (!response.ok || response.op !== 'run') throw new Error(`${command}: ${JSON.stringify(response)}`);
      const stored = await vfs.readCaptured(response.capture.pointer, session);
      if (!('lines' in stored)) throw new Error(stored.reason);
      return stored.lines;
    };
    const whole = await read(`read ${FILE} ${window}`);
    expect(whole.length).toBeGreaterThan(50);
    expect(whole.join('\n')).toMatch(/\[REDACTED_PERSON\]: Submitted application/);
    expect(whole.join('\n')).toMatch(/\[REDACTED_LOCATION\]/);
    for (const text of [
      'SparkContext',
      'PERSON',
      'ERSO',
      'LOCATION',
      'RED',
      'INFO',
      'Submitted',
      'settlement window',
      'window',
      'OOM',
      'spark',
    ])
      expect(await read(`grep -F "${text}" ${FILE} ${window}`), text).toEqual(
        whole.filter((line) => line.includes(text)),
      );
    expect(await read(`grep -v -F "SparkContext" ${FILE} ${window}`)).toEqual(whole);
  });
});

describe('rules without a service', () => {
  it('are not in force, and say so', async () => {
    const stage = await startStage({ policies_dir });
    const found = await stage.gateway.read({
      token: await stage.token(),
      tool: 'k8s.get',
      target: JOB,
      args: {},
      why: 'names',
    });
    expect(found).toMatchObject({
      code: 'policy-not-in-force',
      reason: expect.stringMatching(
        /redaction\.yaml:\d+: recogniser: asks for names .* aegis\.yaml has no `recogniser` section/,
      ),
    });
    expect(stage.log_lines.join('\n')).toContain('aegis.yaml has no `recogniser` section');
    await stage.close();
  });
});
