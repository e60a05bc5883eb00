import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ids, Log } from '../../src/contract/ports.ts';
import { Secret } from '../../src/contract/secret.ts';
import { RecogniserService } from '../../src/contract/settings.ts';
import { McpUpstream } from '../../src/contract/system-mcp.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import type { GatewaySettings } from '../../src/gateway/pipeline/core.ts';
import { startHttpServer, type RunningServer } from '../../src/http-server.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { POLICIES_DIR } from './stage.ts';

/** A gateway with external MCP servers behind it and its relay listening: no cluster, no Vault. */
export interface RelayStage {
  readonly home: string;
  readonly store: Store;
  readonly gateway: Gateway;
  readonly http: RunningServer;
  readonly log_lines: string[];
  /** Moves time forward without waiting. */
  skip(ms: number): void;
  url(server: string): string;
  token(grant?: { team?: string; token_id?: string }): Promise<string>;
  /** A person looks at a server and approves all that it shows. */
  approve(server: string): Promise<void>;
  close(): Promise<void>;
}

export interface RelayStageOptions {
  /** As in `upstreams` of aegis.yaml. */
  readonly upstreams: Readonly<Record<string, unknown>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly policies_dir?: string;
  /** Address of a recogniser. */
  readonly recogniser?: string;
  readonly wrapStore?: (store: Store) => Store;
}

export async function startRelayStage(options: RelayStageOptions): Promise<RelayStage> {
  const home = mkdtempSync(join(tmpdir(), 'aegis-relay-'));
  let offset_ms = 0;
  const clock = { now: () => Date.now() + offset_ms };
  const ids: Ids = {
    next: (prefix) => `${prefix}_${randomBytes(16).toString('base64url')}`,
    secret: (bytes) => randomBytes(bytes).toString('base64url'),
  };
  const log_lines: string[] = [];
  const log = collectingLog(log_lines);
  const opened = await openStore({ home: join(home, 'state'), clock });
  const store = options.wrapStore?.(opened) ?? opened;
  const gateway = await createGateway({
    store,
    settings: {
      ...settingsWith(join(home, 'state'), options.upstreams),
      ...(options.recogniser === undefined
        ? {}
        : { recogniser: RecogniserService.parse({ url: options.recogniser }) }),
    },
    secrets: (ref) => new Secret(('env' in ref ? options.secrets?.[ref.env] : undefined) ?? ''),
    policies_dir: options.policies_dir ?? POLICIES_DIR,
    clock,
    ids,
    log,
  });
  const routes = gateway.relayRoutes('127.0.0.1');
  const http = await startHttpServer({ host: '127.0.0.1', port: 0, routes, log });
  return {
    home,
    store,
    gateway,
    http,
    log_lines,
    skip: (ms) => void (offset_ms += ms),
    url: (server) => `http://127.0.0.1:${http.port}/mcp/${server}`,
    async token({ team = 'data', token_id = ids.next('tok') } = {}) {
      const text = `agt_${ids.secret(24)}`;
      const expires_at_ms = clock.now() + 86_400_000;
      const grant = { token_id, principal: 'agent', incident_id: null, team, env: 'prod', expires_at_ms };
      await store.tokens.mint({ ...grant, action_class: 'read' }, text);
      return text;
    },
    async approve(server) {
      const looked = await gateway.lookAtUpstream(server);
      if (isRefusal(looked)) throw new Error(looked.reason);
      const pins = await store.upstream_pins.list(server);
      const shown = pins.flatMap(({ tool, seen }) => (seen === null ? [] : [{ tool, hash: seen.hash }]));
      if (!(await store.upstream_pins.approve(server, shown, 'cli:somebody')))
        throw new Error('not approved');
    },
    async close() {
      await http.close();
      await gateway.close();
      await store.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function settingsWith(home: string, upstreams: RelayStageOptions['upstreams']): GatewaySettings {
  const parsed = Object.fromEntries(
    Object.entries(upstreams).map(([name, upstream]) => [name, McpUpstream.parse(upstream)]),
  );
  const environment = (systems: string[]) => ({
    tier: 'tier1' as const,
    autonomy: 'approve' as const,
    activation: 'button' as const,
    channel: 'C0123',
    on_call: [],
    approval_policy: 'default',
    budget: { tokens_max: 1, tool_calls_max: 100, cost_usd_max: 1, minutes_max: 60 },
    change_window: null,
    mounts: [],
    systems: systems.map((name) => ({ system: 'mcp' as const, name, namespaces: [] })),
  });
  return {
    home,
    unsafe_endpoints: true,
    identity: [],
    clusters: {},
    sources: { loki: {}, prometheus: {} },
    databases: {},
    repositories: {},
    terraform: {},
    aws: {},
    upstreams: parsed,
    vault: undefined,
    services: [],
    teams: {
      data: { environments: { prod: environment(Object.keys(upstreams)) } },
      fraud: { environments: { prod: environment([]) } },
    },
  };
}

function collectingLog(lines: string[]): Log {
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push(JSON.stringify({ level, message, ...fields }));
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
