import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Check } from '../../src/cli/doctor.ts';
import { doctor } from '../../src/cli/doctor.ts';
import { explainWorld, listWorld, readWorld } from '../../src/cli/read-world.ts';
import { labSecrets, writeLabFiles } from '../../src/lab/lab-config.ts';
import type { LabFiles } from '../../src/lab/lab-config.ts';
import { sparkDriverOom } from '../../src/lab/scenarios/spark-driver-oom.ts';
import { startTwins } from '../../src/lab/twins.ts';
import type { Twins } from '../../src/lab/twins.ts';
import { World } from '../../src/lab/world/world.ts';
import { inProcess, json } from './run-aegis.ts';

// The doctor and the reading verbs against every twin, with an ordinary configuration and no service running.

let dir = '';
let twins: Twins;
let files: LabFiles;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-doctor-'));
  const secrets = labSecrets();
  twins = await startTwins(
    new World({ clock: Date.now, seed: 'doctor', ...sparkDriverOom.world() }),
    secrets,
  );
  files = writeLabFiles(dir, twins, secrets, 0);
});
afterAll(async () => {
  await twins?.close();
  rmSync(dir, { recursive: true, force: true });
});

async function examine(
  config = files.config,
): Promise<{ code: number | null; checks: Check[]; of: (name: string) => Check | undefined }> {
  const ran = await inProcess(() => doctor({ config, json: true }));
  const checks = json(ran)['checks'] as Check[];
  return { code: ran.code, checks, of: (name) => checks.find((c) => c.check === name) };
}

/** The configuration with one change, beside the real one. */
function edited(edit: (text: string) => string): string {
  const file = join(dir, `edited-${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(file, edit(readFileSync(files.config, 'utf8')), { mode: 0o600 });
  return file;
}

describe('aegis doctor', () => {
  it('finds everything well, leases real credentials and leaves none behind', async () => {
    const { code, checks, of } = await examine();
    expect(checks.filter((c) => c.status !== 'ok')).toEqual([]);
    expect(code).toBe(0);
    for (const name of [
      'configuration',
      'secrets',
      'home',
      'ledger',
      'policies',
      'skills',
      'slack',
      'vault',
      'cluster prod-1',
      'loki main',
      'prometheus main',
      'credentials',
    ])
      expect(of(name), name).toBeDefined();
    expect(of('cluster prod-1')?.detail).toContain(
      'a credential was leased (vault_kubernetes), revoked, and is refused since',
    );
    expect(of('loki main')?.detail).toContain('it asks for no credential');
    expect(of('audit log of prod-1')).toMatchObject({ status: 'ok' });
    expect(twins.vault.outstanding().leases).toEqual([]);
  });

  it('prints a table for people', async () => {
    const { out } = await inProcess(() => doctor({ config: files.config }));
    expect(out).toMatch(/^CHECK +STATUS +FOUND$/m);
    expect(out).toContain('Everything that was asked is well.');
  });

  it('names a token of the wrong workspace, a cluster that refuses, a source that is away, each with a next step', async () => {
    const config = edited((text) =>
      text
        .replace(/workspace: T\w+/, 'workspace: T0ELSE')
        .replace('read_role: aegis-read', 'read_role: aegis-nope')
        .replace(twins.loki.url, 'http://127.0.0.1:1'),
    );
    const { code, of } = await examine(config);
    expect(code).toBe(1);
    expect(of('slack')).toMatchObject({ status: 'failed', detail: expect.stringContaining('T0ELSE') });
    expect(of('cluster prod-1')).toMatchObject({ status: 'failed' });
    expect(of('loki main')).toMatchObject({ status: 'failed' });
    expect(of('audit log of prod-1')).toMatchObject({ status: 'failed' });
    expect(of('prometheus main')).toMatchObject({ status: 'ok' });
    for (const name of ['slack', 'cluster prod-1', 'loki main']) expect(of(name)?.next, name).toBeTruthy();
  });

  it('says which credential nobody can revoke', async () => {
    const { token } = twins.kubernetes.issueToken({
      serviceAccount: 'standing',
      namespace: 'spark-jobs',
      rules: [{ verbs: ['get', 'list'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] }],
    });
    writeFileSync(join(dir, 'secrets', 'standing'), token, { mode: 0o600 });
    const config = edited((text) =>
      text.replace(
        /credentials:\n(?: {6}\w+: .*\n)+/,
        'credentials: { engine: token, token: { file: ./secrets/standing } }\n',
      ),
    );
    const { code, of } = await examine(config);
    expect([code, of('cluster prod-1')]).toEqual([
      0,
      { check: 'cluster prod-1', status: 'ok', detail: expect.stringContaining('(token) cannot be revoked') },
    ]);
  });

  it('fails when a credential is revoked and still accepted', async () => {
    const role = {
      allowed_kubernetes_namespaces: ['spark-jobs', 'fraud'],
      token_default_ttl_s: 600,
      token_max_ttl_s: 900,
    };
    twins.vault.addKubernetesRole('aegis-read', { ...role, service_account_name: 'aegis-stays' });
    const { code, of } = await examine();
    twins.vault.addKubernetesRole('aegis-read', { ...role, kubernetes_role_name: 'aegis-read' });
    expect([code, of('cluster prod-1')]).toEqual([
      1,
      {
        check: 'cluster prod-1',
        status: 'failed',
        detail: expect.stringContaining('(vault_kubernetes) and revoked, and the system still accepts it'),
        next: expect.stringContaining('instead of lending one that stays'),
      },
    ]);
  }, 60_000);

  it('says that Vault is sealed', async () => {
    twins.vault.seal();
    try {
      const { code, of } = await examine();
      expect(code).toBe(1);
      expect(of('vault')).toMatchObject({
        status: 'failed',
        detail: 'Vault is sealed',
        next: expect.stringContaining('unseal'),
      });
      expect(of('cluster prod-1')).toMatchObject({ status: 'failed' });
    } finally {
      await twins.vault.unseal();
    }
  });

  it('goes on after a broken policy set and names the file', async () => {
    const policies = join(dir, 'no-policies');
    const config = edited((text) => `${text}\npolicies_dir: ${policies}\n`);
    const { code, of } = await examine(config);
    expect(code).toBe(1);
    expect(of('policies')).toMatchObject({ status: 'failed', next: expect.stringContaining(policies) });
    expect(of('cluster prod-1')).toMatchObject({ status: 'failed' });
  });

  it('refuses a home that others can read, and asks nothing that needs it', async () => {
    const home = join(dir, 'home');
    chmodSync(home, 0o755);
    try {
      const { code, checks, of } = await examine();
      expect(code).toBe(1);
      expect(of('home')).toMatchObject({ status: 'failed', next: expect.stringContaining('chmod') });
      expect(checks.some((c) => c.check === 'slack')).toBe(false);
    } finally {
      chmodSync(home, 0o700);
    }
  });

  it('says each problem of the configuration, and each secret that is missing, by name only', async () => {
    const broken = await examine(
      edited((text) =>
        text.replace('autonomy: approve', 'autonomy: aprove').replace('tier: tier2', 'tier: gold'),
      ),
    );
    expect(broken.code).toBe(1);
    expect(broken.checks.map((c) => c.check)).toEqual(['configuration', 'configuration']);
    const missing = await examine(
      edited((text) => text.replace('./secrets/slack-bot-token', './secrets/nothing')),
    );
    expect(missing.of('secrets')).toMatchObject({
      status: 'failed',
      detail: expect.stringContaining('./secrets/nothing'),
    });
  });

  it('never prints a secret', async () => {
    const { out } = await inProcess(() => doctor({ config: files.config, json: true }));
    for (const name of [
      'slack-bot-token',
      'slack-signing-secret',
      'vault-role-id',
      'vault-secret-id',
      'alertmanager-secret',
    ])
      expect(out).not.toContain(readFileSync(join(dir, 'secrets', name), 'utf8'));
  });
});

describe('the reading verbs', () => {
  const options = () => ({ config: files.config });

  it('list, read and search the world, and exit 1 for what is not there', async () => {
    const list = await inProcess(() => listWorld(options(), '/teams/data/prod'));
    expect(list.out).toContain('logs/');
    const read = await inProcess(() =>
      readWorld(options(), 'read', ['/teams/data/prod/jobs/nightly-settlement/spec.yaml']),
    );
    expect(read.out).toContain('memory: 1g');
    const grep = await inProcess(() =>
      readWorld(options(), 'grep', [
        'OutOfMemory',
        '/teams/data/prod/logs/driver.log',
        '--since',
        '2h',
        '|',
        'tail',
        '-n',
        '1',
      ]),
    );
    expect(grep.out).toContain('java.lang.OutOfMemoryError');
    const missing = await inProcess(() => readWorld(options(), 'read', ['/teams/data/prod/nothing']));
    expect([missing.code, missing.err]).toEqual([1, expect.stringContaining('nothing at')]);
  });

  it('give JSON with a pointer, and keep a pattern with spaces and quotes in one piece', async () => {
    const words = ['Exception in thread "main"', '/teams/data/prod/logs/driver.log', '--since', '2h'];
    const capture = json(await inProcess(() => readWorld({ ...options(), json: true }, 'grep', words)));
    expect(capture['lines']).toEqual([expect.stringContaining('OutOfMemoryError')]);
    expect(capture['pointer']).toMatchObject({ sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  it('explain shows what the source is asked', async () => {
    const { out } = await inProcess(() =>
      explainWorld(options(), 'grep "OOM" /teams/data/prod/logs/driver.log --since 1h'),
    );
    expect(out).toContain('|= "OOM"');
  });
});
