import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { planHashOf } from '../../src/contract/plan.ts';
import { journalKey } from '../../src/contract/tool.ts';
import { isRefusal, type Refusal } from '../../src/contract/verdict.ts';
import { pinOf } from '../../src/gateway/pipeline/registry.ts';
import { policyInForce } from '../../src/gateway/pipeline/core.ts';
import type { Store } from '../../src/store/store.ts';
import { approvedPlan, execute, type ApprovedPlan } from '../gateway/approved-plan.ts';
import { JOB, POLICIES_DIR, startStage, type Stage } from '../gateway/stage.ts';
import { sourcesBelow, walk, type Node } from '../tidy/source.ts';

/** Laws 2, 3, 5 and 12 of DESIGN, each with the tests that hold it. Permits have a file of their own beside this one. */
let stage: Stage;
let second: Stage | null = null;
let dir = '';
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.close());
beforeEach(() => setMemory(stage, '1g'));
afterEach(async () => {
  await second?.close();
  second = null;
  stage.kubernetes.faults.clear();
  await stage.vault.unseal();
  rmSync(join(stage.home, 'state', 'FREEZE'), { force: true });
  for (const scope of ['*', 'data', 'data/prod', 'data/prod/nightly-settlement'])
    await stage.store.freezes.lift(scope, 'ana', 'test over');
  if (dir !== '') rmSync(dir, { recursive: true, force: true });
  dir = '';
});

/** The stage through another gateway; closed after the test. */
async function start(
  other: { policies_dir?: string; wrapStore?: (store: Store) => Store } = {},
): Promise<Stage> {
  const { policies_dir, wrapStore } = other;
  second = await stage.beside({
    ...(policies_dir === undefined ? {} : { policies_dir }),
    ...(wrapStore === undefined ? {} : { store: wrapStore(stage.store) }),
  });
  return second;
}

/** The shipped policies with one file changed. */
function policiesWith(name: string, edit: (text: string) => string): string {
  dir = mkdtempSync(join(tmpdir(), 'aegis-laws-'));
  cpSync(POLICIES_DIR, dir, { recursive: true });
  writeFileSync(join(dir, name), edit(readFileSync(join(dir, name), 'utf8')));
  return dir;
}

const codeOf = (answer: object): string | null => (isRefusal(answer) ? answer.code : null);

async function read(on: Stage, change: { token?: string; tool?: string } = {}): Promise<object> {
  return on.gateway.read({
    token: change.token ?? (await on.token()),
    tool: change.tool ?? 'k8s.get',
    target: JOB,
    args: {},
    why: 'test',
  });
}

/** What reached the API server during one test. */
let seen = 0;
beforeEach(() => {
  seen = stage.kubernetes.requests().length;
});
const requests = () => stage.kubernetes.requests().slice(seen);
const patches = () => requests().filter(({ method, dry_run }) => method === 'PATCH' && !dry_run);
const statusOf = async (on: Stage, approved: ApprovedPlan) =>
  (await on.store.journal.get(journalKey(approved.incident_id, 'CHG-7', 'apply')))?.status;

/** A store in which one operation of one aggregate is replaced. */
function replacing<A extends Exclude<keyof Store, 'close'>>(
  aggregate: A,
  make: (real: Store[A]) => Partial<Store[A]>,
): (store: Store) => Store {
  return (store) => ({ ...store, [aggregate]: { ...store[aggregate], ...make(store[aggregate]) } });
}

describe('law 2: one door out', () => {
  const sources = sourcesBelow('src').filter(({ path }) => !path.startsWith('src/lab/'));

  /** Names of members that are called or taken, with the file: `gateway.execute(..)`, `const { execute } = gateway`. */
  function usersOf(member: string): string[] {
    return sources
      .filter(({ program }) => {
        let used = false;
        walk(program, (node: Node, parents) => {
          const parent = parents.at(-1);
          if (node.type === 'MemberExpression' && (node['property'] as Node)['name'] === member) used = true;
          if (
            node.type === 'Property' &&
            parent?.type === 'ObjectPattern' &&
            (node['key'] as Node)['name'] === member
          )
            used = true;
        });
        return used;
      })
      .map(({ path }) => path);
  }

  /** The two effects that change the outside: an action, and its undo. */
  const WRITERS = ['src/harness/effects/execute.ts', 'src/harness/effects/undo.ts'];
  const importersOf = (target: string): string[] =>
    sources.filter(({ imports }) => imports.some(({ file }) => file === target)).map(({ path }) => path);

  it('only the harness asks for an execution, and only its two effects that the runner starts', () => {
    // Inside the gateway the word is that of its breakers and queues (cockatiel).
    expect(usersOf('execute').filter((path) => !path.startsWith('src/gateway/'))).toEqual(WRITERS);
    const of_the_door = sources.filter(({ imports }) =>
      imports.some(({ file, kind }) => file === 'src/gateway/pipeline/execute-call.ts' && kind === 'value'),
    );
    expect(of_the_door.map(({ path }) => path)).toEqual(['src/gateway/create-gateway.ts']);
    for (const writer of WRITERS) expect(importersOf(writer)).toEqual(['src/harness/effects/index.ts']);
  });

  it('only the harness mints permits, only the execute door consumes and dispatches them', () => {
    expect(usersOf('mintPermit')).toEqual(['src/harness/effects/permit.ts']);
    expect(importersOf('src/harness/effects/permit.ts')).toEqual(WRITERS);
    expect(usersOf('dispatch')).toEqual(['src/gateway/pipeline/execute-call.ts']);
    expect(usersOf('accept')).toEqual(['src/gateway/pipeline/execute-call.ts']);
  });

  it('only the gateway opens connections; the HTTP server listens, Slack has its own client, the lab is no product', () => {
    const OUTWARD = /^(node:)?(http|https|http2|net|tls|dns|dgram|undici)$/;
    const LISTENS = 'src/http-server.ts';
    const openers = sources.filter(
      ({ path, imports }) =>
        !path.startsWith('src/gateway/') &&
        path !== LISTENS &&
        imports.some(({ specifier, kind }) => kind !== 'type' && OUTWARD.test(specifier)),
    );
    expect(openers.map(({ path }) => path)).toEqual([]);
    const fetchers = sources.filter(({ program }) => {
      let fetches = false;
      walk(program, (node) => {
        if (node.type === 'CallExpression' && (node['callee'] as Node)['name'] === 'fetch') fetches = true;
      });
      return fetches;
    });
    expect(fetchers.map(({ path }) => path)).toEqual([]);
  });

  it('the gateway demands the permit itself: whoever calls it without one changes nothing', async () => {
    const on = await start();
    const approved = await approvedPlan(on);
    expect(codeOf(await execute(on, approved, { permit_id: 'prm_none' }))).toBe('permit-missing');
    expect(patches()).toEqual([]);
  });

  it('the read door sends nothing that changes, also for a tool that writes', async () => {
    const on = await start();
    expect(codeOf(await read(on, { tool: 'job.update_spec' }))).toBe('tool-writes');
    expect(requests()).toEqual([]);
  });
});

describe('law 3: fail closed', () => {
  it('an unknown tool is not called', async () => {
    const on = await start();
    expect(codeOf(await read(on, { tool: 'k8s.everything' }))).toBe('tool-unknown');
    expect(requests()).toEqual([]);
  });

  it('a tool that its server describes differently from its pin is another tool', () => {
    const tool = { name: 'k8s.get', description: 'Reads.', input_schema: { type: 'object' } };
    fc.assert(
      fc.property(
        fc.constantFrom('name', 'description', 'input_schema'),
        fc.string({ minLength: 1 }),
        (key, more) => {
          expect(
            pinOf({ ...tool, [key]: key === 'input_schema' ? { title: more } : `${tool.name}${more}` }),
          ).not.toBe(pinOf(tool));
        },
      ),
    );
  });

  it.each([
    ['no token', ''],
    ['a token that nobody minted', 'agt_guess'],
  ])('a missing identity (%s) reads nothing', async (_title, token) => {
    const on = await start();
    expect(codeOf(await read(on, { token }))).toBe('token-unknown');
    expect(requests()).toEqual([]);
  });

  it('a policy file that cannot be read stops every door', async () => {
    const on = await start({ policies_dir: policiesWith('write.cedar', () => 'permit (') });
    expect(codeOf(await read(on))).toBe('policy-not-in-force');
    const params = { changes: [{ path: '/spec/driver/memory', value: '2g' }] };
    const preview = await on.gateway.preview({
      token: await on.token(),
      tool: 'job.update_spec',
      target: JOB,
      params,
      change_id: 'CHG-7',
      why: 'test',
    });
    expect(codeOf(preview)).toBe('policy-not-in-force');
    expect(requests()).toEqual([]);
    expect(
      policyInForce({ policies: { set: null, problems: ['x'], files: [], redaction: null } }),
    ).toMatchObject({
      code: 'policy-not-in-force',
    });
  });

  it('zero rules: a set that loads and holds no policy allows nothing', async () => {
    const policies_dir = policiesWith('read.cedar', () => '// nothing\n');
    writeFileSync(join(policies_dir, 'write.cedar'), '// nothing\n');
    const on = await start({ policies_dir });
    expect(on.gateway.policyDigest()).not.toBeNull();
    expect(codeOf(await read(on))).toBe('policy-denied');
    expect(requests()).toEqual([]);
  });

  it('an error inside a forbid is a deny, although Cedar itself skips it', async () => {
    const overflow = `@id("erring") forbid (principal, action, resource) when { principal.token_class + 9223372036854775807 < 0 };`;
    const on = await start({ policies_dir: policiesWith('read.cedar', (text) => `${text}\n${overflow}\n`) });
    expect(codeOf(await read(on))).toBe('policy-error');
    expect(requests()).toEqual([]);
  });

  it('Vault is down: no credential, no call, no standing credential instead', async () => {
    const on = await start();
    const approved = await approvedPlan(on);
    const before = requests().length;
    on.vault.seal();
    expect(codeOf(await execute(on, approved))).toBe('credential-unavailable');
    expect(codeOf(await read(on))).toBe('credential-unavailable');
    expect(requests()).toHaveLength(before);
    expect(await statusOf(on, approved)).toBe('accepted');
  });

  it('the audit row before a read cannot be written: nothing is called', async () => {
    const failing = replacing('ledger', (real) => ({
      append: (chain, entries) =>
        entries.some(({ kind }) => kind === 'call')
          ? Promise.reject(new Error('disk full'))
          : real.append(chain, entries),
    }));
    const on = await start({ wrapStore: failing });
    expect(codeOf(await read(on))).toBe('audit-unavailable');
    expect(requests()).toEqual([]);
  });

  it('the audit row of a write cannot be written: nothing is called and the permit is not used up', async () => {
    let full = true;
    const failing = replacing('journal', (real) => ({
      accept: (input) => (full ? Promise.reject(new Error('disk full')) : real.accept(input)),
    }));
    const on = await start({ wrapStore: failing });
    const approved = await approvedPlan(on);
    const permit_id = await approved.mint();
    expect(codeOf(await execute(on, approved, { permit_id }))).toBe('audit-unavailable');
    expect(patches()).toEqual([]);
    full = false;
    expect(await execute(on, approved, { permit_id })).toMatchObject({ outcome: { status: 'done' } });
  });
});

describe('law 5: what was approved is what runs', () => {
  it('any change of plan, risk, rule, policies or tools is another plan hash', async () => {
    const on = await start();
    const { plan } = await approvedPlan(on);
    const bound = {
      plan,
      risk: { v: 1 },
      approval_rule: { people: 2 },
      policy_digest: 'p',
      tool_definitions_digest: 't',
    } as unknown as Parameters<typeof planHashOf>[0];
    const hash = planHashOf(bound);
    fc.assert(
      fc.property(fc.constantFrom(...pathsOf(bound)), (path) => {
        expect(planHashOf(changedAt(bound, path))).not.toBe(hash);
      }),
    );
  });

  it('the precondition reaches the server: uid and prior value are tests of the patch itself', async () => {
    const on = await start();
    const approved = await approvedPlan(on);
    await execute(on, approved);
    const [patch] = patches();
    expect(patch?.body).toEqual([
      { op: 'test', path: '/metadata/uid', value: approved.preview.object_uid },
      { op: 'test', path: '/spec/driver/memory', value: '1g' },
      { op: 'replace', path: '/spec/driver/memory', value: '2g' },
    ]);
  });

  it('an object that changed after the approval is a conflict that names the field, and nothing is sent', async () => {
    const on = await start();
    const approved = await approvedPlan(on);
    setMemory(on, '1500m');
    expect(await execute(on, approved)).toMatchObject({
      outcome: {
        status: 'conflict',
        conflict_fields: [{ path: '/spec/driver/memory', before: '1g', after: '1500m' }],
      },
    });
    expect(patches()).toEqual([]);
  });

  it('a conflict that the server finds is never retried against fresh state, also not under a fresh permit', async () => {
    const on = await start();
    const approved = await approvedPlan(on);
    let raced = false;
    on.kubernetes.faults.delay({
      ms: 1,
      times: 1,
      match: ({ method, dry_run }) => {
        if (method !== 'PATCH' || dry_run || raced) return false;
        raced = true;
        setMemory(on, '1200m');
        return true;
      },
    });
    expect(await execute(on, approved)).toMatchObject({ outcome: { status: 'conflict' } });
    expect(patches()).toHaveLength(1);
    setMemory(on, '1g');
    expect(await execute(on, approved)).toMatchObject({ outcome: { status: 'conflict', replayed: true } });
    expect(patches()).toHaveLength(1);
  });
});

describe('law 12: stop always works', () => {
  /** A write that is interrupted after its lease is live and before it is dispatched. */
  async function between(brake: (on: Stage, approved: ApprovedPlan) => Promise<void> | void) {
    let act: (() => Promise<void> | void) | null = null;
    const on = await start({
      wrapStore: replacing('journal', (real) => ({
        dispatch: async (key, before) => {
          await act?.();
          act = null;
          return real.dispatch(key, before);
        },
      })),
    });
    const approved = await approvedPlan(on);
    act = () => brake(on, approved);
    const answer = await execute(on, approved);
    return { on, approved, answer };
  }

  type Brake = [string, string, (on: Stage, approved: ApprovedPlan) => Promise<void> | void];
  const BRAKES: readonly Brake[] = [
    ...['*', 'data', 'data/prod', 'data/prod/nightly-settlement'].map((scope): Brake => [
      `a freeze of ${scope} by one person`,
      'frozen',
      (on) =>
        on.store.freezes.set({
          freeze_id: stage.ids.next('frz'),
          scope,
          reason: 'month end',
          by: 'ana',
          until_ms: null,
        }),
    ]),
    [
      'a file FREEZE in AEGIS_HOME, without Slack, Vault or database',
      'frozen',
      (on) => writeFileSync(join(on.home, 'state', 'FREEZE'), 'the database looks odd\n'),
    ],
    [
      'a stop of one person',
      'stopped',
      (on, approved) => on.store.freezes.stop(approved.incident_id, 'ana', 'wrong job'),
    ],
    ['the expiry of the permit', 'permit-expired', (on) => on.clock.skip(61_000)],
    [
      'a freeze while Vault is down',
      'frozen',
      (on) => {
        on.vault.seal();
        return on.store.freezes.set({
          freeze_id: stage.ids.next('frz'),
          scope: '*',
          reason: 'all',
          by: 'ana',
          until_ms: null,
        });
      },
    ],
  ];
  it.each(BRAKES)(
    '%s between lease and dispatch is honoured: nothing is sent',
    async (_title, code, brake) => {
      const { on, approved, answer } = await between(brake);
      expect(codeOf(answer)).toBe(code);
      expect((answer as Refusal).reason).toMatch(/\S/);
      expect(patches()).toEqual([]);
      expect(await statusOf(on, approved)).toBe('accepted');
      const refusals = await on.store.ledger.read(approved.incident_id, { kinds: ['refusal'] });
      expect(refusals.map((entry) => entry.payload['code'])).toContain(code);
    },
  );

  it('after such a stop no lease is left, and once it is lifted a fresh permit goes on', async () => {
    const earlier = new Set(stage.vault.outstanding().leases.map(({ lease_id }) => lease_id));
    const { on, approved } = await between((during, { incident_id }) =>
      during.store.freezes.stop(incident_id, 'ana', 'wait'),
    );
    const left = on.vault.outstanding().leases.map(({ lease_id }) => lease_id);
    expect(left.filter((id) => id.includes('aegis-write') && !earlier.has(id))).toEqual([]);
    await on.store.freezes.clearStop(approved.incident_id);
    expect(await execute(on, approved)).toMatchObject({ outcome: { status: 'done' } });
  });

  it('a freeze stops executions and leaves previews and reads alone', async () => {
    const on = await start();
    const approved = await approvedPlan(on);
    await on.store.freezes.set({
      freeze_id: stage.ids.next('frz'),
      scope: 'data',
      reason: 'month end',
      by: 'ana',
      until_ms: null,
    });
    expect(codeOf(await execute(on, approved))).toBe('frozen');
    expect(codeOf(await read(on))).toBeNull();
    const preview = await on.gateway.preview({
      token: await on.token(),
      tool: 'job.update_spec',
      target: JOB,
      params: approved.params,
      change_id: 'CHG-8',
      why: 'test',
    });
    expect(codeOf(preview)).toBeNull();
    await on.store.freezes.lift('data', 'ana', 'over');
    expect(await execute(on, approved)).toMatchObject({ outcome: { status: 'done' } });
  });
});

function setMemory(on: Stage, memory: string): void {
  on.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
    spec: { driver: { memory } },
  });
}

type Path = readonly (string | number)[];

function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  return Object.entries(value).flatMap(([key, child]) => pathsOf(child, [...at, key]));
}

/** A copy with one leaf replaced. */
function changedAt<T>(value: T, [key, ...rest]: Path): T {
  if (key === undefined) return 'something else' as T;
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string | number, unknown>;
  copy[key] = changedAt(copy[key], rest);
  return copy as T;
}
