import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { SeenChange } from '../../src/contract/shadow.ts';
import { refuse } from '../../src/contract/verdict.ts';
import { commitOf } from '../../src/harness/commit-of.ts';
import { observeEffect } from '../../src/harness/effects/observe.ts';
import type { EffectInput } from '../../src/harness/effects/effect.ts';
import { scoreShadow } from '../../src/harness/shadow/compare.ts';
import { oneAct } from '../../src/harness/shadow/one-act.ts';
import { changeWords } from '../../src/harness/shadow/people.ts';
import { readAudit } from '../../src/harness/shadow/read-audit.ts';
import type { Snapshot } from '../../src/harness/state.ts';
import {
  at,
  draft,
  incidentContext,
  preparedEvent,
  runningId,
  T0,
  take,
  TARGET,
  walkTo,
} from './fixtures.ts';
import { API, facts, NEW_TEMPLATE, seen } from './shadow-samples.ts';

/** What the audit log tells of people's acts, and how it becomes one act with what the objects show. */
const REPLICAS = '/spec/replicas';
const SETTINGS = {
  robots: ['argocd-*', 'ci-deployer'],
  kinds: ['deployment' as const, 'sparkapplication' as const],
};
const VIEW = {
  ledger_head: '0'.repeat(64),
  tool_calls: 0,
  simulated: true,
  approvers: 'Dan',
  ladder: 'data/prod is on suggest.',
};

const act = (change: Record<string, unknown> = {}) => ({
  target: API,
  user: 'oidc:dan',
  by: 'dan',
  client: 'kubectl-scale',
  operation: 'patch scale',
  at: at(160.4),
  fields: [REPLICAS],
  values: { [REPLICAS]: 5 },
  ...change,
});
const file = (acts: unknown[], unseen: string[] = []) =>
  stringify({ kind: 'AuditLog', cluster: 'prod-1', namespace: 'spark-jobs', acts, unseen });
const read = (...acts: Record<string, unknown>[]) => readAudit(file(acts), SETTINGS)?.changes ?? [];
const audited = (change: Record<string, unknown> = {}) => read(act(change))[0] as SeenChange;
const booked = (change: Partial<SeenChange> = {}) =>
  seen({
    manager: 'kubectl-scale',
    fields: [REPLICAS],
    values: { [REPLICAS]: 5 },
    at: at(160),
    template: null,
    ...change,
  });
const NOTHING_PLANNED: ReadonlySet<string> = new Set();

describe('an audit.yaml', () => {
  it('that has another form is no look', () => {
    for (const text of [
      '',
      'acts: 7',
      'a: [',
      file([act({ target: 'prod-1/api' })]),
      file([{ target: API }]),
    ])
      expect(readAudit(text, SETTINGS)).toBeNull();
  });

  it('gives acts with the authenticated user, which are valid as events', () => {
    const change = audited();
    expect(SeenChange.parse(change)).toEqual(change);
    expect(change).toMatchObject({ manager: 'oidc:dan', authenticated: true, by: 'dan', robot: false });
    expect(changeWords(change)).toBe(
      'dan (kubectl-scale) changed deployment/settlement-api: spec.replicas = 5',
    );
  });

  it('cuts names that are too long, and forgets a principal that is none', () => {
    const change = audited({ user: 'u'.repeat(900), by: '[REDACTED_PERSON]', client: 'c'.repeat(900) });
    expect(SeenChange.parse(change)).toMatchObject({ manager: 'u'.repeat(128) });
    expect(change.by).toBeUndefined();
  });

  it.each([
    ['a person', 'oidc:dan', null, 'oidc:dan', false],
    [
      'a service account',
      'system:serviceaccount:ci:deployer',
      null,
      'system:serviceaccount:ci:deployer',
      true,
    ],
    ['a node', 'system:node:worker-1', null, 'system:node:worker-1', true],
    ['the system itself', 'system:kube-scheduler', null, 'system:kube-scheduler', true],
    ['a user that the list names', 'ci-deployer', null, 'ci-deployer', true],
    ['a proxy for a person', 'system:serviceaccount:tp:proxy', 'oidc:dan', 'oidc:dan', false],
    ['a person who hides as a program', 'oidc:dan', 'system:serviceaccount:ci:deployer', 'oidc:dan', false],
    ['a program as another one', 'system:node:a', 'ci-deployer', 'ci-deployer', true],
    ['a name that only looks like the system’s', 'System:masters', null, 'System:masters', false],
  ])('%s', (_who, user, impersonated, manager, robot) => {
    expect(audited({ user, impersonated, by: null })).toMatchObject({ manager, robot });
  });

  it('is never a person: Aegis itself', () => {
    expect(audited({ user: 'aegis', by: null }).robot).toBe(true);
  });

  it('leaves kinds out that are not watched, and keeps deleted pods', () => {
    const pod = API.replace('deployment/settlement-api', 'pod/settlement-api-1');
    const changes = read(
      act({ target: API.replace('deployment', 'configmap') }),
      act({ target: pod, operation: 'delete', fields: [], values: {} }),
    );
    expect(changes.map(changeWords)).toEqual(['dan (kubectl-scale) deleted pod/settlement-api-1']);
  });

  it('says each verb in words', () => {
    const words = (operation: string, change = {}) =>
      changeWords(audited({ operation, client: '', fields: [], values: {}, ...change }));
    expect(words('create')).toBe('dan created deployment/settlement-api');
    expect(words('update')).toBe('dan changed deployment/settlement-api');
    expect(words('create eviction')).toBe('dan evicted deployment/settlement-api');
    expect(words('deletecollection', { target: API.replace('settlement-api', '-') })).toBe(
      'dan deleted objects of kind deployment',
    );
    expect(words('patch', { by: null })).toBe('oidc:dan changed deployment/settlement-api');
  });

  it('what could not be read is a gap that makes nobody blind', () => {
    const look = readAudit(file([], ['too many lines; only the newest are shown']), SETTINGS);
    const score = scoreShadow(facts({ seen: [], unseen: look?.unseen ?? [] }));
    expect(score).toMatchObject({
      verdict: 'nobody_acted',
      gaps: ['audit log of prod-1/spark-jobs: too many lines; only the newest are shown'],
    });
  });
});

describe('two views of one act', () => {
  const one = (looked: SeenChange[], known: SeenChange[] = [], planned = NOTHING_PLANNED) =>
    oneAct(looked, known, planned);

  it('are one: the key and the client of the object’s view, the user of the audit log’s', () => {
    const found = one([booked(), audited()]);
    expect(found).toMatchObject([
      { key: 'k1', manager: 'oidc:dan', by: 'dan', client: 'kubectl-scale', authenticated: true, uid: 'u1' },
    ]);
    expect(SeenChange.parse(found[0])).toEqual(found[0]);
  });

  it('stay two when the object, the time, the client or the fields are others', () => {
    for (const other of [
      booked({ target: API.replace('settlement-api', 'other-api') }),
      booked({ at: at(150) }),
      booked({ manager: 'kubectl-edit' }),
      booked({ fields: ['/spec/paused'] }),
    ])
      expect(one([other, audited()])).toHaveLength(2);
  });

  it('are one without common fields only where nobody else could be meant', () => {
    const whole = audited({ operation: 'update', client: '', fields: [], values: {} });
    expect(one([booked(), whole])).toHaveLength(1);
    const second = booked({ key: 'k2', manager: 'kubectl-edit', fields: ['/spec/paused'] });
    expect(one([booked(), second, whole])).toHaveLength(3);
  });

  it('are paired by the nearest time, each once', () => {
    const first = booked({ key: 'first', at: at(158) });
    const later = booked({ key: 'later', at: at(160) });
    const found = one([
      first,
      later,
      audited({ at: at(158.6) }),
      audited({ at: at(160.6), user: 'oidc:ines' }),
    ]);
    expect(found.map((change) => [change.key, change.manager])).toEqual([
      ['first', 'oidc:dan'],
      ['later', 'oidc:ines'],
    ]);
  });

  it('name only the fields that both know', () => {
    const earlier = [REPLICAS, '/spec/paused'];
    const found = one([booked({ fields: earlier }), audited()]);
    expect(found[0]).toMatchObject({ fields: [REPLICAS], more_fields: 0 });
  });

  it('a deletion is never the view of a write', () => {
    expect(one([booked(), audited({ operation: 'delete', fields: [], values: {} })])).toHaveLength(2);
  });

  it('a person’s tool in a program’s hand is a program’s act, and not told', () => {
    const robot = audited({ user: 'system:serviceaccount:ci:deployer', by: null });
    expect(one([booked(), robot])).toEqual([]);
    expect(one([booked(), robot], [], new Set([API]))).toMatchObject([{ key: 'k1', robot: true }]);
    expect(one([booked(), robot], [booked()])).toMatchObject([{ key: 'k1', robot: true }]);
  });

  it('an act that is known already keeps its key in every order of arrival', () => {
    const [merged] = one([booked(), audited()]) as [SeenChange];
    // The object shows a later write by now: only the audit log still has the act.
    expect(one([audited()], [booked()])).toMatchObject([{ key: 'k1', authenticated: true }]);
    expect(one([audited()], [merged]).map(({ key }) => key)).toEqual(['k1']);
    expect(one([booked(), audited()], [audited()]).map(({ key }) => key)).toEqual([audited().key]);
  });

  it('without an audit log everything stays as it was', () => {
    const other = booked({ key: 'k2', robot: true });
    expect(one([booked(), other])).toEqual([booked(), other]);
  });

  it('score like the act: the same command is a hit under whatever name', () => {
    const undo = seen();
    const change = audited({
      client: 'kubectl',
      operation: 'patch',
      fields: undo.fields,
      values: {},
      template: NEW_TEMPLATE,
    });
    const score = scoreShadow(facts({ seen: one([undo, change]) }));
    expect(score).toMatchObject({ verdict: 'hit', rows: [{ mark: 'hit' }] });
    expect(score.rows[0]?.people).toContain('dan (kubectl) changed deployment/settlement-api');
    // Overwritten before anybody looked: the audit log alone has it.
    const gone = scoreShadow(facts({ seen: [undo, audited({ operation: 'delete', fields: [] })] }));
    expect(gone.rows.at(-1)).toMatchObject({
      mark: 'miss',
      people: 'dan (kubectl-scale) deleted deployment/settlement-api',
    });
  });
});

function watched(): Snapshot {
  let s = walkTo('PLANNING', { autonomy: 'suggest', shadow: { quiet_s: 60, watch_s: 3600 } });
  s = take(s, { type: 'drafted', at: at(4), effect_id: runningId(s), draft: draft() });
  return take(s, preparedEvent(runningId(s), s.context.revision, 5));
}

function observed(s: Snapshot, changes: SeenChange[], offset_s = 170) {
  const base = { at: at(offset_s), effect_id: runningId(s), unseen: [], final: false, over: false };
  return { type: 'observed' as const, ...base, changes };
}

describe('a name that comes later', () => {
  const unnamed = booked({ target: TARGET });
  const named = { ...oneAct([unnamed, audited({ target: TARGET })], [], NOTHING_PLANNED)[0]! };

  it('is put to the act that is known, told once, and never taken away', () => {
    let s = take(watched(), observed(watched(), [unnamed]));
    const event = observed(s, [named], 175);
    const after = take(s, event);
    expect(after.context.shadow?.seen).toMatchObject([{ key: 'k1', by: 'dan', authenticated: true }]);
    const cards = JSON.stringify(commitOf(s, event, after, 'aegis:test', [], VIEW).cards);
    expect(cards).toContain('The audit log says who it was: ');
    expect(cards).toContain('dan (kubectl-scale) changed sparkapplication/nightly-settlement');
    expect(cards).not.toContain('Seen, done by hand');
    s = take(after, observed(after, [unnamed], 180));
    expect(s.context.shadow?.seen).toMatchObject([{ by: 'dan' }]);
    const again = observed(s, [named], 185);
    expect(JSON.stringify(commitOf(s, again, take(s, again), 'aegis:test', [], VIEW).cards)).not.toContain(
      'who it was',
    );
  });
});

describe('a look with an audit log', () => {
  const CHANGES = stringify({
    cluster: 'prod-1',
    namespace: 'spark-jobs',
    changes: [
      {
        target: TARGET,
        manager: 'kubectl-edit',
        operation: 'Update',
        at: at(90),
        fields: ['/spec/a'],
        values: {},
      },
    ],
    unseen: [],
  });

  /** The effect over a world of two files; `audit` is the text of the second one, or why it cannot be read. */
  async function look(audit: string | { code: string }, cluster: object = { audit: {} }) {
    const commands: string[] = [];
    const s = watched();
    const world = {
      call: ({ command }: { command: string }) => {
        commands.push(command);
        const is_audit = command.includes('/audit.yaml');
        return Promise.resolve(
          is_audit && typeof audit === 'object'
            ? { ok: false, op: 'run', refusal: refuse(audit.code, 'The log store is away.', 'Wait.') }
            : { ok: true, op: 'run', capture: { pointer: { evidence_id: is_audit ? 'audit' : 'changes' } } },
        );
      },
    };
    const resolved = incidentContext().alerts.map((alert) => ({ ...alert, status: 'resolved' as const }));
    const context = { ...s.context, resolved_at: at(100) };
    const input = {
      deps: {
        store: {
          tokens: { mint: () => Promise.resolve(), revoke: () => Promise.resolve() },
          evidence: { open: (id: string) => Promise.resolve({ text: id === 'audit' ? audit : CHANGES }) },
        },
        vfs: { world: () => world },
        settings: { clusters: { 'prod-1': cluster }, shadow: { ...SETTINGS, kinds: ['sparkapplication'] } },
        clock: { now: () => T0 + 1000_000 },
        ids: { next: () => 'tok_1', secret: () => 'secret' },
      },
      context: { ...context, incident: { ...context.incident, alerts: resolved } },
      running: s.context.running,
      signal: new AbortController().signal,
      at: () => at(1000),
    };
    return { event: await observeEffect(input as unknown as EffectInput), commands };
  }

  it('asks the log since the opening, and tells one act under the user’s name', async () => {
    const same = act({ target: TARGET, client: 'kubectl-edit', at: at(90.2), fields: ['/spec/a'] });
    const gone = act({ target: TARGET, operation: 'delete', at: at(95), fields: [], values: {} });
    const { event, commands } = await look(file([same, gone]));
    expect(commands).toHaveLength(2);
    expect(commands[1]).toMatch(/namespaces\/spark-jobs\/audit\.yaml\?since=2026-11-23T/);
    expect(event).toMatchObject({
      type: 'observed',
      final: true,
      unseen: [],
      changes: [
        { by: 'dan', client: 'kubectl-edit' },
        { by: 'dan', operation: 'delete' },
      ],
    });
  });

  it('is tried again at the end when the log store is away, then says so', async () => {
    const { event, commands } = await look({ code: 'upstream-unreachable' });
    expect(commands.filter((command) => command.includes('audit.yaml'))).toHaveLength(3);
    expect(event).toMatchObject({
      unseen: [{ place: 'prod-1/spark-jobs/audit log', why: 'The log store is away.' }],
      changes: [{ manager: 'kubectl-edit' }],
    });
  });

  it('does not ask where the cluster has none, and says of a strange file that it sees nothing there', async () => {
    expect((await look('', {})).commands).toHaveLength(1);
    expect((await look('nonsense: true')).event).toMatchObject({
      unseen: [{ place: 'prod-1/spark-jobs/audit log', why: 'the file has another form' }],
    });
  });
});
