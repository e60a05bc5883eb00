import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseYamlText } from '../../src/contract/parse.ts';
import { compileRules, RedactionRules } from '../../src/gateway/sanitize/rules.ts';
import { sanitizeText, sanitizeValue } from '../../src/gateway/sanitize/sanitize.ts';
import { measurement } from './bench.ts';
import type { Bench, Measurement } from './bench.ts';

/**
 * What redaction adds to an answer of one megabyte: as one text, as log entries, as Kubernetes objects. The floor reads
 * the same bytes once and parses nothing: one native pattern over all of them.
 */
export const redaction: Bench = {
  name: 'redaction',
  about: '1 MB of logs and JSON through all rules (floor: one native pattern over the same bytes)',
  run: measureRedaction,
};

const ROUNDS = 15;
const MB = 1_048_576;
const POLICY = join(import.meta.dirname, '..', '..', 'policies', 'redaction.yaml');
/** Never matches, and every character must be looked at for that. */
const FLOOR = /[\u0001-\u0008]\d/g;

// Some lines hold something to redact, most do not: as in a log of a service.
const LINES: readonly string[] = [
  'INFO DAGScheduler: Submitting 200 missing tasks from ResultStage 12 (MapPartitionsRDD[7] at map at Settlement.scala:88)',
  'INFO Executor: Finished task 17.0 in stage 12.0 (TID 2412). 1532 bytes result sent to driver',
  '{"ts":"2026-11-23T10:11:12.123Z","level":"info","msg":"request done","path":"/api/v1/orders/7428e28a-e0d9-4e9e-ba93-2d13d0b3ada5","status":200,"ms":12.4,"trace":"4bf92f3577b34da6a3ce929d0e0e4736"}',
  'WARN TaskSetManager: Lost task 3.0 in stage 12.0 (TID 2413) (10.20.1.11 executor 4): java.lang.OutOfMemoryError: Java heap space',
  '\tat org.apache.spark.sql.execution.exchange.ShuffleExchangeExec$.prepareShuffleDependency(ShuffleExchangeExec.scala:346)',
  'INFO BlockManagerInfo: Added broadcast_7_piece0 in memory (size: 54.3 KiB, free: 366.2 MiB)',
  'INFO SettlementReport: queued statement for kim.berg@example.com (batch 4112)',
  'DEBUG TokenCache: key lookup for tenant=acme took 3 ms, secretName=settlement-db, cached=true',
];

async function measureRedaction(): Promise<Measurement[]> {
  const parsed = parseYamlText(readFileSync(POLICY, 'utf8'));
  if (!parsed.ok) throw new Error(parsed.reason);
  const rules = compileRules(RedactionRules.parse(parsed.value));
  const { text, entries } = logs();
  const objects = kubernetesObjects();
  return [
    timed('redaction of log text', text, () => sanitizeText(text, rules)),
    timed('redaction of log entries', JSON.stringify(entries), () => sanitizeValue({ entries }, rules)),
    timed('redaction of Kubernetes objects', JSON.stringify(objects), () =>
      sanitizeValue({ items: objects }, rules),
    ),
  ];
}

/** Milliseconds a megabyte. Floor and value alternate: a loaded machine hits both. */
function timed(name: string, bytes: string, run: () => unknown): Measurement {
  const size_mb = Buffer.byteLength(bytes) / MB;
  const values: number[] = [];
  const floors: number[] = [];
  for (let round = -3; round < ROUNDS; round += 1) {
    const floor = millisecondsOf(() => bytes.match(FLOOR));
    const value = millisecondsOf(run);
    if (round < 0) continue;
    floors.push(floor / size_mb);
    values.push(value / size_mb);
  }
  return measurement(name, 'ms/MB', values, floors);
}

/** Of the processor, not of the clock: what other programs take meanwhile is not the cost of this one. */
function millisecondsOf(run: () => unknown): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function logs(): { text: string; entries: object[] } {
  const entries: object[] = [];
  const lines: string[] = [];
  const labels = { namespace: 'spark-jobs', pod: 'nightly-settlement-driver', container: 'spark' };
  let bytes = 0;
  for (let n = 0; bytes < MB; n += 1) {
    const line = `26/11/23 10:${String(n % 60).padStart(2, '0')}:12 ${LINES[n % LINES.length] ?? ''} #${n}`;
    bytes += line.length + 1;
    lines.push(line);
    entries.push({ ts_ns: String(1_795_453_738_325_000_000n + BigInt(n)), labels, line });
  }
  return { text: lines.join('\n'), entries };
}

function kubernetesObjects(): object[] {
  const image = `registry.example.com/data/web@sha256:${'0123456789abcdef'.repeat(4)}`;
  return Array.from({ length: 600 }, (_, n) => ({
    metadata: {
      name: `web-7f9c6d5b4-${n}`,
      namespace: 'shop',
      uid: `7428e28a-e0d9-4e9e-ba93-2d13d0b3${String(n).padStart(4, '0')}`,
      resourceVersion: String(43_489_911 + n),
      labels: { app: 'web', 'pod-template-hash': '7f9c6d5b4' },
      creationTimestamp: '2026-11-23T10:11:12Z',
    },
    spec: {
      nodeName: `node-${n % 12}`,
      containers: [
        {
          name: 'web',
          image,
          env: [
            { name: 'DB_PASSWORD', value: `secret-${n}` },
            { name: 'MODE', value: 'fast' },
          ],
          resources: { limits: { cpu: '250m', memory: '2Gi' }, requests: { cpu: '100m', memory: '1Gi' } },
        },
      ],
    },
    status: {
      phase: 'Running',
      podIP: `10.1.${n % 250}.3`,
      conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
        type,
        status: 'True',
        lastTransitionTime: '2026-11-23T10:11:12Z',
        message: `the condition ${type} is met`,
      })),
    },
  }));
}
