import { skillCognition } from '../../src/cognition/cognition.ts';
import { Budgets } from '../../src/contract/budgets.ts';
import type { Approval } from '../../src/contract/approval.ts';
import type { EvidencePointer } from '../../src/contract/evidence.ts';
import { Guardrails } from '../../src/contract/guardrails.ts';
import type { PlanDraft } from '../../src/contract/plan.ts';
import { isoTime } from '../../src/contract/ports.ts';
import { effectHashOf } from '../../src/contract/tool.ts';
import type { Preview } from '../../src/contract/tool.ts';
import { commitOf } from '../../src/harness/commit-of.ts';
import type { HarnessDeps } from '../../src/harness/deps.ts';
import { clearEffect } from '../../src/harness/effects/clear.ts';
import { prepareEffect } from '../../src/harness/effects/prepare.ts';
import type { EventOf, HarnessEvent } from '../../src/harness/events.ts';
import { step } from '../../src/harness/machine.ts';
import { emptySnapshot } from '../../src/harness/state.ts';
import type { Running, Snapshot } from '../../src/harness/state.ts';
import { draft, findings, incidentContext, RULE } from '../harness/fixtures.ts';
import { DRIVER, fixture } from '../vfs/fixture.ts';
import type { Fixture } from '../vfs/fixture.ts';

/**
 * An incident over the real store, VFS and gates, up to the edge of its write: what is faked is the source behind the
 * gateway, which a test can change, and the planner, whose draft a test makes.
 */
export const ROOT = '/teams/data/prod';
export const POD = `${ROOT}/k8s/namespaces/settlement/pods/${DRIVER}`;
export const STATUS = `read ${POD}/status.yaml`;
export const LOG = `grep "OutOfMemoryError" ${ROOT}/logs/driver.log --since 1h | tail -n 3`;
const SHA = 'a'.repeat(64);
const TARGET = 'mcp://k8s/prod-a/settlement/sparkapplication/nightly-settlement';
const VIEW = { ledger_head: '0'.repeat(64), tool_calls: 0, simulated: true, approvers: 'Dan' };
export const MAX_AGE_S = 600;
export const GONE_MAX_AGE_S = 300;

const GUARDRAILS = Guardrails.parse({
  v: 1,
  touch: [],
  privileged_paths: [],
  risk: { blast_radius_max: 0.9, two_people_at: 0.9 },
  evidence: { max_age_s: MAX_AGE_S, gone_cause_max_age_s: GONE_MAX_AGE_S },
  approval: [{ when: {}, rule: { ...RULE, expires_after_s: 3600 } }],
});

export type Cited = PlanDraft['evidence'][number];

export interface EvidenceStage extends Fixture {
  /** The incident as it stands. */
  snapshot(): Snapshot;
  /** What the store would make of a snapshot that somebody has edited. */
  edit(change: (snapshot: Snapshot) => Snapshot): void;
  /** Takes an event as the runner does: machine, one commit. @returns its step, or throws the refusal. */
  take(event: HarnessEvent): Promise<Snapshot>;
  /** The planner returns this evidence; the plan is frozen, previewed and gated. */
  prepare(evidence: readonly Cited[]): Promise<HarnessEvent>;
  /** Dan and Inês approve. */
  approve(): Promise<Snapshot>;
  /** After the approvals, before anything runs. */
  clear(): Promise<EventOf<'cleared'> | EventOf<'effect_failed'>>;
  /** Codes and reasons of refusals in the incident's ledger. */
  refusals(): Promise<{ code: string; reason: string }[]>;
  /** Text of the thread's messages so far, oldest first. */
  thread(): string;
}

export function cited(id: string, pointer: EvidencePointer, role: Cited['role'] = 'precondition'): Cited {
  return { id, role, pointer, claim: 'what the planner claims' };
}

export async function evidenceStage(options: { skills_dir?: string } = {}): Promise<EvidenceStage> {
  const world = await fixture(options);
  const now = (): string => isoTime(world.clock.now());
  const deps = depsOf(world);
  const said: string[] = [];
  let snapshot = emptySnapshot();

  async function take(event: HarnessEvent): Promise<Snapshot> {
    const stepped = step(snapshot, event);
    if (!stepped.ok) throw new Error(`${event.type}: ${stepped.refusal.code}: ${stepped.refusal.reason}`);
    const commit = commitOf(snapshot, event, stepped.snapshot, 'aegis:test', [], VIEW);
    await world.store.step.commit(commit);
    for (const { notice } of commit.cards)
      if (notice.kind === 'timeline')
        said.push(notice.segments.map((part) => ('text' in part ? part.text : '')).join(''));
    snapshot = stepped.snapshot;
    return snapshot;
  }

  const effect_id = (): string => snapshot.context.running?.effect_id ?? '';
  const input = () => ({
    deps,
    context: snapshot.context,
    running: snapshot.context.running as Running,
    signal: new AbortController().signal,
    at: now,
  });
  const scope = { ...incidentContext().scope, cluster: 'prod-a', namespace: 'settlement' };
  await take({
    type: 'opened',
    at: now(),
    context: incidentContext({ scope, opened_at: now() }),
    channel: 'C1',
  });
  await take({ type: 'triaged', at: now(), effect_id: effect_id(), skills: [] });
  await take({ type: 'activated', at: now(), by: 'maya' });
  await take({ type: 'investigated', at: now(), effect_id: effect_id(), findings: findings() });

  return {
    ...world,
    snapshot: () => snapshot,
    edit: (change) => void (snapshot = change(snapshot)),
    take,
    async prepare(evidence) {
      const [action] = draft().actions;
      const preconditions = evidence.filter((e) => e.role === 'precondition').map((e) => e.id);
      const actions = [{ ...(action as NonNullable<typeof action>), target: TARGET, preconditions }];
      await take({
        type: 'drafted',
        at: now(),
        effect_id: effect_id(),
        draft: { ...draft(), evidence: [...evidence], actions },
      });
      const event = await prepareEffect(input());
      await take(event);
      return event;
    },
    async approve() {
      const { approval_id, revision, plan_hash } = snapshot.context.approval as Approval;
      for (const by of ['dan', 'ines'])
        await take({
          type: 'decided',
          at: now(),
          by,
          approval_id,
          revision,
          plan_hash,
          decision: 'approve',
          via: 'slack',
          role: 'oncall',
          reason: '',
          because: null,
        });
      return snapshot;
    },
    async clear() {
      const event = (await clearEffect(input())) as EventOf<'cleared'> | EventOf<'effect_failed'>;
      await take(event);
      return event;
    },
    async refusals() {
      const entries = await world.store.ledger.read(world.session.incident_id ?? '', { kinds: ['refusal'] });
      return entries.map(({ payload }) => payload as { code: string; reason: string });
    },
    thread: () => said.join('\n---\n'),
  };
}

function depsOf(world: Fixture): HarnessDeps {
  const changes = [{ path: '/spec/driver/memory', before: '1g', after: '2g' }];
  const preview: Preview = {
    tool: 'job.update_spec',
    target: TARGET,
    object_uid: 'u1',
    changes,
    side_changes: [],
    diff: [],
    warnings: [],
    resources: null,
    effect_hash: effectHashOf({ target: TARGET, object_uid: 'u1', changes }),
  };
  const gateway = {
    preview: () => Promise.resolve({ call_id: 'c1', preview }),
    guardrails: () => GUARDRAILS,
    policyDigest: () => SHA,
    toolDefinitionsDigest: () => SHA,
    classify: () => ({ action_class: 'write' }),
    credentialRevocable: () => true,
  };
  const mounts = [{ kind: 'kubernetes', cluster: 'prod-a', namespaces: ['settlement'] }];
  const role = [{ team: 'data', env: 'prod', role: 'oncall' }];
  const settings = {
    teams: { data: { environments: { prod: { mounts } } } },
    services: [],
    identity: ['dan', 'ines'].map((principal) => ({ principal, name: principal, slack: [], roles: role })),
    slack: { workspace: 'T1' },
    unsafe_endpoints: true,
    http: {},
    budgets: Budgets.parse({}),
  };
  let next = 0;
  const ids = {
    next: (prefix: string) => `${prefix}_x${String(++next)}`,
    secret: () => `s${String(++next)}`,
  };
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  return {
    store: world.store,
    vfs: world.vfs,
    clock: world.clock,
    ids,
    log,
    gateway,
    settings,
    cognition: skillCognition(),
    notify() {},
    review: () => ({ title: '', markdown: '' }),
  } as unknown as HarnessDeps;
}
