import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AwsAccount } from '../../src/contract/system-aws.ts';
import { Secret } from '../../src/contract/secret.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { SealedFile } from '../../src/gateway/credentials/sealed-file.ts';
import { Egress } from '../../src/gateway/egress.ts';
import { lendTransport } from '../../src/gateway/transport.ts';
import { startIamTwin, type IamTwin } from '../../src/lab/aws/iam-twin.ts';
import { startStage, type Stage } from './stage.ts';

/** IAM is read through the one door, signed below the driver, against a twin that checks each signature. */
const KEY = {
  access_key_id: 'AKIAIOSFODNN7EXAMPLE',
  secret_access_key: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  session_token: null,
  expires_ms: null,
  allow: [
    'iam:GetRole',
    'iam:ListRolePolicies',
    'iam:ListAttachedRolePolicies',
    'iam:SimulatePrincipalPolicy',
  ],
};
const SEAL_KEY = 'a-key-of-more-than-sixteen-characters';
const TARGET = 'mcp://aws/main/-/role/settlement-writer';

let dir = '';
let iam: IamTwin;
let stage: Stage;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-iam-'));
  iam = await startIamTwin();
  iam.addKey(KEY);
  iam.addRole({
    name: 'settlement-writer',
    path: '/jobs/',
    description: 'writes <settlement> files & receipts',
    trust_policy: {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' } }],
    },
    inline: Object.fromEntries([
      [
        'write',
        [{ Effect: 'Allow', Action: ['s3:Put*', 's3:GetObject'], Resource: 'arn:aws:s3:::settlement/*' }],
      ],
      ['never', [{ Effect: 'Deny', Action: 's3:PutObject', Resource: 'arn:aws:s3:::settlement/locked/*' }]],
      ...Array.from({ length: 130 }, (_, n) => [`extra-${String(n).padStart(3, '0')}`, []]),
    ]) as never,
    attached: [],
  });
  iam.addRole({
    name: 'reader',
    trust_policy: {},
    inline: {},
    attached: ['arn:aws:iam::aws:policy/ReadOnlyAccess'],
  });
  const file = join(dir, 'credentials.sealed');
  await new SealedFile(file, () => new Secret(SEAL_KEY)).seal('iam', {
    kind: 'aws',
    access_key_id: KEY.access_key_id,
    secret_access_key: KEY.secret_access_key,
  });
  stage = await startStage({
    secrets: { SEAL_KEY },
    settings: (s) => {
      const data = s.teams['data'] as NonNullable<(typeof s.teams)['data']>;
      const prod = data.environments['prod'] as NonNullable<(typeof data.environments)['prod']>;
      const systems = [{ system: 'aws' as const, name: 'main', namespaces: [] }];
      const credentials = { engine: 'sealed_file', read: 'iam' } as const;
      return {
        ...s,
        sealed_file: { file, key: { env: 'SEAL_KEY' } },
        aws: { main: AwsAccount.parse({ endpoint: iam.url, credentials }) },
        teams: { ...s.teams, data: { environments: { prod: { ...prod, systems } } } },
      };
    },
  });
}, 60_000);
afterAll(async () => {
  await stage?.close();
  await iam?.close();
  rmSync(dir, { recursive: true, force: true });
});

async function ask(tool: string, args: object = {}, target = TARGET, team = 'data') {
  const token = await stage.token({ team, action_class: 'read' });
  return stage.gateway.read({ token, tool, target, args: { ...args }, why: 'test' });
}
const result = async (...asked: Parameters<typeof ask>): Promise<unknown> => {
  const answer = await ask(...asked);
  if (isRefusal(answer)) throw new Error(`${answer.code}: ${answer.reason}`);
  return answer.result;
};

describe('reading IAM', () => {
  it('refuses a foreign tenant, an unknown role, a bad action: nothing is signed for the first and the last', async () => {
    const before = iam.requests().length;
    for (const refusal of [
      await ask('iam.get_role', {}, TARGET, 'fraud'),
      await ask('iam.simulate', { actions: ['no spaces here'] }),
    ])
      expect(isRefusal(refusal)).toBe(true);
    expect(iam.requests()).toHaveLength(before);
    expect(await ask('iam.get_role', {}, 'mcp://aws/main/-/role/nobody')).toMatchObject({
      code: 'object-not-found',
    });
  });

  it('shows a role with its trust policy', async () => {
    expect(await result('iam.get_role')).toMatchObject({
      role: {
        RoleName: 'settlement-writer',
        Arn: 'arn:aws:iam::123456789012:role/jobs/settlement-writer',
        Description: 'writes <settlement> files & receipts',
      },
      trust_policy: { Statement: [{ Principal: { Service: 'ec2.amazonaws.com' } }] },
    });
  });

  it('lists all policies, over pages, and none', async () => {
    const many = (await result('iam.list_role_policies')) as { inline: string[]; attached: unknown[] };
    expect([many.inline.length, many.attached]).toEqual([132, []]);
    expect(await result('iam.list_role_policies', {}, 'mcp://aws/main/-/role/reader')).toEqual({
      inline: [],
      attached: [{ name: 'ReadOnlyAccess', arn: 'arn:aws:iam::aws:policy/ReadOnlyAccess' }],
    });
  });

  it('says what the policies would allow, and which of them decides', async () => {
    const actions = ['s3:PutObject', 's3:DeleteObject'];
    const resources = ['arn:aws:s3:::settlement/2026+11/a~b.csv', 'arn:aws:s3:::settlement/locked/x'];
    expect(await result('iam.simulate', { actions, resources })).toMatchObject({
      results: [
        { action: 's3:PutObject', resource: resources[0], decision: 'allowed', decided_by: ['write'] },
        { action: 's3:PutObject', resource: resources[1], decision: 'explicitDeny', decided_by: ['never'] },
        { action: 's3:DeleteObject', decision: 'implicitDeny', decided_by: [] },
        { action: 's3:DeleteObject', decision: 'implicitDeny' },
      ],
    });
  });

  it('a key that may not, and one that is gone: refused with IAM’s reason and without the key', async () => {
    iam.addKey({ ...KEY, allow: [] });
    const denied = await ask('iam.get_role');
    expect(denied).toMatchObject({
      code: 'source-forbidden',
      reason: expect.stringContaining('AccessDenied'),
    });
    iam.removeKey(KEY.access_key_id);
    const gone = await ask('iam.get_role');
    expect(gone).toMatchObject({ reason: expect.stringContaining('InvalidClientTokenId') });
    iam.addKey({ ...KEY, secret_access_key: 'another-secret-of-the-same-key' });
    expect(await ask('iam.get_role')).toMatchObject({
      reason: expect.stringContaining('SignatureDoesNotMatch'),
    });
    iam.addKey(KEY);
    expect(JSON.stringify([denied, gone])).not.toContain(KEY.secret_access_key);
  });
});

describe('the face that the driver is lent', () => {
  const lend = (endpoint: string, session_token: Secret | null = null, key = KEY) =>
    lendTransport({
      egress: new Egress(true),
      upstream: {
        system: 'aws',
        name: 'main',
        config: AwsAccount.parse({ endpoint, credentials: { engine: 'none' } }),
      },
      target: { system: 'aws', cluster: 'main', namespace: '-', kind: 'role', name: 'reader' },
      mode: 'read',
      credential: {
        kind: 'aws',
        access_key_id: key.access_key_id,
        secret_access_key: new Secret(key.secret_access_key),
        session_token,
      },
      timeout_ms: 10_000,
      bytes_max: 100_000,
      signal: undefined,
    });
  const query = { Action: 'GetRole', Version: '2010-05-08', RoleName: 'reader' };

  it('signs with a session token, which IAM takes and, when it is over, refuses as unauthorized', async () => {
    const session = { ...KEY, access_key_id: 'ASIA1', session_token: 'a/session+token==' };
    iam.addKey(session);
    const http = lend(iam.url, new Secret(session.session_token), session as never);
    expect((await http.request({ method: 'GET', path: '/', query })).text).toContain(
      '<RoleName>reader</RoleName>',
    );
    iam.addKey({ ...session, expires_ms: 1 });
    await expect(http.request({ method: 'GET', path: '/', query })).rejects.toMatchObject({
      info: { problem: 'unauthorized', message: expect.stringContaining('ExpiredToken') },
    });
  });

  it.each([
    [{ ...query, Action: 'DeleteRole' }],
    [{ ...query, Action: 'CreateAccessKey' }],
    [{ ...query, RoleName: 'settlement-writer' }],
    [{ ...query, Version: '1' }],
    [
      {
        Action: 'SimulatePrincipalPolicy',
        Version: query.Version,
        PolicySourceArn: 'arn:aws:iam::123456789012:user/reader',
      },
    ],
    [
      {
        Action: 'SimulatePrincipalPolicy',
        Version: query.Version,
        PolicySourceArn: 'arn:aws:iam::123456789012:role/other',
      },
    ],
  ])('refuses %j before anything is sent', async (wrong) => {
    const before = iam.requests().length;
    const http = lend(iam.url);
    await expect(http.request({ method: 'GET', path: '/', query: wrong })).rejects.toMatchObject({
      info: { problem: 'blocked', sent: 'no' },
    });
    await expect(http.request({ method: 'POST', path: '/', query })).rejects.toMatchObject({
      info: { problem: 'blocked' },
    });
    expect(iam.requests()).toHaveLength(before);
  });
});
