import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { loadConfig } from '../../src/config.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import type { AccessRule } from '../../src/lab/kubernetes/token-store.ts';
import { startStage, type Stage } from './stage.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

/** README, "Kubernetes": its snippets, pointed at the twin, with exactly the rights that it lists, really read and rehearse. */
const README = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
const SECTION = /^### Kubernetes\n([^]*?)^### /m.exec(README)?.[1] ?? '';
const snippets = [...SECTION.matchAll(/^```yaml( rbac)?\n([^]*?)^```$/gm)].map(([, kind, text]) => ({
  is_rbac: kind !== undefined,
  body: parse(text ?? '') as unknown,
}));
const configs = snippets.filter(({ is_rbac }) => !is_rbac).map(({ body }) => body as Record<string, unknown>);
const roles = (snippets.find(({ is_rbac }) => is_rbac)?.body ?? []) as {
  kind: string;
  metadata: { name: string };
  rules: AccessRule[];
}[];

const DEPLOYMENT = 'mcp://k8s/prod-1/spark-jobs/deployment/settlement-api';
const NODE = 'prod-1-worker-1';

let stage: Stage;
let dir = '';
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-readme-k8s-'));
  stage = await startStage();
});
afterAll(async () => {
  await stage.close();
  rmSync(dir, { recursive: true, force: true });
});

function rulesOf(name: string): AccessRule[] {
  const role = roles.find(({ metadata }) => metadata.name === name);
  if (role === undefined) throw new Error(`the README lists no role ${name}`);
  const where = role.kind === 'ClusterRole' ? { namespaces: ['*'] } : {};
  return role.rules.map((rule) => ({ ...rule, ...where }));
}

interface StandingCluster {
  readonly credentials: { readonly engine: string; readonly token: { readonly file: string } };
  server: string;
  ca_file?: string;
}

/** The configuration with standing tokens, as the README shows it; only the address, the CA and the file are ours. */
async function gatewayWith(rules: AccessRule[], nodes: readonly string[] = []): Promise<Gateway> {
  const standing = configs.find(
    (config) => JSON.stringify(config).includes('"engine":"token"') && 'clusters' in config,
  );
  const shown = Object.values(structuredClone(standing?.['clusters']) as Record<string, StandingCluster>);
  const cluster = shown.find(({ credentials }) => credentials.engine === 'token') as StandingCluster;
  const clusters = { 'prod-1': cluster };
  const { token: ref } = cluster.credentials;
  const { token } = stage.kubernetes.issueToken({ serviceAccount: 'aegis', namespace: 'spark-jobs', rules });
  writeFileSync(join(dir, ref.file), token, { mode: 0o600 });
  writeFileSync(join(dir, 'ca.pem'), stage.kubernetes.ca_pem);
  cluster.server = stage.kubernetes.url;
  cluster.ca_file = './ca.pem';
  const with_nodes = configs.find((config) => 'teams' in config);
  const teams = structuredClone(with_nodes?.['teams']) as {
    data: { environments: { prod: { mounts: { nodes: unknown }[] } } };
  };
  if (nodes.length > 0) Object.assign(teams.data.environments.prod.mounts[0] as object, { nodes });
  const example = parse(EXAMPLE_CONFIG) as Record<string, unknown>;
  const file = join(dir, 'aegis.yaml');
  writeFileSync(file, stringify({ ...example, vault: undefined, clusters, teams, unsafe_endpoints: true }));
  const { settings, secrets } = loadConfig(file, {});
  const { store, clock, ids } = stage;
  const quiet = () => undefined;
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  return createGateway({
    store,
    settings,
    secrets,
    clock,
    ids,
    log,
    policies_dir: join(import.meta.dirname, '../../policies'),
  });
}

const preview = async (gateway: Gateway, tool: string, target: string, params: Record<string, unknown>) => {
  const token = await stage.token();
  const answer = await gateway.preview({ token, tool, target, params, change_id: 'CHG-1', why: 'README' });
  return isRefusal(answer) ? `${answer.code}: ${answer.reason}` : answer.preview;
};
const CORDON = { changes: [{ path: '/spec/unschedulable', value: true }] };
const SCALE = { changes: [{ path: '/spec/replicas', value: 3 }] };

describe('README, Kubernetes', () => {
  it('has its snippets: three ways to a cluster, rights, nodes', () => {
    expect(configs.filter((config) => 'clusters' in config)).toHaveLength(3);
    expect(configs.filter((config) => 'teams' in config)).toHaveLength(1);
    expect(roles.map(({ metadata }) => metadata.name)).toEqual(['aegis-read', 'aegis-write', 'aegis-nodes']);
  });

  it('reads with the role that reads, and rehearses nothing with it', async () => {
    const gateway = await gatewayWith(rulesOf('aegis-read'));
    for (const target of [
      DEPLOYMENT,
      DEPLOYMENT.replace('deployment/settlement-api', 'resourcequota/spark-jobs-quota'),
    ]) {
      const token = await stage.token({ action_class: 'read' });
      const answer = await gateway.read({ token, tool: 'k8s.get', target, args: {}, why: 'README' });
      expect(isRefusal(answer) ? answer.reason : 'read').toBe('read');
    }
    expect(await preview(gateway, 'k8s.scale', DEPLOYMENT, SCALE)).toMatch(/^source-forbidden: /);
    await gateway.close();
  });

  it('rehearses changes of a Deployment with the role that writes, and no node with it', async () => {
    const gateway = await gatewayWith(rulesOf('aegis-write'), ['prod-1-worker-*']);
    expect(await preview(gateway, 'k8s.scale', DEPLOYMENT, SCALE)).toMatchObject({
      changes: [{ path: '/spec/replicas', before: 2, after: 3 }],
    });
    // The history can be read; that there is only one revision is all that is wrong.
    expect(await preview(gateway, 'k8s.rollout_undo', DEPLOYMENT, {})).toMatch(/no earlier revision/);
    const node = `mcp://k8s/prod-1/-/node/${NODE}`;
    expect(await preview(gateway, 'k8s.cordon', node, CORDON)).toMatch(/^source-forbidden: .*nodes/);
    await gateway.close();
  });

  it('rehearses a cordon and a drain with the cluster role, on nodes that the mount names', async () => {
    const rules = rulesOf('aegis-nodes');
    const named = await gatewayWith(rules);
    const node = `mcp://k8s/prod-1/-/node/${NODE}`;
    expect(await preview(named, 'k8s.cordon', node, CORDON)).toMatch(/^node-not-owned: /);
    await named.close();
    const gateway = await gatewayWith(rules, [NODE]);
    expect(await preview(gateway, 'k8s.cordon', node, CORDON)).toMatchObject({
      changes: [{ path: '/spec/unschedulable', before: false, after: true }],
    });
    for (const pod of stage.world.store.list('Pod'))
      if (pod.spec?.['nodeName'] === NODE && pod.metadata.namespace !== 'spark-jobs')
        stage.world.store.remove('Pod', pod.metadata.namespace, pod.metadata.name);
    const drained = await preview(gateway, 'k8s.drain', node, CORDON);
    expect(JSON.stringify(drained)).not.toContain('source-forbidden');
    await gateway.close();
    expect(stage.kubernetes.mutations()).toEqual([]);
  });
});
