import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { mcpRoute } from '../../src/gateway/endpoint.ts';
import { startHttpServer } from '../../src/http-server.ts';
import { createVfs } from '../../src/vfs/vfs.ts';
import { WIDE } from '../vfs/fixture.ts';
import { approvedPlan, execute } from './approved-plan.ts';
import { ENCODINGS, leaksIn } from './encodings.ts';
import { PLANTED, type Planted } from './planted-secrets.ts';
import { JOB, startStage, type Stage } from './stage.ts';
import { startToldSource, type ToldSource } from './told-source.ts';

// A hundred secrets of known shapes, planted wherever the outside or a caller can put text. Everything that came out is
// collected; at the end nothing of it, and not one byte of AEGIS_HOME, may hold one of them in any form.

const LOGS = 'mcp://loki/main/spark-jobs/query/-';
const METRICS = 'mcp://prometheus/main/spark-jobs/query/-';
const LOG = { debug() {}, info() {}, warn() {}, error() {} };

let stage: Stage;
/** The hostile server. */
let source: ToldSource;
/** Everything that left the gateway. */
const out: string[] = [];

beforeAll(async () => {
  source = await startToldSource();
  stage = await startStage({
    settings: (settings) => ({
      ...settings,
      sources: { loki: { main: source.settings }, prometheus: { main: source.settings } },
    }),
  });
});
afterAll(async () => {
  await stage.close();
  source.close();
});

interface Ask {
  readonly tool?: string;
  readonly target?: string;
  readonly args?: Record<string, unknown>;
  readonly why?: string;
}

async function read(ask: Ask = {}): Promise<unknown> {
  const found = await stage.gateway.read({
    token: await stage.token({ action_class: 'read' }),
    tool: ask.tool ?? 'loki.query_range',
    target: ask.target ?? LOGS,
    args: ask.args ?? logArgs('{app="x"}'),
    why: ask.why ?? 'leaks',
  });
  out.push(JSON.stringify(found));
  // Each door has its own limit of calls; the clock moves so that none is reached.
  stage.clock.skip(20_000);
  return found;
}

/** A good answer in between: the breaker opens after some bad ones, and then nothing is asked any more. */
async function well(): Promise<void> {
  source.answer = { status: 200, body: lokiLines(['fine']) };
  expect(isRefusal((await read()) as object)).toBe(false);
}

function logArgs(query: string): Record<string, unknown> {
  return {
    query,
    start_ns: '1795453000000000000',
    end_ns: '1795453900000000000',
    limit: 1000,
    direction: 'forward',
  };
}

function lokiLines(lines: readonly string[]): string {
  const values = lines.map((line, index) => [String(1_795_453_100_000_000_000n + BigInt(index)), line]);
  return JSON.stringify({
    status: 'success',
    data: { resultType: 'streams', result: [{ stream: { app: 'x', namespace: 'spark-jobs' }, values }] },
  });
}

function expectClean(found: unknown, planted: readonly Planted[] = PLANTED): void {
  expect(leaksIn(JSON.stringify(found), planted)).toEqual([]);
}

/** Everything since the last look. */
function expectAllClean(): void {
  expect(out.length).toBeGreaterThan(0);
  expect(leaksIn(out.splice(0).join('\n'), PLANTED)).toEqual([]);
}

/** Secrets in groups, for places that hold one text. */
function groups(count: number): Planted[][] {
  return Array.from({ length: Math.ceil(PLANTED.length / count) }, (_, n) =>
    PLANTED.slice(n * count, (n + 1) * count),
  );
}

describe('the table', () => {
  it('holds a hundred secrets or more, each other than the others', () => {
    expect(PLANTED.length).toBeGreaterThanOrEqual(100);
    expect(new Set(PLANTED.map(({ secret }) => secret)).size).toBe(PLANTED.length);
    expect(new Set(PLANTED.map(({ name }) => name)).size).toBe(PLANTED.length);
  });

  it('would be found if the gateway let it through', () => {
    for (const [name, encode] of Object.entries(ENCODINGS)) {
      if (/gzip|zlib|lines/.test(name)) continue;
      const missed = PLANTED.filter(
        (each) => leaksIn(JSON.stringify(encode(each.text)), [each]).length === 0,
      );
      expect(missed.map((each) => `${name}: ${each.name}`)).toEqual([]);
    }
  });
});

describe('log lines', () => {
  it.each(Object.keys(ENCODINGS))('%s', async (name) => {
    const encode = ENCODINGS[name] as (text: string) => string;
    const raw = PLANTED.map(({ text }) => encode(text));
    source.answer = {
      status: 200,
      body: lokiLines(raw.map((text) => `INFO worker said ${text} and went on`)),
    };
    const found = await read();
    expect(isRefusal(found as object)).toBe(false);
    expectClean(found);
    const shown = JSON.stringify(found);
    // Packed data shows no form of the secret: the run itself must be gone.
    expect(raw.filter((text, index) => text !== PLANTED[index]?.text && shown.includes(text))).toEqual([]);
    expect(shown.match(/INFO worker said/g)).toHaveLength(PLANTED.length);
  });

  it('cut in two, in consecutive entries', async () => {
    const own = PLANTED.filter(({ text, secret }) => text === secret && !secret.includes('\n'));
    for (const share of [0.3, 0.5, 0.8]) {
      const lines = own.flatMap(({ secret }) => {
        const at = Math.floor(secret.length * share);
        return [`INFO token ${secret.slice(0, at)}`, secret.slice(at), 'INFO next'];
      });
      source.answer = { status: 200, body: lokiLines(lines) };
      const found = (await read()) as { result: { entries: { line: string }[] } };
      const joined = found.result.entries.map(({ line }) => line).join('');
      expect(leaksIn(joined, own)).toEqual([]);
    }
  });

  it('a key of which each line is an entry', async () => {
    const keys = PLANTED.filter(({ name }) => name.startsWith('pem'));
    source.answer = { status: 200, body: lokiLines(keys.flatMap(({ text }) => text.split('\n'))) };
    expectClean(await read(), keys);
  });
});

describe('structured content', () => {
  it('of a cluster: annotations, lists, arguments, nested and named values', async () => {
    const annotations = Object.fromEntries(PLANTED.map(({ text }, n) => [`note-${n}`, text]));
    const keyed = Object.fromEntries(
      PLANTED.filter(({ text, secret }) => text === secret).map(({ secret }) => [secret, 'as a key']),
    );
    stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
      metadata: {
        annotations: { ...annotations, applied: JSON.stringify({ env: PLANTED.map(({ text }) => text) }) },
      },
      spec: { sparkConf: keyed, arguments: PLANTED.flatMap(({ text }) => ['--verbose', text]) },
    });
    const found = await read({ tool: 'k8s.get', target: JOB, args: {} });
    expect(isRefusal(found as object)).toBe(false);
    expectClean(found);
  });

  it('of a metric source: labels and their values', async () => {
    const series = PLANTED.map(({ text }, n) => ({
      metric: { pod: text, n: String(n) },
      value: [1_795_453_100, '1'],
    }));
    source.answer = {
      status: 200,
      body: JSON.stringify({ status: 'success', data: { resultType: 'vector', result: series } }),
    };
    const found = await read({
      tool: 'prom.query',
      target: METRICS,
      args: { query: 'up', time_s: 1_795_453_100 },
    });
    expect(isRefusal(found as object)).toBe(false);
    expectClean(found);
  });
});

describe('what a caller writes', () => {
  it('in the reason, the arguments and the query, which go into the audit', async () => {
    stage.clock.skip(600_000);
    source.answer = { status: 200, body: lokiLines(['fine']) };
    for (const group of groups(4)) {
      const words = group.map(({ text }) => text).join(' ');
      const query = `{app="x"} |= ${JSON.stringify(words)}`;
      expectClean(await read({ why: words, args: logArgs(query) }), group);
      expectClean(await read({ args: { ...logArgs('{app="x"}'), [words]: words } }), group);
    }
  });

  it('in the name of a tool, in a target, and through the MCP face', async () => {
    stage.clock.skip(600_000);
    const route = mcpRoute({
      gateway: stage.gateway,
      store: stage.store,
      settings: { ...stage.settings, http: { host: '127.0.0.1' } },
      clock: stage.clock,
      ids: stage.ids,
      log: LOG,
    });
    const server = await startHttpServer({ host: '127.0.0.1', port: 0, routes: [route], log: LOG });
    const client = new Client({ name: 'outside-agent', version: '1' });
    const authorization = `Bearer ${await stage.token({ action_class: 'read' })}`;
    try {
      await client.connect(
        new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${server.port}/mcp`), {
          requestInit: { headers: { authorization } },
        }),
      );
      source.answer = { status: 200, body: lokiLines(PLANTED.map(({ text }) => text)) };
      const args = logArgs('{app="x"}');
      const shown = await client.callTool({
        name: 'aegis_loki_query_range',
        arguments: { target: LOGS, why: 'leaks', args },
      });
      expect(JSON.stringify(shown)).toContain('REDACTED');
      out.push(JSON.stringify(shown));
      // A name has no surroundings: here only what is a secret by itself can be known. Longer names are cut.
      const own = PLANTED.filter((each) => each.text === each.secret && each.secret.length <= 90);
      for (const { text, secret } of own) {
        const asked = [
          client.callTool({ name: secret, arguments: {} }),
          client.callTool({
            name: 'aegis_loki_query_range',
            arguments: { target: text, why: text, [secret]: 1 },
          }),
        ];
        for (const said of await Promise.allSettled(asked)) out.push(JSON.stringify(said));
        await read({ tool: secret });
        await read({ target: secret });
      }
      expectAllClean();
    } finally {
      await client.close();
      await server.close();
    }
  }, 60_000);
});

describe('what an upstream says about an error', () => {
  it.each([400, 403, 404, 500, 503])('status %i, as text and as JSON', async (status) => {
    for (const group of groups(25)) {
      const words = group.map(({ text }) => text).join(' ');
      for (const body of [
        words,
        JSON.stringify({ status: 'error', error: words }),
        JSON.stringify({ message: words }),
      ]) {
        source.answer = { status, body };
        const refused = await read();
        expectClean(refused, group);
        expect(JSON.stringify(refused)).toContain(`answered ${status}`);
        await well();
      }
    }
  });

  it('is cut only after redaction: no half of a secret stays at the end', async () => {
    const token = PLANTED.find(({ name }) => name === 'github token') as Planted;
    for (const before of [470, 480, 490, 16_360, 16_370]) {
      source.answer = {
        status: 400,
        body: JSON.stringify({ message: `${'word '.repeat(before / 5)}${token.secret}` }),
      };
      const found = JSON.stringify(await read());
      expect(found).not.toContain(token.secret.slice(0, 8));
    }
  });

  it('instead of an answer: not JSON, and JSON of another kind', async () => {
    for (const group of groups(25))
      for (const body of [
        group.map(({ text }) => text).join('\n'),
        JSON.stringify(group.map(({ text }) => ({ text }))),
      ]) {
        source.answer = { status: 200, body };
        const refused = await read();
        expectClean(refused, group);
        expect(JSON.stringify(refused)).toContain('upstream-malformed');
        await well();
      }
  });
});

describe('a write', () => {
  const inTheObject = (patch: object): void => {
    stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', patch);
  };

  it('preview, diff, outcome, before-image and the conflict with what somebody put there', async () => {
    for (const group of groups(16)) {
      const words = group.map(({ text }) => text).join('\n');
      inTheObject({ spec: { driver: { memory: '1g', javaOptions: words } } });
      const approved = await approvedPlan(stage);
      out.push(JSON.stringify(approved.preview));
      inTheObject({ spec: { driver: { memory: words } } });
      const conflict = await execute(stage, approved);
      out.push(JSON.stringify(conflict));
      expect(JSON.stringify(conflict)).toContain('conflict');
      stage.clock.skip(60_000);
    }
    inTheObject({ spec: { driver: { memory: '1g' } } });
    const done = await execute(stage, await approvedPlan(stage));
    expect(done).toMatchObject({ outcome: { status: 'done' } });
    out.push(JSON.stringify(done));
    expectAllClean();
  }, 60_000);
});

describe('texts of the product: prompts, Slack, logs', () => {
  it('pass the same filter', () => {
    const shown = PLANTED.map(({ text }) => stage.gateway.redactText(`He wrote: ${text}`));
    expect(leaksIn(shown.join('\n'), PLANTED)).toEqual([]);
    expect(shown.every((text) => text.startsWith('He wrote: '))).toBe(true);
  });
});

describe('what stays', () => {
  it('is clean: ledger, evidence, log and every byte of AEGIS_HOME', async () => {
    const { store, gateway, settings, clock, ids } = stage;
    source.answer = { status: 200, body: lokiLines(PLANTED.map(({ text }) => text.replaceAll('\n', ' '))) };
    const vfs = createVfs({ store, gateway, settings, skills_dir: null, clock, ids, log: LOG });
    const session = {
      incident_id: 'INC-2026-1123-001',
      team: 'data',
      env: 'prod',
      opened_at_ms: 1_795_453_800_000,
      token: await stage.token({ action_class: 'read' }),
      budget: { round: WIDE, incident: WIDE },
    };
    const command = 'read /teams/data/prod/logs/pods/x.log';
    const response = await vfs.world(session).call({ op: 'run', command, why_needed: 'leaks' });
    expect(response).toMatchObject({ ok: true });
    out.push(JSON.stringify(response));
    const [captured] = await store.evidence.list('INC-2026-1123-001');
    const unsealed = await store.evidence.open(captured?.evidence_id ?? '');
    expect('text' in unsealed && unsealed.text).toContain('[REDACTED_');
    out.push(JSON.stringify(unsealed));

    expectAllClean();
    expect(leaksIn(stage.log_lines.join('\n'), PLANTED)).toEqual([]);
    const home = join(stage.home, 'state');
    const files = readdirSync(home, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(files.length).toBeGreaterThan(0);
    const bytes = files.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')).join('\n');
    expect(bytes).toContain('REDACTED');
    expect(leaksIn(bytes, PLANTED)).toEqual([]);
  }, 60_000);
});
