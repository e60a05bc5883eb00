import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selectYaml } from '../../src/contract/expectation.ts';
import { createVfs, type Vfs } from '../../src/vfs/vfs.ts';
import type { VfsSession } from '../../src/vfs/session.ts';
import { startStage, type Stage } from '../gateway/stage.ts';
import { WIDE } from './fixture.ts';

/** The reads of the Spark story through the real gateway, its redaction and its audit, over the lab's twins. */
const ROOT = '/teams/data/prod';
const POD = `${ROOT}/k8s/clusters/prod-1/namespaces/spark-jobs/pods/nightly-settlement-driver`;
const LOG = `${ROOT}/logs/pods/nightly-settlement-driver.log`;

let stage: Stage;
let vfs: Vfs;
let session: VfsSession;

beforeAll(async () => {
  stage = await startStage({
    settings: (settings) => {
      const prod = settings.teams['data']?.environments['prod'];
      prod?.mounts.push({ kind: 'jobs', cluster: 'prod-1', namespaces: ['spark-jobs'] });
      return settings;
    },
  });
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const { store, gateway, settings, clock, ids } = stage;
  vfs = createVfs({ store, gateway, settings, skills_dir: null, clock, ids, log });
  session = {
    incident_id: 'INC-2026-1123-001',
    team: 'data',
    env: 'prod',
    opened_at_ms: clock.now(),
    token: await stage.token({ action_class: 'read' }),
    budget: { round: WIDE, incident: WIDE },
  };
});
afterAll(() => stage.close());

async function read(
  command: string,
): Promise<{ lines: readonly string[]; pointer: Parameters<Vfs['holds']>[0] }> {
  const response = await vfs.world(session).call({ op: 'run', command, why_needed: 'the story' });
  if (!response.ok || response.op !== 'run') throw new Error(`${command}: ${JSON.stringify(response)}`);
  const stored = await vfs.readCaptured(response.capture.pointer, session);
  if (!('lines' in stored)) throw new Error(stored.reason);
  return { lines: stored.lines, pointer: response.capture.pointer };
}

describe('the Spark story through the real gateway', () => {
  it('shows the failed job and how its driver ended', async () => {
    const status = await read(`read ${ROOT}/jobs/spark-jobs.nightly-settlement/status.yaml`);
    expect(selectYaml(status.lines, 'state')).toBe('FAILED');
    expect(selectYaml(status.lines, 'driver_pod')).toBe('nightly-settlement-driver');
    const pod = await read(`read ${POD}/status.yaml`);
    expect(selectYaml(pod.lines, 'containers[0].terminated.reason')).toBe('OOMKilled');
    expect(selectYaml(pod.lines, 'containers[0].terminated.exit_code')).toBe(137);
    const spec = await read(`read ${ROOT}/jobs/nightly-settlement/spec.yaml`);
    expect(selectYaml(spec.lines, 'spec.driver.memory')).toBe('1g');
    const quota = await read(`read ${ROOT}/k8s/namespaces/spark-jobs/quota.yaml`);
    expect(quota.lines.join('\n')).toMatch(/hard:[\s\S]*used:/);
    for (const { pointer } of [status, pod, spec, quota])
      expect(await vfs.holds(pointer, session)).toMatchObject({ status: 'holds' });
  });

  it('finds the OOM lines with a pushed filter, and they hold', async () => {
    const { lines, pointer } = await read(`grep "OutOfMemoryError|OOM" ${LOG} --since 2h | tail -n 20`);
    expect(lines.length).toBeGreaterThan(0);
    expect(
      lines.every((line) =>
        /^\S+Z nightly-settlement-driver\/spark-kubernetes-driver \| .*(OutOfMemoryError|OOM)/.test(line),
      ),
    ).toBe(true);
    const record = await stage.store.evidence.record(pointer.evidence_id);
    expect(record?.source_query).toBe(
      '{namespace="spark-jobs", pod="nightly-settlement-driver"} |~ "OutOfMemoryError|OOM"',
    );
    expect(await vfs.holds(pointer, session)).toMatchObject({ status: 'holds' });
  });

  it('gives the same bytes pushed and filtered afterwards, under the real redaction', async () => {
    const window = `--since 2026-01-01T00:00:00Z`.replace(
      '2026-01-01T00:00:00Z',
      new Date(stage.clock.now() - 7_200_000).toISOString(),
    );
    const until = `--until ${new Date(stage.clock.now() - 5000).toISOString()}`;
    const whole = (await read(`read ${LOG} ${window} ${until}`)).lines;
    expect(whole.length).toBeGreaterThan(50);
    expect(whole.join('\n')).toMatch(/\[REDACTED_EMAIL\]/);
    for (const text of [
      'OOM',
      'REDACTED',
      'EMAIL',
      'statement for',
      'northwind',
      'maria',
      'INFO',
      'driver',
      'spark',
      'stage 3',
      'java.lang',
      'at org',
      'DE',
      '203.0.113',
      'payout batch',
      'user=',
    ])
      expect((await read(`grep -F "${text}" ${LOG} ${window} ${until}`)).lines, text).toEqual(
        whole.filter((line) => line.includes(text)),
      );
  });

  it('shows memory as scraped and events without counts', async () => {
    const memory = await read(`read ${ROOT}/metrics/pods/nightly-settlement-driver/memory.prom --since 2h`);
    expect(Number(selectYaml(memory.lines, 'max.ratio'))).toBeGreaterThan(0.8);
    expect(await vfs.holds(memory.pointer, session)).toMatchObject({ status: 'holds' });
    const cpu = await read(`read ${ROOT}/metrics/pods/nightly-settlement-driver/cpu.prom --since 2h`);
    expect(Number(selectYaml(cpu.lines, 'sample_count'))).toBeGreaterThan(0);
    const quota = await read(`read ${ROOT}/metrics/namespaces/spark-jobs/quota.prom --since 2h`);
    expect(Number(selectYaml(quota.lines, 'latest.hard'))).toBeGreaterThan(0);
    const long = await read(`read ${ROOT}/metrics/pods/nightly-settlement-driver/memory.prom --since 24h`);
    expect(Number(selectYaml(long.lines, 'sample_count'))).toBeGreaterThan(0);
    const events = await read(`tail -n 30 ${POD}/events.tail`);
    expect(events.lines.join('\n')).toMatch(/ Normal Started kubelet \| /);
    expect(await vfs.holds(events.pointer, session)).toMatchObject({ status: 'holds' });
    const logs = await read(`tail -n 5 ${POD}/logs.tail?limit=20 --since 2h`);
    expect(logs.lines).toHaveLength(5);
    expect(await vfs.holds(logs.pointer, session)).toMatchObject({ status: 'holds' });
  });

  it('answers a missing object like a neighbour’s', async () => {
    for (const path of [
      `${ROOT}/jobs/nope/spec.yaml`,
      `${ROOT}/k8s/namespaces/fraud/quota.yaml`,
      '/teams/fraud/prod/k8s/namespaces/fraud/quota.yaml',
      POD.replace('-driver', '-nope') + '/events.tail',
    ])
      expect(
        await vfs.world(session).call({ op: 'run', command: `read ${path}`, why_needed: 'x' }),
      ).toMatchObject({
        ok: false,
        refusal: { code: 'no-such-path', reason: `There is nothing at ${path}.` },
      });
  });

  it('lists pods and jobs', async () => {
    const names = async (path: string) => {
      const response = await vfs.world(session).call({ op: 'ls', path, why_needed: 'x' });
      return response.ok && response.op === 'ls' ? response.entries.map(({ name }) => name) : response;
    };
    expect(await names(`${ROOT}/jobs`)).toContain('nightly-settlement');
    expect(await names(`${ROOT}/k8s/namespaces/spark-jobs/pods`)).toContain('nightly-settlement-driver');
  });

  it('leaves a ledger that verifies', async () => {
    expect((await stage.store.ledger.verify()).problems).toEqual([]);
  });
});
