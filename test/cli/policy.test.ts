import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXAMPLE_CONFIG } from '../../src/cli/example-config.ts';
import { policy } from '../../src/cli/policy.ts';
import { loadPolicySet } from '../../src/gateway/policy/policy-set.ts';
import { aegis, inProcess, json } from './run-aegis.ts';

const SHIPPED = join(import.meta.dirname, '../../policies');

let root = '';
let dir = '';
let config = '';
let n = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'aegis-policy-cli-'));
});
afterAll(() => rmSync(root, { recursive: true }));
/** A fresh copy of the shipped policies that a configuration of its own names. */
beforeEach(() => {
  dir = join(root, `policies-${(n += 1)}`);
  cpSync(SHIPPED, dir, { recursive: true });
  config = join(root, `aegis-${n}.yaml`);
  writeFileSync(config, `${EXAMPLE_CONFIG}\npolicies_dir: ${dir}\n`);
});

const run = (action: string, file?: string, json_too = true) =>
  inProcess(() => policy({ config, json: json_too }, action, file));

/** 1-based line of the first line that begins so. */
function lineOf(file: string, start: string): number {
  return (
    readFileSync(join(dir, file), 'utf8')
      .split('\n')
      .findIndex((line) => line.startsWith(start)) + 1
  );
}

describe('policy check', () => {
  it('prints the digest that the gateway would record', async () => {
    const ran = await run('check');
    const { set } = await loadPolicySet(dir);
    expect([ran.code, json(ran)['digest'], json(ran)['rules']]).toEqual([0, set?.digest, set?.policy_ids]);
    expect((await run('check', undefined, false)).out).toContain(set?.digest);
  });

  it.each<[string, string, string, string, RegExp]>([
    [
      'a misspelt attribute',
      'x.cedar',
      '// why\n\n@id("x")\nforbid (principal, action, resource) when { context.freze };\n',
      '@id("x")',
      /freze/,
    ],
    [
      'a syntax error',
      'x.cedar',
      '@id("a")\nforbid (principal, action, resource) when { false };\n\n@id("b")\nforbid (principal, action\n resource);\n',
      '@id("b")',
      /unexpected token/,
    ],
    [
      'a name used twice',
      'x.cedar',
      '// why\n@id("secrets-never")\nforbid (principal, action, resource);\n',
      '@id("secrets-never")',
      /twice/,
    ],
    [
      'an unknown key',
      'guardrails.yaml',
      `${readFileSync(join(SHIPPED, 'guardrails.yaml'), 'utf8')}\nforbiden: 1\n`,
      '',
      /forbiden/,
    ],
    ['what is not YAML', 'redaction.yaml', 'v: 1\ndetectors: {\n', '', /not YAML/],
    [
      'a broken schema',
      'schema.cedarschema',
      'namespace Aegis {\n entity Tenant\n}\n',
      'namespace',
      /schema/,
    ],
    ['a policy without a name', 'x.cedar', 'forbid (principal, action, resource);\n', 'forbid', /@id/],
  ])('names file and line of %s, and exits 1', async (_what, file, text, start, reason) => {
    writeFileSync(join(dir, file), text);
    const ran = await run('check');
    const { problems, digest } = json(ran) as {
      digest: string | null;
      problems: { file: string; line: number; reason: string }[];
    };
    expect([ran.code, digest]).toEqual([1, null]);
    const found = problems.find((problem) => reason.test(problem.reason));
    expect(found?.file).toBe(join(dir, file));
    if (start === '') expect(found?.line).toBeGreaterThan(0);
    else expect(found?.line).toBe(lineOf(file, start));
    expect((await run('check', undefined, false)).out).toContain(`${found?.file}:${found?.line}: `);
  });

  it('does not call a set sound whose schema does not know what the gateway asks', async () => {
    const shipped = (name: string) => readFileSync(join(SHIPPED, name), 'utf8');
    // As the schema and the rules of an operator were before limited autonomy.
    writeFileSync(
      join(dir, 'schema.cedarschema'),
      shipped('schema.cedarschema').replace('      unattended: Bool,\n', ''),
    );
    writeFileSync(
      join(dir, 'write.cedar'),
      shipped('write.cedar').replace(/@id\("nobody-asked-only-when-limited"\)[^;]*;/, ''),
    );
    const ran = await run('check', undefined, false);
    expect([ran.code, ran.out]).toEqual([
      1,
      expect.stringMatching(
        /schema\.cedarschema:1: the gateway's question about "execute" .*`unattended`.*take the declaration over/,
      ),
    ]);
  });

  it('says that a directory that is not there allows nothing', async () => {
    rmSync(dir, { recursive: true });
    const ran = await run('check', undefined, false);
    expect([ran.code, ran.out]).toEqual([1, expect.stringMatching(/cannot read[^]*nothing is allowed/)]);
  });

  it('needs no configuration and no service for the shipped rules', async () => {
    const ran = await aegis(['--json', 'policy', 'check'], { cwd: root });
    expect([ran.code, json(ran)['dir']]).toEqual([0, SHIPPED]);
  });
});

describe('policy test', () => {
  it('runs every row of the shipped rules, and each rule decides one', async () => {
    const ran = await run('test');
    const { rows, failures, untested_rules } = json(ran);
    expect([ran.code, failures, untested_rules]).toEqual([0, [], []]);
    expect(rows).toBeGreaterThan(25);
  });

  it('prints a row that fails with its line and the rules that decided, and exits 1', async () => {
    appendFileSync(
      join(dir, 'read.cedar'),
      '\n@id("no-reads")\nforbid (principal, action == Aegis::Action::"read", resource);\n',
    );
    const ran = await run('test', undefined, false);
    expect(ran.code).toBe(1);
    const line = lineOf('tests/access.yaml', '  - { name: a read inside the own tenant');
    expect(ran.out).toContain(
      `${join(dir, 'tests/access.yaml')}:${line}: "a read inside the own tenant": expected allow, found deny by no-reads`,
    );
    expect(ran.out).toMatch(/\d+ of \d+ rows failed\./);
  });

  it('a right decision by the wrong rule is a failure; a rule that no row decides is named', async () => {
    appendFileSync(
      join(dir, 'read.cedar'),
      '\n@id("no-pods")\nforbid (principal, action, resource) when { resource.kind == "pod" };\n',
    );
    const file = join(dir, 'tests/mine.yaml');
    const [defaults] = readFileSync(join(dir, 'tests/access.yaml'), 'utf8').split(/^rows:/m);
    writeFileSync(
      file,
      `${defaults}rows:\n  - { name: secret, action: read, target: { kind: secret }, expect: deny, reasons: [own-tenant-only] }\n`,
    );
    const ran = await run('test');
    expect([ran.code, json(ran)]).toMatchObject([
      1,
      {
        failures: [
          {
            file,
            row: 'secret',
            reason: 'deny as expected, but by secrets-never instead of own-tenant-only',
          },
        ],
        untested_rules: ['no-pods'],
      },
    ]);
  });

  it.each<[string, string, RegExp]>([
    ['a key that no row has', 'defaults: {}\nrows: []\n', /mine\.yaml:\d+: defaults/],
    ['a fact that no request has', '', /is not a request: call/],
  ])('%s is named with its line, never passed over', async (_what, text, reason) => {
    const [defaults] = readFileSync(join(dir, 'tests/access.yaml'), 'utf8').split(/^rows:/m);
    const row = `${defaults}rows:\n  - { name: odd, action: read, call: { colour: blue }, expect: deny }\n`;
    writeFileSync(join(dir, 'tests/mine.yaml'), text === '' ? row : text);
    const ran = await run('test', undefined, false);
    expect([ran.code, ran.out + ran.err]).toEqual([1, expect.stringMatching(reason)]);
  });

  it('a set that does not load and a set without rows are failures', async () => {
    rmSync(join(dir, 'tests'), { recursive: true });
    expect(await run('test')).toMatchObject({ code: 1, err: expect.stringContaining('nothing was tested') });
    writeFileSync(join(dir, 'write.cedar'), 'permit (');
    expect(await run('test')).toMatchObject({ code: 1, err: expect.stringContaining('do not load') });
  });
});

describe('policy explain', () => {
  const request = {
    principal: { id: 'agent', tenant: 'data/prod', token_class: 'read', has_incident: false },
    target: { uri: 'mcp://k8s/prod-1/spark-jobs/pod/x', tenants: ['data/prod'] },
    call: { action: 'read', tool: 'k8s.get', action_class: 'read', env: 'prod', tier: 'tier2' },
  };
  const explained = async (value: unknown, json_too = true) => {
    const file = join(root, 'request.json');
    writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
    return run('explain', file, json_too);
  };

  it('says allow with the rule that decided and where it stands', async () => {
    const ran = await explained(request);
    const line = lineOf('read.cedar', '@id("read-own-tenant")');
    expect([ran.code, json(ran)]).toMatchObject([
      0,
      { decision: 'allow', rules: [{ id: 'read-own-tenant', file: join(dir, 'read.cedar'), line }] },
    ]);
  });

  it('says deny with every rule that forbids, and exits 1', async () => {
    const target = { uri: 'mcp://k8s/prod-1/fraud/secret/x', tenants: ['fraud/prod'] };
    const ran = await explained({ ...request, target }, false);
    expect([ran.code, ran.out]).toEqual([
      1,
      expect.stringMatching(/^deny: [^]*own-tenant-only[^]*secrets-never/),
    ]);
  });

  it('says when no rule allows it', async () => {
    const ran = await explained({ ...request, call: { ...request.call, action_class: 'write' } }, false);
    expect([ran.code, ran.out]).toEqual([1, expect.stringContaining('no rule allows it')]);
  });

  it('takes the owners of the target from aegis.yaml when the request names none', async () => {
    const owned = await explained({ ...request, target: { uri: request.target.uri } });
    const other = await explained({ ...request, target: { uri: 'mcp://k8s/prod-1/kube-system/pod/x' } });
    expect([json(owned)['decision'], json(owned)['target_tenants']]).toEqual(['allow', ['data/prod']]);
    expect([json(other)['decision'], json(other)['target_tenants']]).toEqual(['deny', []]);
  });

  it.each<[string, unknown, RegExp]>([
    ['what is not JSON', '{', /not JSON/],
    ['a missing fact', { ...request, call: { action: 'execute' } }, /call\./],
    ['an unknown fact', { ...request, colour: 'blue' }, /colour/],
  ])('%s is bad usage', async (_what, value, reason) => {
    const ran = await explained(value);
    expect([ran.code, ran.err]).toEqual([2, expect.stringMatching(reason)]);
  });

  it('no file, a file that is not there and an unknown action are bad usage', async () => {
    expect((await run('explain')).code).toBe(2);
    expect((await run('explain', join(root, 'none.json'))).err).toContain('ENOENT');
    expect((await run('improve')).code).toBe(2);
  });
});
