import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../src/lab/world/kube-object.ts';
import { objectAt, stringAt } from '../../src/lab/world/kube-object.ts';
import { HOSTILE_LOG_LINES, prod1 } from '../../src/lab/world/prod-1.ts';
import type { Prod1Options } from '../../src/lab/world/prod-1.ts';
import {
  MIB,
  formatBytes,
  parseJvmMemory,
  parseQuantity,
  sparkContainerBytes,
} from '../../src/lab/world/quantity.ts';
import { outOfMemory, workingSetBytes } from '../../src/lab/world/spark-memory.ts';
import type { Series } from '../../src/lab/world/telemetry.ts';
import { World } from '../../src/lab/world/world.ts';

const START_MS = Date.parse('2026-11-23T02:30:00Z');
const JOB = ['SparkApplication', 'spark-jobs', 'nightly-settlement'] as const;

function createWorld(options: Prod1Options & { seed?: string } = {}) {
  const time = { now_ms: START_MS };
  const world = new World({
    definition: prod1(options),
    clock: () => time.now_ms,
    seed: options.seed ?? 'seed',
  });
  /** Moves time on in steps of 50 ms, as the running lab does. */
  function pass(ms: number): void {
    for (const end = time.now_ms + ms; time.now_ms < end;) {
      time.now_ms += 50;
      world.tick();
    }
  }
  return { world, time, pass };
}

function setDriverMemory(world: World, memory: string): void {
  world.change(...JOB, (job) => Object.assign(objectAt(job, 'spec', 'driver'), { memory }), {
    manager: 'kubectl-edit',
  });
}

function jobState(world: World): string {
  return stringAt(world.store.get(...JOB), 'status', 'applicationState', 'state');
}

function driver(world: World): KubeObject | undefined {
  return world.store.get('Pod', 'spark-jobs', 'nightly-settlement-driver');
}

function terminated(pod: KubeObject | undefined) {
  return objectAt(pod, 'status', 'containerStatuses', 0, 'state', 'terminated');
}

function seriesOf(world: World, name: string, labels: Record<string, string>): Series[] {
  return world
    .series()
    .filter(
      ({ labels: all }) =>
        all['__name__'] === name && Object.entries(labels).every(([key, value]) => all[key] === value),
    );
}

function snapshot(world: World): string {
  const kinds = ['Pod', 'Event', 'SparkApplication', 'Deployment', 'ReplicaSet', 'ResourceQuota'];
  const logs = world.logs().map(({ ts_ns, line }) => `${ts_ns} ${line}`);
  return JSON.stringify([kinds.map((kind) => world.store.list(kind)), logs, world.series()]);
}

describe('the seeded past', () => {
  it('is equal for equal seeds and clocks, also after a change, and different for another seed', () => {
    const [a, b, other] = [createWorld(), createWorld(), createWorld({ seed: 'other' })];
    expect(snapshot(a.world)).toBe(snapshot(b.world));
    expect(snapshot(a.world)).not.toBe(snapshot(other.world));
    for (const { world, pass } of [a, b]) {
      setDriverMemory(world, '2g');
      pass(12_000);
    }
    expect(snapshot(a.world)).toBe(snapshot(b.world));
  });

  it('does not depend on how often it is ticked', () => {
    const [often, once] = [createWorld(), createWorld()];
    setDriverMemory(often.world, '2g');
    setDriverMemory(once.world, '2g');
    often.pass(10_000);
    once.time.now_ms += 10_000;
    once.world.tick();
    expect(snapshot(often.world)).toBe(snapshot(once.world));
  });

  it('holds a driver that the kernel killed about four minutes ago, with its events', () => {
    const { world } = createWorld();
    const { exitCode, reason, finishedAt } = terminated(driver(world));
    expect({ exitCode, reason }).toEqual({ exitCode: 137, reason: 'OOMKilled' });
    const ago_ms = START_MS - Date.parse(String(finishedAt));
    expect(ago_ms).toBeGreaterThan(3.5 * 60_000);
    expect(ago_ms).toBeLessThan(5 * 60_000);
    expect(jobState(world)).toBe('FAILED');
    const reasons = world.store.list('Event').map((event) => event['reason']);
    expect(reasons).toEqual(
      expect.arrayContaining(['SparkDriverFailed', 'SparkApplicationFailed', 'OOMKilling', 'Scheduled']),
    );
  });

  it('shows 1408Mi as the limit of a 1g driver: heap plus 384 MiB overhead', () => {
    const { world } = createWorld();
    expect(stringAt(driver(world), 'spec', 'containers', 0, 'resources', 'limits', 'memory')).toBe('1408Mi');
  });

  it('has a driver log with the OutOfMemoryError, and personal data to redact', () => {
    const { world } = createWorld();
    const lines = world
      .logs()
      .filter(({ labels }) => labels['pod'] === 'nightly-settlement-driver')
      .map(({ line }) => line);
    expect(lines.length).toBeGreaterThan(200);
    expect(lines.filter((line) => line.includes('java.lang.OutOfMemoryError: Java heap space'))).toHaveLength(
      3,
    );
    expect(lines.some((line) => /[a-z.]+@[a-z-]+\.example/.test(line))).toBe(true);
    expect(lines.some((line) => line.includes('203.0.113.'))).toBe(true);
  });

  it('keeps logs and samples in ascending time order', () => {
    const { world } = createWorld();
    const stamps = world.logs().map(({ ts_ns }) => ts_ns);
    expect(stamps.every((stamp, index) => index === 0 || stamp > (stamps[index - 1] ?? 0n))).toBe(true);
    for (const { samples } of world.series()) {
      expect(
        samples.every(({ ts_ms }, index) => index === 0 || ts_ms > (samples[index - 1]?.ts_ms ?? 0)),
      ).toBe(true);
    }
  });

  it('samples the past every 15 seconds, and the failed driver climbs to its limit and then ends with a stale marker', () => {
    const { world } = createWorld();
    const [series] = seriesOf(world, 'container_memory_working_set_bytes', {
      pod: 'nightly-settlement-driver',
    });
    const samples = series?.samples ?? [];
    expect((samples[1]?.ts_ms ?? 0) - (samples[0]?.ts_ms ?? 0)).toBe(15_000);
    const values = samples.map(({ value }) => value);
    expect(Number.isNaN(values.at(-1))).toBe(true);
    const peak = Math.max(...values.slice(0, -1));
    expect(peak).toBeLessThanOrEqual(1408 * MIB);
    expect(peak).toBeGreaterThan(0.9 * 1408 * MIB);
    expect(
      seriesOf(world, 'kube_pod_container_status_terminated_reason', {
        reason: 'OOMKilled',
        namespace: 'spark-jobs',
      }),
    ).toHaveLength(1);
  });

  it('carries hostile log lines when the scenario asks for them', () => {
    const { world } = createWorld({ driver_log_lines: HOSTILE_LOG_LINES });
    const text = world
      .logs()
      .map(({ line }) => line)
      .join('\n');
    for (const line of HOSTILE_LOG_LINES) expect(text).toContain(line);
  });
});

describe('the Spark operator', () => {
  it('reruns a failed job when its specification changes, and 2g is enough', () => {
    const { world, pass } = createWorld();
    const before = driver(world)?.metadata.uid;
    const states = new Set<string>();
    setDriverMemory(world, '2g');
    for (let step = 0; step < 240 && jobState(world) !== 'COMPLETED'; step += 1) {
      pass(50);
      states.add(jobState(world));
    }
    expect([...states]).toEqual([
      'FAILED',
      'INVALIDATING',
      'PENDING_RERUN',
      'SUBMITTED',
      'RUNNING',
      'SUCCEEDING',
      'COMPLETED',
    ]);
    expect(driver(world)?.metadata.uid).not.toBe(before);
    expect(terminated(driver(world))['exitCode']).toBe(0);
    const uid = (driver(world)?.metadata.uid ?? '').replaceAll('-', '_');
    const own = seriesOf(world, 'container_memory_working_set_bytes', {
      container: 'spark-kubernetes-driver',
    }).find(({ labels }) => labels['id']?.includes(uid) === true);
    const values = (own?.samples ?? []).map(({ value }) => value).filter((value) => !Number.isNaN(value));
    expect(values.length).toBeGreaterThan(3);
    expect(Math.max(...values)).toBeLessThan(0.9 * 2432 * MIB);
  });

  it.each([
    ['1200m', 'FAILED'],
    ['1700m', 'FAILED'],
    ['1800m', 'COMPLETED'],
    ['4g', 'COMPLETED'],
  ])('with %s of driver memory the rerun ends %s', (memory, end) => {
    const { world, pass } = createWorld();
    setDriverMemory(world, memory);
    pass(12_000);
    expect(jobState(world)).toBe(end);
    expect(terminated(driver(world))['reason']).toBe(end === 'FAILED' ? 'OOMKilled' : 'Completed');
  });

  it('does nothing when metadata changes but not the specification', () => {
    const { world, pass } = createWorld();
    world.change(...JOB, (job) => Object.assign(job.metadata, { annotations: { note: 'looked at' } }), {
      manager: 'kubectl-edit',
    });
    pass(3_000);
    expect(jobState(world)).toBe('FAILED');
    expect(world.store.get(...JOB)?.metadata.generation).toBe(1);
  });

  it('fails the submission when the namespace quota has no room for the driver', () => {
    const { world, pass } = createWorld();
    setDriverMemory(world, '60g');
    pass(6_000);
    expect(jobState(world)).toBe('FAILED');
    const error = stringAt(world.store.get(...JOB), 'status', 'applicationState', 'errorMessage');
    expect(error).toContain('is forbidden: exceeded quota: spark-jobs-quota');
    expect(error).toContain('limited: requests.memory=40Gi,limits.memory=48Gi');
  });

  it('ends an older run when the specification changes again in the middle of it', () => {
    const { world, pass } = createWorld();
    setDriverMemory(world, '1200m');
    pass(3_000);
    setDriverMemory(world, '2g');
    pass(12_000);
    expect(jobState(world)).toBe('COMPLETED');
    expect(
      world.store
        .list('Pod', 'spark-jobs')
        .filter(({ metadata }) => metadata.name === 'nightly-settlement-driver'),
    ).toHaveLength(1);
  });

  it('fails a running application whose driver pod somebody deletes', () => {
    const { world, pass } = createWorld();
    setDriverMemory(world, '2g');
    pass(4_000);
    expect(jobState(world)).toBe('RUNNING');
    world.store.remove('Pod', 'spark-jobs', 'nightly-settlement-driver');
    pass(8_000);
    expect(jobState(world)).toBe('FAILED');
  });

  it('never moves anything of another team', () => {
    const { world, pass } = createWorld();
    const before = world.store.list('Pod', 'fraud').map(({ metadata }) => metadata.uid);
    setDriverMemory(world, '2g');
    pass(12_000);
    expect(world.store.list('Pod', 'fraud').map(({ metadata }) => metadata.uid)).toEqual(before);
  });
});

describe('Deployments', () => {
  const bad = 'registry.example.com/payments/checkout-api:1.43.0';
  function withBadImage() {
    return createWorld({
      images: [
        {
          image: bad,
          memory_mib: 200,
          ready_after_ms: 1_000,
          startup_log: ['INFO checkout-api 1.43.0'],
          steady_log: [],
          log_every_ms: 0,
          crash: {
            after_ms: 700,
            exit_code: 1,
            reason: 'Error',
            log: ['FATAL missing configuration key PAYMENT_ROUTE'],
          },
        },
      ],
    });
  }

  it('roll out a crashing image only as far as the surge and keep the old pods serving', () => {
    const { world, pass } = withBadImage();
    world.change(
      'Deployment',
      'payments',
      'checkout-api',
      (deployment) => {
        const containers = objectAt(deployment, 'spec', 'template', 'spec')['containers'] as {
          image: string;
        }[];
        Object.assign(containers[0] ?? {}, { image: bad });
      },
      { manager: 'argocd-controller' },
    );
    pass(10_000);
    const pods = world.store.list('Pod', 'payments');
    const crashing = pods.filter((pod) => stringAt(pod, 'spec', 'containers', 0, 'image') === bad);
    expect(crashing).toHaveLength(1);
    expect(
      Number(objectAt(crashing[0], 'status', 'containerStatuses', 0)['restartCount']),
    ).toBeGreaterThanOrEqual(2);
    expect(world.store.get('Deployment', 'payments', 'checkout-api')?.status).toMatchObject({
      readyReplicas: 3,
      updatedReplicas: 1,
    });
    expect(world.logs().some(({ line }) => line.includes('PAYMENT_ROUTE'))).toBe(true);
    expect(world.store.list('Event', 'payments').some((event) => event['reason'] === 'BackOff')).toBe(true);
  });

  it('come back from a release that replaced every pod and then crashes: pods that serve nobody make room', () => {
    const deploy = (deployment: KubeObject, image: string): void => {
      const { containers } = objectAt(deployment, 'spec', 'template', 'spec') as {
        containers?: { image: string }[];
      };
      for (const container of containers ?? []) container.image = image;
    };
    const late = 'registry.example.com/payments/checkout-api:1.44.0';
    const { world, pass } = createWorld({
      images: [
        {
          image: late,
          memory_mib: 200,
          startup_log: [],
          steady_log: [],
          log_every_ms: 0,
          crash: { after_ms: 5_000, exit_code: 1, reason: 'Error', log: ['FATAL'] },
        },
      ],
      changes: [
        {
          kind: 'Deployment',
          namespace: 'payments',
          name: 'checkout-api',
          manager: 'argocd-controller',
          at_ms: -300_000,
          edit: (deployment) => deploy(deployment, late),
        },
      ],
    });
    const status = () => world.store.get('Deployment', 'payments', 'checkout-api')?.status;
    const old = world.store
      .list('Pod', 'payments')
      .map((pod) => stringAt(pod, 'spec', 'containers', 0, 'image'));
    expect(old).toEqual([late, late, late]);
    expect(objectAt(status(), 'conditions', 0)['status']).toBe('False');
    const back = (deployment: KubeObject) => deploy(deployment, late.replace('1.44.0', '1.42.0'));
    world.change('Deployment', 'payments', 'checkout-api', back, { manager: 'kubectl' });
    pass(5_000);
    expect(status()).toMatchObject({ readyReplicas: 3, updatedReplicas: 3, replicas: 3 });
  });

  it('scale up and down and say so', () => {
    const { world, pass } = createWorld();
    for (const replicas of [5, 1]) {
      world.change(
        'Deployment',
        'payments',
        'checkout-api',
        ({ spec }) => Object.assign(spec ?? {}, { replicas }),
        { manager: 'kubectl' },
      );
      pass(3_000);
      expect(world.store.list('Pod', 'payments')).toHaveLength(replicas);
      expect(world.store.get('Deployment', 'payments', 'checkout-api')?.status).toMatchObject({
        readyReplicas: replicas,
      });
    }
  });
});

describe('memory arithmetic', () => {
  it('reads JVM sizes and Kubernetes quantities', () => {
    expect(['1g', '1800m', '2gb', '512', '1048576k'].map(parseJvmMemory)).toEqual(
      [1024, 1800, 2048, 512, 1024].map((mib) => mib * MIB),
    );
    expect(parseJvmMemory('2x')).toBeUndefined();
    expect(['1Gi', '500m', '2', '1408Mi', 'x'].map(parseQuantity)).toEqual([
      2 ** 30,
      0.5,
      2,
      1408 * MIB,
      undefined,
    ]);
    expect(sparkContainerBytes(8192 * MIB, { factor: 0.1 })).toBe(9011 * MIB);
  });

  it('formats what it parses back to the same number', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 50 }),
        (bytes) => parseQuantity(formatBytes(bytes)) === bytes,
      ),
    );
  });

  it('never lets the working set pass the limit, and more heap never turns success into failure', () => {
    const mib = (min: number, max: number) => fc.integer({ min, max }).map((value) => value * MIB);
    fc.assert(
      fc.property(
        mib(512, 8192),
        mib(300, 6000),
        mib(50, 380),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (heap, needed, native, at) => {
          const memory = {
            heap_max_bytes: heap,
            limit_bytes: sparkContainerBytes(heap, { factor: 0.1 }),
            heap_needed_bytes: needed,
            native_bytes: native,
          };
          expect(workingSetBytes(memory, at)).toBeLessThanOrEqual(memory.limit_bytes);
          const more = {
            ...memory,
            heap_max_bytes: heap * 2,
            limit_bytes: sparkContainerBytes(heap * 2, { factor: 0.1 }),
          };
          if (outOfMemory(memory) === undefined) expect(outOfMemory(more)).toBeUndefined();
        },
      ),
    );
  });
});
