import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CredentialSource } from '../../src/contract/credentials.ts';
import { KubernetesCluster } from '../../src/contract/settings.ts';
import type { PolicyDocument } from '../../src/lab/vault/policy.ts';
import type { VaultTwin } from '../../src/lab/vault/vault-twin.ts';

/** What the README tells an operator to write, taken from there and from nowhere else. */
const README = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');

export function readmeBlocks(language: string): string[] {
  return [...README.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , text]) => text ?? '');
}

/** The cluster of the README whose credentials are of this engine, at another address. */
export function readmeCluster(
  engine: CredentialSource['engine'],
  place: { server: string; ca_file: string },
): KubernetesCluster {
  const clusters = readmeBlocks('yaml').flatMap((text) => {
    const { clusters: found } = parse(text) as {
      clusters?: Record<string, { credentials: { engine: string } }>;
    };
    return Object.values(found ?? {});
  });
  const cluster = clusters.find(({ credentials }) => credentials.engine === engine);
  if (cluster === undefined) throw new Error(`the README has no cluster with the engine ${engine}`);
  return KubernetesCluster.parse({ ...cluster, ...place });
}

/** Configures a Vault twin with the README's policies and command lines. Returns the commands that it understood. */
export function configureByReadme(vault: VaultTwin): string[] {
  for (const text of readmeBlocks('hcl')) {
    const name = /^# ([\w-]+)\.hcl/.exec(text)?.[1] ?? '';
    const rules = [...text.matchAll(/^path "([^"]+)"\s*\{ capabilities = (\[[^\]]+\]) \}$/gm)];
    if (rules.length !== text.split('\n').filter((line) => line.startsWith('path ')).length)
      throw new Error(`a rule of ${name} is not understood`);
    const path = Object.fromEntries(
      rules.map(([, pattern, list]) => [pattern, { capabilities: JSON.parse(list ?? '[]') as never }]),
    );
    vault.addPolicy(name, { path } satisfies PolicyDocument);
  }
  return readmeBlocks('bash').flatMap((text) =>
    text
      .split('\n')
      .filter((line) => line.startsWith('vault '))
      .map((line) => apply(vault, line)),
  );
}

function apply(vault: VaultTwin, line: string): string {
  const [, verb, path = '', ...rest] = line.split(' ');
  if (verb !== 'write') return line;
  const fields = Object.fromEntries(rest.map((pair) => pair.split('=') as [string, string]));
  const list = (name: string): string[] => (fields[name] ?? '').split(',').filter((item) => item !== '');
  const seconds = (name: string): number => {
    const [, count, unit] = /^(\d+)([smh])$/.exec(fields[name] ?? '') ?? [];
    return Number(count) * { s: 1, m: 60, h: 3600 }[unit as 's' | 'm' | 'h'];
  };
  const name = path.split('/').at(-1) ?? '';
  if (path.startsWith('auth/token/roles/'))
    vault.addTokenRole(name, {
      allowed_policies: list('allowed_policies'),
      orphan: fields['orphan'] === 'true',
      renewable: fields['renewable'] === 'true',
      token_explicit_max_ttl: seconds('token_explicit_max_ttl'),
      token_no_default_policy: fields['token_no_default_policy'] === 'true',
    });
  else if (path.startsWith('kubernetes/roles/'))
    vault.addKubernetesRole(name, {
      allowed_kubernetes_namespaces: list('allowed_kubernetes_namespaces'),
      kubernetes_role_name: fields['kubernetes_role_name'] ?? '',
      token_max_ttl_s: seconds('token_max_ttl'),
    });
  else if (path.startsWith('database/roles/'))
    vault.addDatabaseRole(name, { default_ttl_s: seconds('default_ttl'), max_ttl_s: seconds('max_ttl') });
  else if (path.startsWith('aws/roles/')) vault.addAwsRole(name, { role_arns: list('role_arns') });
  else if (path !== 'auth/approle/role/aegis') throw new Error(`the test does not understand: ${line}`);
  return line;
}
