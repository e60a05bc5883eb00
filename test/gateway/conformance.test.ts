import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFixtureServer } from './conformance/fixture-server.ts';
import { fixtureToolList } from './conformance/fixture-tools.ts';
import { startHeaderProxy, type HeaderProxy } from './conformance/header-proxy.ts';
import { runSuite, type SuiteRun } from './conformance/run-suite.ts';
import type { McpHttpServer } from './mcp-http-server.ts';
import { startRelayStage, type RelayStage } from './relay-stage.ts';

// The MCP conformance suite 0.1.13 as outside judge: a server scores the same behind the whole gateway (token, policy,
// audit, redaction) as without it, and Aegis' own client side passes what the suite asks of a client.

const PATIENCE_MS = 180_000;
/** What 0.1.13 checks of a server: 40 in its active suite, 4 more among its pending scenarios. */
const CHECKS = 44;

let fixture: McpHttpServer;
let stage: RelayStage;
let proxy: HeaderProxy;
let direct: SuiteRun;
let relayed: SuiteRun;

beforeAll(async () => {
  fixture = await startFixtureServer();
  const tools = Object.fromEntries(fixtureToolList().map(({ name }) => [name, 'read']));
  stage = await startRelayStage({
    upstreams: { fixture: { transport: 'http', url: fixture.url, relay: true, tools } },
  });
  await stage.approve('fixture');
  proxy = await startHeaderProxy(stage.url('fixture'), await stage.token());
  const suite = (url: string) => runSuite(['server', '--url', url, '--suite', 'all']);
  [direct, relayed] = await Promise.all([suite(fixture.url), suite(proxy.url)]);
}, PATIENCE_MS);

afterAll(async () => {
  await proxy.close();
  await stage.close();
  await fixture.close();
});

describe('the conformance suite against a server', () => {
  it('passes completely when it asks the server itself', () => {
    expect(direct.failures).toEqual([]);
    expect([direct.exit_code, direct.passed]).toEqual([0, CHECKS]);
  });

  it('gives the same score through the gateway, scenario by scenario and check by check', () => {
    expect(relayed.failures).toEqual([]);
    expect(judged(relayed)).toEqual(judged(direct));
    expect([relayed.exit_code, relayed.passed]).toEqual([0, CHECKS]);
  });

  it('really went through the gateway: each kind of call stands in the audit, before and after', async () => {
    const entries = await stage.store.ledger.read('SYSTEM', { kinds: ['call'], limit: 10_000 });
    const calls = entries.map(({ payload }) => payload);
    const kinds = [
      'initialize',
      'tools_list',
      'fixture.test_simple_text',
      'resources_read',
      'prompts_get',
      'completion_complete',
    ];
    for (const kind of kinds)
      for (const phase of ['before', 'after'])
        expect(calls).toContainEqual(
          expect.objectContaining({ tool: `mcp.${kind}`, phase, action_class: 'read', principal: 'agent' }),
        );
    expect(calls.filter(({ phase }) => phase === 'before')).toHaveLength(
      calls.filter(({ phase }) => phase === 'after').length,
    );
  });

  it('never saw the token of Aegis behind the gateway', () => {
    expect(fixture.seen_headers.length).toBeGreaterThan(0);
    for (const headers of fixture.seen_headers) expect(headers.authorization).toBeUndefined();
  });
});

describe('the conformance suite against Aegis’ own client side', () => {
  it.each(['initialize', 'tools_call'])(
    'passes completely: %s',
    async (scenario) => {
      const program = join(import.meta.dirname, 'conformance/link-client.ts');
      const command = `node --import tsx ${program}`;
      const run = await runSuite(['client', '--command', command, '--scenario', scenario]);
      expect(run.failures).toEqual([]);
      expect([run.exit_code, run.passed]).toEqual([0, 1]);
    },
    PATIENCE_MS,
  );
});

/** The checks that count; notes of the suite (how many events, in which pieces) are no judgement. */
function judged({ scenarios }: SuiteRun): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(scenarios).map(([name, checks]) => [
      name,
      checks.filter((check) => !check.endsWith(' INFO')),
    ]),
  );
}
