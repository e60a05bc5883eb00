/** Driver log of a Spark run as a script: lines with their place in the run. Wording follows Spark 3.5's log4j layout. */
import type { Random } from './random.ts';
import { MIB } from './quantity.ts';

export interface ScriptLine {
  /** Place in the driver's life, 0..1. */
  at: number;
  text: string;
}

export interface DriverScriptOptions {
  random: Random;
  app_name: string;
  app_id: string;
  main_class: string;
  executors: number;
  heap_max_bytes: number;
  /** Where allocation starts to fail, 0..1 of the driver's life; absent: the run succeeds. */
  fails_at?: number;
  extra_lines: readonly string[];
}

const PEOPLE = ['maria.keller', 'j.oyelaran', 'tomas.novak', 'li.wei', 'a.fontaine'] as const;
const SHOPS = ['northwind-pay.example', 'lumen-retail.example', 'bergtal-bank.example'] as const;

/** The whole log of one driver, in order. A failing run ends with the lines around the OutOfMemoryError. */
export function driverScript(options: DriverScriptOptions): ScriptLine[] {
  const end = options.fails_at ?? 0.97;
  const work = workLines(options, end);
  const extra = options.extra_lines.map((text, index) => ({
    at: 0.2 + ((end - 0.25) * (index + 1)) / (options.extra_lines.length + 1),
    text,
  }));
  const tail = options.fails_at === undefined ? successTail(options) : failureTail(options, options.fails_at);
  return [...startLines(options), ...work, ...extra, ...tail].sort((a, b) => a.at - b.at);
}

/** log4j's `yy/MM/dd HH:mm:ss` in UTC, which the layout puts before every line that is not part of a stack trace. */
export function log4jTime(ms: number): string {
  return new Date(ms).toISOString().slice(2, 19).replaceAll('-', '/').replace('T', ' ');
}

function startLines({
  app_name,
  app_id,
  heap_max_bytes,
  main_class,
  executors,
}: DriverScriptOptions): ScriptLine[] {
  const lines = [
    `INFO SparkContext: Running Spark version 3.5.1`,
    `INFO SparkContext: OS info Linux, 6.1.0-28-amd64, amd64`,
    `INFO SparkContext: Java version 17.0.12`,
    `INFO ResourceUtils: No custom resources configured for spark.driver.`,
    `INFO SparkContext: Submitted application: ${app_name}`,
    `INFO ResourceProfile: Limiting resource is cpu`,
    `INFO SecurityManager: Changing view acls to: spark`,
    `INFO Utils: Successfully started service 'sparkDriver' on port 7078.`,
    `INFO SparkEnv: Registering MapOutputTracker`,
    `INFO SparkEnv: Registering BlockManagerMaster`,
    `INFO MemoryStore: MemoryStore started with capacity ${(((heap_max_bytes / MIB - 300) * 0.6) | 0).toFixed(1)} MiB`,
    `INFO Utils: Successfully started service 'SparkUI' on port 4040.`,
    `INFO SparkKubernetesClientFactory: Auto-configuring K8S client using current context from users K8S config file`,
    `INFO ExecutorPodsAllocator: Going to request ${executors} executors from Kubernetes for ResourceProfile Id: 0, target: ${executors}, known: 0, sharedSlotFromPendingPods: 2147483647.`,
    `INFO KubernetesClusterSchedulerBackend: Starting application ${app_id}`,
    `INFO NettyBlockTransferService: Server created on ${app_name}-driver-svc:7079`,
    `INFO ${main_class.split('.').at(-1) ?? main_class}: reading settlement window from s3a://prod-settlement/ledger/`,
  ];
  return lines.map((text, index) => ({ at: 0.01 + index * 0.004, text }));
}

function workLines(options: DriverScriptOptions, end: number): ScriptLine[] {
  const { random, executors } = options;
  const lines: ScriptLine[] = [];
  const stages = 6;
  let task = 0;
  for (let stage = 0; stage < stages; stage += 1) {
    const from = 0.1 + ((end - 0.1) * stage) / stages;
    const width = (end - 0.1) / stages;
    const place = (share: number) => from + width * share;
    lines.push({
      at: place(0.02),
      text: `INFO DAGScheduler: Submitting ShuffleMapStage ${stage} (MapPartitionsRDD[${stage * 4 + 3}] at mapPartitions at NightlySettlement.scala:${88 + stage * 11}), which has no missing parents`,
    });
    lines.push({
      at: place(0.04),
      text: `INFO TaskSchedulerImpl: Adding task set ${stage}.0 with 16 tasks resource profile 0`,
    });
    for (let partition = 0; partition < 16; partition += 1) {
      const executor = (partition % Math.max(1, executors)) + 1;
      const host = `10.42.${executor}.${20 + executor}`;
      lines.push({
        at: place(0.06 + partition * 0.05),
        text: `INFO TaskSetManager: Starting task ${partition}.0 in stage ${stage}.0 (TID ${task}) (${host}, executor ${executor}, partition ${partition}, PROCESS_LOCAL, ${random.int(9200, 9900)} bytes)`,
      });
      lines.push({
        at: place(0.1 + partition * 0.055),
        text: `INFO TaskSetManager: Finished task ${partition}.0 in stage ${stage}.0 (TID ${task}) in ${random.int(900, 7800)} ms on ${host} (executor ${executor}) (${partition + 1}/16)`,
      });
      task += 1;
    }
    lines.push({ at: place(0.5), text: businessLine(random, stage) });
    lines.push({
      at: place(0.7),
      text: `INFO BlockManagerInfo: Added broadcast_${stage}_piece0 in memory on ${options.app_name}-driver-svc:7079 (size: ${random.int(20, 64)}.${random.int(0, 9)} MiB, free: ${random.int(120, 380)}.${random.int(0, 9)} MiB)`,
    });
    lines.push({
      at: place(0.99),
      text: `INFO DAGScheduler: ShuffleMapStage ${stage} (mapPartitions at NightlySettlement.scala:${88 + stage * 11}) finished in ${random.int(21, 49)}.${random.int(100, 999)} s`,
    });
  }
  return lines;
}

/** The job's own lines. They name people, addresses and an account, as real jobs' logs do: something to redact. */
function businessLine(random: Random, stage: number): string {
  const mail = `${random.pick(PEOPLE)}@${random.pick(SHOPS)}`;
  const address = `203.0.113.${random.int(2, 250)}`;
  const account = `DE${random.int(10, 99)}500105175407${random.int(100000, 999999)}`;
  return [
    `INFO SettlementReport: queued statement for ${mail} (requested from ${address})`,
    `INFO SettlementReport: payout batch ${4100 + stage} to IBAN ${account}, contact ${mail}`,
    `INFO LedgerReader: opened partition dt=nightly/${stage} for client ${address} user=${mail}`,
  ][stage % 3] as string;
}

function successTail({ app_name }: DriverScriptOptions): ScriptLine[] {
  const lines = [
    'INFO DAGScheduler: Job 0 finished: collect at NightlySettlement.scala:171',
    'INFO SettlementReport: settlement totals balanced: 1,284,331 entries, difference 0.00 EUR',
    'INFO FileOutputCommitter: Saved output of task attempt to s3a://prod-settlement/reports/nightly/',
    `INFO SparkUI: Stopped Spark web UI at http://${app_name}-driver-svc:4040`,
    'INFO KubernetesClusterSchedulerBackend: Shutting down all executors',
    'INFO MemoryStore: MemoryStore cleared',
    'INFO SparkContext: Successfully stopped SparkContext',
    'INFO ShutdownHookManager: Shutdown hook called',
  ];
  return lines.map((text, index) => ({ at: 0.975 + index * 0.003, text }));
}

function failureTail({ random, heap_max_bytes }: DriverScriptOptions, fails_at: number): ScriptLine[] {
  const heap = `${Math.round(heap_max_bytes / MIB)}m`;
  const lines = [
    `WARN MemoryStore: Not enough space to cache broadcast_6 in memory! (computed ${random.int(380, 460)}.${random.int(0, 9)} MiB so far)`,
    `WARN BlockManager: Persisting block broadcast_6 to disk instead.`,
    `WARN TaskMemoryManager: Failed to allocate a page (67108864 bytes), try again.`,
    `WARN TaskSetManager: Stage 5 contains a task of very large size (18733 KiB). The maximum recommended task size is 1000 KiB.`,
    `WARN JvmPauseMonitor: Detected pause in JVM or host machine (eg GC): pause of approximately ${random.int(3100, 5900)}ms`,
    `ERROR Utils: Uncaught exception in thread broadcast-exchange-0`,
    `java.lang.OutOfMemoryError: Java heap space`,
    `\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)`,
    `\tat java.base/java.io.ByteArrayOutputStream.ensureCapacity(ByteArrayOutputStream.java:100)`,
    `\tat java.base/java.io.ByteArrayOutputStream.write(ByteArrayOutputStream.java:132)`,
    `\tat org.apache.spark.util.ByteBufferOutputStream.write(ByteBufferOutputStream.scala:41)`,
    `\tat org.apache.spark.serializer.JavaSerializationStream.writeObject(JavaSerializer.scala:46)`,
    `\tat org.apache.spark.sql.execution.joins.LongHashedRelation.writeExternal(HashedRelation.scala:1022)`,
    `\tat com.northwind.settlement.NightlySettlement$.collectPositions(NightlySettlement.scala:164)`,
    `ERROR SparkUncaughtExceptionHandler: Uncaught exception in thread Thread[dag-scheduler-event-loop,5,main]`,
    `java.lang.OutOfMemoryError: Java heap space`,
    `\tat scala.collection.mutable.ResizableArray.ensureSize(ResizableArray.scala:106)`,
    `\tat scala.collection.mutable.ArrayBuffer.$plus$plus$eq(ArrayBuffer.scala:105)`,
    `\tat org.apache.spark.rdd.RDD.$anonfun$collect$2(RDD.scala:1048)`,
    `WARN NettyRpcEnv: Ignored message: HeartbeatResponse(false)`,
    `WARN GarbageCollectionMetrics: G1 Old Generation ran ${random.int(31, 58)} times in 10 s, heap ${heap} of ${heap} committed`,
    `Exception in thread "main" java.lang.OutOfMemoryError: Java heap space`,
  ];
  const width = 0.05 / lines.length;
  return lines.map((text, index) => ({ at: fails_at + 0.002 + index * width, text }));
}

/** Stack trace and JVM lines carry no log4j time of their own. */
export function isContinuation(text: string): boolean {
  return /^(\tat |java\.|Exception in thread|Caused by)/.test(text);
}
