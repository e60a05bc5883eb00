import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseYamlText } from '../../src/contract/parse.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import type { AuthorizationRequest } from '../../src/gateway/policy/authorizer.ts';
import { loadPolicySet, type PolicySet } from '../../src/gateway/policy/policy-set.ts';
import { JOB, POLICIES_DIR, startStage } from './stage.ts';

const Facts = z.record(z.string(), z.unknown());
const Rows = z.strictObject({
  defaults: z.strictObject({ principal: Facts, target: Facts, read: Facts, preview: Facts, execute: Facts }),
  rows: z.array(
    z.strictObject({
      name: z.string(),
      action: z.enum(['read', 'preview', 'execute']),
      principal: Facts.optional(),
      target: Facts.optional(),
      call: Facts.optional(),
      expect: z.enum(['allow', 'deny']),
      reasons: z.array(z.string()).optional(),
    }),
  ),
});
const text = parseYamlText(readFileSync(join(POLICIES_DIR, 'tests/access.yaml'), 'utf8'));
const { defaults, rows } = Rows.parse(text.ok ? text.value : null);

describe('the shipped policies', () => {
  let set: PolicySet;
  const decided = new Set<string>();
  beforeAll(async () => {
    const loaded = await loadPolicySet(POLICIES_DIR);
    expect(loaded.problems).toEqual([]);
    set = loaded.set as PolicySet;
  });

  it.each(rows.map((row) => [`${row.expect} ${row.name}`, row] as const))('%s', (_title, row) => {
    const answer = set.authorizer.decide({
      principal: { id: 'aegis', ...defaults.principal, ...row.principal },
      target: { uri: JOB, name: 'x', ...defaults.target, ...row.target },
      call: { action: row.action, ...defaults[row.action], ...row.call },
    } as AuthorizationRequest);
    expect(answer.errors).toEqual([]);
    expect(answer.allow ? 'allow' : 'deny').toBe(row.expect);
    if (row.reasons !== undefined) expect(answer.reasons).toEqual([...row.reasons].sort());
    for (const reason of answer.reasons) decided.add(reason);
  });

  it('every rule decided at least one row', () => {
    expect(set.policy_ids.filter((id) => !decided.has(id))).toEqual([]);
  });

  it('a request that does not fit the schema is a deny', () => {
    const call = { action: 'read', ...defaults.read, tier: 3 };
    const request = {
      principal: { id: 'a', ...defaults.principal },
      target: { uri: JOB, ...defaults.target },
      call,
    } as unknown as AuthorizationRequest;
    expect(set.authorizer.decide(request)).toMatchObject({
      allow: false,
      errors: [expect.stringContaining('not valid')],
    });
  });
});

describe('a set that does not load is not in force', () => {
  let dir = '';
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  function broken(change: (dir: string) => void): string {
    dir = mkdtempSync(join(tmpdir(), 'aegis-policies-'));
    cpSync(POLICIES_DIR, dir, { recursive: true });
    change(dir);
    return dir;
  }

  it.each<[string, (d: string) => void, RegExp]>([
    ['a syntax error', (d) => writeFileSync(join(d, 'write.cedar'), 'permit ('), /write\.cedar/],
    [
      'a misspelt attribute',
      (d) =>
        writeFileSync(
          join(d, 'x.cedar'),
          '@id("x") forbid (principal, action, resource) when { context.freze };',
        ),
      /freze/,
    ],
    [
      'a policy without a name behind a named one',
      (d) =>
        writeFileSync(
          join(d, 'x.cedar'),
          '@id("x") forbid (principal, action, resource) when { false };\npermit (principal, action, resource);',
        ),
      /./,
    ],
    [
      'a policy without a name',
      (d) => writeFileSync(join(d, 'x.cedar'), 'forbid (principal, action, resource);'),
      /@id/,
    ],
    [
      'a name used twice',
      (d) => writeFileSync(join(d, 'x.cedar'), '@id("secrets-never") forbid (principal, action, resource);'),
      /twice/,
    ],
    [
      'an unknown key in guardrails.yaml',
      (d) => writeFileSync(join(d, 'guardrails.yaml'), 'v: 1\nnonsense: 1\n'),
      /guardrails\.yaml/,
    ],
    [
      'an unknown detector',
      (d) =>
        writeFileSync(
          join(d, 'redaction.yaml'),
          'v: 1\ndetectors: {soul: "[REDACTED_X]"}\nsecret_keys: []\npatterns: []\n',
        ),
      /redaction\.yaml/,
    ],
    [
      'a closed incident that would be gone before its evidence',
      (d) => writeFileSync(join(d, 'retention.yaml'), 'v: 1\nclosed_incidents_days: 3\n'),
      /retention\.yaml:2: closed_incidents_days/,
    ],
    [
      'no policies',
      (d) => ['read.cedar', 'write.cedar'].forEach((name) => rmSync(join(d, name))),
      /nothing would be allowed/,
    ],
    ['no directory', (d) => rmSync(d, { recursive: true }), /cannot read/],
  ])('%s', async (_title, change, problem) => {
    const loaded = await loadPolicySet(broken(change));
    expect(loaded.set).toBeNull();
    expect(loaded.problems.join('\n')).toMatch(problem);
  });

  it('but one from before there was a retention.yaml is, and keeps closed incidents for ever', async () => {
    const { set } = await loadPolicySet(broken((d) => rmSync(join(d, 'retention.yaml'))));
    expect(set?.retention).toEqual({
      v: 1,
      evidence_hours: { tier1: 72, tier2: 72, tier3: 72 },
      closed_incidents_days: null,
    });
  });

  it('then nothing is allowed, the digest is null, text is withheld when its rules are the broken ones, and the SYSTEM chain says why (law 3)', async () => {
    const policies_dir = broken((d) => writeFileSync(join(d, 'redaction.yaml'), 'v: 2\n'));
    const stage = await startStage({ policies_dir });
    try {
      expect(stage.gateway.policyDigest()).toBeNull();
      expect(stage.gateway.guardrails()).toBeNull();
      expect(stage.gateway.redactText('a@b.co')).toMatch(/^\[WITHHELD/);
      const read = await stage.gateway.read({
        token: await stage.token(),
        tool: 'k8s.get',
        target: JOB,
        args: {},
        why: 'test',
      });
      expect(isRefusal(read) && read.code).toBe('policy-not-in-force');
      const classified = stage.gateway.classify({ tool: 'job.update_spec', target: JOB, params: {} });
      expect(isRefusal(classified) && classified.code).toBe('policy-not-in-force');
      const [entry] = await stage.store.ledger.read('SYSTEM', { kinds: ['event'] });
      expect(entry?.payload).toMatchObject({ type: 'policies_loaded', in_force: false, digest: null });
    } finally {
      await stage.close();
    }
  });

  it('the digest covers every file, and changes with each', async () => {
    const good = (await loadPolicySet(POLICIES_DIR)).set?.digest;
    const other = await loadPolicySet(
      broken((d) => writeFileSync(join(d, 'read.cedar'), `${readFileSync(join(d, 'read.cedar'), 'utf8')}\n`)),
    );
    expect(other.set?.digest).not.toBe(good);
  });
});
