import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRefusal } from '../../src/contract/verdict.ts';
import { faceTools, type FaceCall } from '../../src/gateway/endpoint/face-tools.ts';
import type { Pointed, ResultRange } from '../../src/gateway/endpoint/kept-results.ts';
import { minimise, resultLines } from '../../src/gateway/endpoint/minimise.ts';
import { JOB, startStage, type Stage } from './stage.ts';

/** Results that are too large for an agent: their shape at once, the whole by pointer, for its own scope and a while. */
const SECRET = 'hvs.CAESIJ1234567890abcdefghijklmnopqrstuv';
const NOTES = Array.from(
  { length: 900 },
  (_, n) => `${n}: the driver asked for more memory and did not get it`,
);

let stage: Stage;
beforeAll(async () => {
  stage = await startStage({ credentials: 'token' });
  stage.kubernetes.patchFromOutside('SparkApplication', 'spark-jobs', 'nightly-settlement', {
    metadata: { annotations: { notes: `${NOTES.join('\n')}\ntoken ${SECRET}` } },
  });
});
afterAll(() => stage.close());

interface Face {
  read(name?: string): Promise<FaceCall>;
  lines(pointer: string, lines: string): Promise<ResultRange>;
  refusal(pointer: string, lines?: string): Promise<string>;
  names(): Promise<string[]>;
}

async function face(change: Parameters<Stage['token']>[0] = {}, on = stage): Promise<Face> {
  const token = await on.token({ action_class: 'read', ...change });
  const grant = await on.store.tokens.find(token);
  if (grant === null) throw new Error('no such token');
  const { gateway, store, settings, clock, ids } = on;
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const tools = faceTools({ gateway, store, settings, clock, ids, log }, grant, token);
  const kept = (pointer: string, lines: string) =>
    tools.call('aegis_result_read', { pointer, lines, why: 'what does it say?' });
  return {
    read: (name = 'nightly-settlement') =>
      tools.call('aegis_k8s_get', { target: JOB.replace('nightly-settlement', name), why: 'what is wrong?' }),
    lines: async (pointer, lines) => {
      const answer = await kept(pointer, lines);
      if (isRefusal(answer) || !('lines' in answer)) throw new Error(JSON.stringify(answer));
      return answer;
    },
    refusal: async (pointer, lines = '1-2') => {
      const answer = await kept(pointer, lines);
      return isRefusal(answer) ? answer.code : 'read';
    },
    names: async () => (await tools.list()).map(({ name }) => name),
  };
}

async function pointed(of: Face): Promise<Pointed> {
  const answer = await of.read();
  if (isRefusal(answer) || !('result' in answer)) throw new Error(JSON.stringify(answer));
  return answer.result as Pointed;
}

describe('a result that is larger than an agent can use', () => {
  it('comes as its shape with a pointer, and every line of it can be read, redacted', async () => {
    const own = await face();
    const shape = await pointed(own);
    expect(shape).toMatchObject({ minimised: true, counts: expect.any(Object), first: expect.any(Object) });
    expect(shape.bytes).toBeGreaterThan(32_768);
    expect(Buffer.byteLength(JSON.stringify(shape))).toBeLessThan(32_768);
    let text = '';
    for (let first = 1; first <= shape.line_count; first += 10)
      text += (await own.lines(shape.pointer, `${first}-${first + 9}`)).text;
    expect(text).toContain(NOTES[0]);
    expect(text.replaceAll('\n', '')).toContain('899: the driver asked');
    expect(text).not.toContain(SECRET);
  });

  it('one that fits comes whole, without a pointer', async () => {
    const own = await face();
    const answer = await own.read('daily-ledger-export');
    expect(JSON.stringify(answer)).not.toContain('"minimised"');
  });

  it('is told whole to callers inside: an investigation has its own budget', async () => {
    const token = await stage.token();
    const answer = await stage.gateway.read({ token, tool: 'k8s.get', target: JOB, args: {}, why: 'test' });
    expect(isRefusal(answer) ? '' : JSON.stringify(answer.result)).toContain('899: the driver asked');
  });

  it('each reading of lines is a row of the ledger that names the call which brought the result', async () => {
    const incident_id = 'INC-2026-1123-901';
    const own = await face({ incident_id });
    const shape = await pointed(own);
    await own.lines(shape.pointer, '1-3');
    const rows = (await stage.store.ledger.read(incident_id, { kinds: ['call'] })).map(
      ({ payload }) => payload,
    );
    expect(rows.at(-1)).toMatchObject({
      tool: 'k8s.get',
      args: { pointer: shape.pointer, lines: '1-3' },
      shared_with: rows[0]?.['call_id'],
    });
  });
});

describe('a pointer', () => {
  it.each<[string, Parameters<Stage['token']>[0]]>([
    ['another tenant', { team: 'fraud' }],
    ['another environment', { env: 'staging' }],
    ['another incident', { incident_id: 'INC-2026-1123-902' }],
    ['no incident', { incident_id: null }],
    ['another class', { action_class: 'write' }],
  ])('opens nothing for a token of %s', async (_title, change) => {
    const shape = await pointed(await face());
    expect(await (await face(change)).refusal(shape.pointer)).toBe('result-gone');
  });

  it('that never was, is over, was edited or belongs to other policies says the same', async () => {
    const own = await face();
    expect(await own.refusal('res_guess')).toBe('result-gone');
    const [edited, late] = [await pointed(own), await pointed(own)];
    const db = new Database(join(stage.home, 'state', 'aegis.db'), { timeout: 5000 });
    db.prepare(
      "UPDATE sealed_result SET about = replace(about, 'k8s.get', 'k8s.put') WHERE result_id = ?",
    ).run(edited.pointer);
    db.close();
    expect(await own.refusal(edited.pointer)).toBe('result-gone');
    const stricter = { ...stage, gateway: { ...stage.gateway, policyDigest: () => 'f'.repeat(64) } };
    expect(await (await face({}, stricter)).refusal(late.pointer)).toBe('result-gone');
    expect(await own.refusal(late.pointer)).toBe('read');
    stage.clock.skip(900_001);
    expect(await (await face()).refusal(late.pointer)).toBe('result-gone');
  });

  it('hands out lines that exist, and no more than an agent can use', async () => {
    const own = await face();
    const shape = await pointed(own);
    expect(await own.refusal(shape.pointer, '0-3')).toBe('arguments-invalid');
    expect(await own.refusal(shape.pointer, '9-3')).toBe('lines-invalid');
    expect(await own.refusal(shape.pointer, `${shape.line_count + 1}-${shape.line_count + 9}`)).toBe(
      'lines-invalid',
    );
    expect(await own.refusal(shape.pointer, `1-${shape.line_count}`)).toBe('result-too-large');
    expect((await own.lines(shape.pointer, `${shape.line_count}-99999`)).lines).toBe(
      `${shape.line_count}-${shape.line_count}`,
    );
  });

  it('is read by a tool that is listed beside the others, and not where nothing may be read', async () => {
    expect(await (await face()).names()).toContain('aegis_result_read');
    expect(await (await face({ team: 'nobody' })).names()).toEqual([]);
  });
});

describe('the shape', () => {
  it('is made of whole items, small whatever the result, and its lines are the result', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const lines = resultLines(value);
        expect(lines.join('')).toBe(JSON.stringify(value, null, 1).replaceAll('\n', ''));
        const shape = minimise(value, lines);
        expect(shape.line_count).toBe(lines.length);
        for (const items of Object.values(shape.first)) expect(items.length).toBeLessThanOrEqual(5);
      }),
    );
  });

  it('folds a long line between characters and shows no half item', () => {
    const long = '🦊'.repeat(5000);
    const lines = resultLines({ items: ['short', long, 'after'] });
    expect(lines.every((line) => Array.from(line).length <= 2000)).toBe(true);
    expect(lines.join('')).toContain(long);
    expect(minimise({ items: ['short', long, 'after'] }, lines)).toMatchObject({
      counts: { items: 3 },
      first: { items: ['short'] },
    });
  });
});
