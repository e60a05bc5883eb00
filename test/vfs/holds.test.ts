import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HoldsResult, type EvidencePointer } from '../../src/contract/evidence.ts';
import { refuse } from '../../src/contract/verdict.ts';
import { DRIVER, fixture, ns, NOW_MS } from './fixture.ts';
import { yamlLines, yamlPaths } from '../../src/vfs/yaml-text.ts';

const ROOT = '/teams/data/prod';
const POD = `${ROOT}/k8s/namespaces/settlement/pods/${DRIVER}`;

function statusOf(world: Awaited<ReturnType<typeof fixture>>): Record<string, unknown> {
  return world.model.objects.find(({ metadata }) => metadata.name === DRIVER)?.['status'] as Record<
    string,
    unknown
  >;
}

describe('holds', () => {
  it('knows only pointers that equal a stored record of this incident in every field', async () => {
    const world = await fixture();
    const { pointer } = await world.capture(`tail -n 5 ${ROOT}/logs/driver.log`);
    const other = await world.capture(`read ${POD}/status.yaml`);
    const changes: Partial<EvidencePointer>[] = [
      { path: `${ROOT}/logs/all.log` },
      { query: pointer.query.replace('5', '6') },
      { sha256: 'a'.repeat(64) },
      { captured_at: '2026-11-23T16:00:00.001Z' },
      { lines: '1-6' },
      { lines: '6-6' },
      { lines: '3-2' },
      { lines: '0-1' },
      { evidence_id: 'EV-unsaved00' },
      { evidence_id: other.pointer.evidence_id },
      { evidence_id: '../../etc' },
    ];
    for (const change of changes)
      expect(
        await world.vfs.holds({ ...pointer, ...change }, world.session),
        JSON.stringify(change),
      ).toMatchObject({ status: 'unknown_pointer', now_sha256: null });
    expect((await world.vfs.holds({ ...pointer, extra: 1 } as EvidencePointer, world.session)).status).toBe(
      'unknown_pointer',
    );
    for (const session of [
      { ...world.session, incident_id: 'INC-2026-1123-002' },
      { ...world.session, incident_id: null },
      { ...world.session, env: 'staging' },
    ])
      expect((await world.vfs.holds(pointer, session)).status).toBe('unknown_pointer');
    expect((await world.vfs.holds({ ...pointer, lines: '2-4' }, world.session)).status).toBe('holds');
  });

  it('compares of a state file only the fields on the cited lines', async () => {
    const world = await fixture();
    const { pointer, lines } = await world.capture(`read ${POD}/status.yaml`);
    const at = lines.findIndex((line) => line.includes('OOMKilled')) + 1;
    const cited = { ...pointer, lines: `${at}-${at}` };
    const status = statusOf(world);
    // Other fields change, and lines shift.
    status['reason'] = 'Evicted';
    status['phase'] = 'Running';
    expect(await world.vfs.holds(cited, world.session)).toMatchObject({ status: 'holds', changed: [] });
    const whole = await world.vfs.holds(pointer, world.session);
    expect(whole).toMatchObject({ status: 'changed' });
    expect(whole.changed).toEqual([
      { line: lines.indexOf('phase: Failed') + 1, was: 'phase: Failed', now: 'phase: Running' },
    ]);
    (status['containerStatuses'] as { state: unknown }[])[0] = { state: {} };
    const gone = await world.vfs.holds(cited, world.session);
    expect(gone).toMatchObject({ status: 'changed', changed: [{ line: at, now: null }] });
    expect(HoldsResult.parse(gone)).toEqual(gone);
  });

  it('says gone when the object is gone, unreachable when the source does not answer', async () => {
    const world = await fixture();
    const { pointer } = await world.capture(`read ${POD}/status.yaml`);
    world.model.failing = refuse('upstream-timeout', 'No answer.', 'Ask again.');
    expect(await world.vfs.holds(pointer, world.session)).toMatchObject({
      status: 'unreachable',
      detail: expect.stringContaining('No answer.') as string,
    });
    world.model.failing = null;
    world.model.objects = [];
    expect(await world.vfs.holds(pointer, world.session)).toMatchObject({ status: 'gone', now_sha256: null });
  });

  it('reads a stream again in its own window: later lines change nothing, missing ones do', async () => {
    const world = await fixture();
    const { pointer } = await world.capture(
      `grep "OutOfMemoryError" ${ROOT}/logs/driver.log --since 1h | tail -n 3`,
    );
    expect(pointer.query).toBe(
      `grep "OutOfMemoryError" ${ROOT}/logs/driver.log --since 2026-11-23T15:00:00.000Z --until 2026-11-23T15:59:58.000Z | tail -n 3`,
    );
    world.clock.ms = NOW_MS + 600_000;
    const labels = { namespace: 'settlement', pod: DRIVER, container: 'c', app: 'settlement' };
    for (let index = 0; index < 20; index++)
      world.model.entries.push({
        namespace: 'settlement',
        ts_ns: ns(1000 * index),
        labels,
        line: 'OutOfMemoryError again',
      });
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('holds');
    world.model.entries = world.model.entries.filter(({ line }) => !line.includes('(249)'));
    const changed = await world.vfs.holds(pointer, world.session);
    expect(changed.status).toBe('changed');
    expect(changed.changed).toEqual([
      { line: 2, was: expect.stringContaining('(249)') as string, now: null },
    ]);
    expect((await world.vfs.holds({ ...pointer, lines: '3-3' }, world.session)).status).toBe('holds');
  });

  it('holds for kubelet logs although newer lines arrived', async () => {
    const world = await fixture();
    const { pointer } = await world.capture(`tail -n 5 ${POD}/logs.tail?limit=10`);
    for (let index = 0; index < 500; index++)
      world.model.pod_logs[DRIVER]?.push({ ts: '2026-11-23T16:05:00.000000000Z', line: `later ${index}` });
    world.clock.ms = NOW_MS + 600_000;
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('holds');
    world.model.pod_logs = {};
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('gone');
  });

  it('holds for metrics of a closed window', async () => {
    const world = await fixture();
    const { pointer } = await world.capture(`read ${ROOT}/metrics/pods/${DRIVER}/memory.prom?window=15m`);
    world.clock.ms = NOW_MS + 600_000;
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('holds');
    world.model.series = [];
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('changed');
  });

  it('takes evidence of absence back when there is something now', async () => {
    const world = await fixture();
    const { pointer, line_count } = await world.capture(`grep "no such thing" ${ROOT}/logs/driver.log`);
    expect([line_count, pointer.lines]).toEqual([0, '1-1']);
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('holds');
    const labels = { namespace: 'settlement', pod: DRIVER, container: 'c', app: 'settlement' };
    world.model.entries.push({
      namespace: 'settlement',
      ts_ns: ns(-10_000),
      labels,
      line: 'no such thing, late',
    });
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('changed');
  });

  it('holds a count only while it is the same', async () => {
    const world = await fixture();
    const { pointer, lines } = await world.capture(`grep -c "OutOfMemoryError" ${ROOT}/logs/driver.log`);
    expect(lines).toEqual(['6']);
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('holds');
    world.model.entries = world.model.entries.slice(0, 200);
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('changed');
  });

  it('expires after 72 hours', async () => {
    const world = await fixture();
    const { pointer } = await world.capture(`read ${POD}/status.yaml`);
    world.clock.ms = NOW_MS + 72 * 3_600_000;
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('expired');
  });

  it('expires when the policies say so for the tier of its environment, as they were when it was captured', async () => {
    let hours = 5;
    const world = await fixture({
      retention: () => ({
        v: 1,
        evidence_hours: { tier1: hours, tier2: hours, tier3: hours },
        closed_incidents_days: null,
      }),
    });
    const { pointer } = await world.capture(`read ${POD}/status.yaml`);
    hours = 100;
    world.clock.ms = NOW_MS + 5 * 3_600_000;
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('expired');
  });

  it('notices one flipped byte of the sealed file, and never reads the source then', async () => {
    const world = await fixture();
    const { pointer } = await world.capture(`read ${POD}/status.yaml`);
    const { home } = world;
    const files = readdirSync(home, { recursive: true, encoding: 'utf8' }).map((name) => join(home, name));
    const blob = files.find((path) => path.includes(pointer.evidence_id) && statSync(path).isFile());
    if (blob === undefined) throw new Error(`no blob among ${files.join(' ')}`);
    const bytes = readFileSync(blob);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    writeFileSync(blob, bytes);
    world.gateway.calls.length = 0;
    expect((await world.vfs.holds(pointer, world.session)).status).toBe('tampered');
    expect(world.gateway.calls).toEqual([]);
  });

  it('captures nothing and costs no budget', async () => {
    const world = await fixture();
    const { pointer } = await world.capture(`read ${POD}/status.yaml`);
    const before = (await world.store.ledger.read('INC-2026-1123-001')).length;
    await world.vfs.holds(pointer, world.session);
    expect((await world.store.ledger.read('INC-2026-1123-001')).length).toBe(before);
    expect(await world.store.evidence.list('INC-2026-1123-001')).toHaveLength(1);
  });
});

describe('yamlPaths', () => {
  it('names the field of every line, whatever the text in it', () => {
    const lines = yamlLines({
      a: 'x',
      list: [{ name: 'n: 1', deep: { b: 'two\nlines' } }, 'plain', ['y']],
      'odd key: ': 1,
      empty: [],
      none: null,
    });
    expect(yamlPaths(lines)?.map((path, index) => `${lines[index]} => ${path}`)).toEqual([
      'a: x => a',
      'list: => list',
      '  - name: "n: 1" => list[0].name',
      '    deep: => list[0].deep',
      String.raw`      b: two\nlines => list[0].deep.b`,
      '  - plain => list[1]',
      '  - - y => list[2][0]',
      '"odd key: ": 1 => odd key: ',
      'empty: [] => empty',
      'none: null => none',
    ]);
    expect(yamlPaths(['a: [', 'b'])).toBeNull();
  });
});
