import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { skillCognition } from '../../src/cognition/cognition.ts';
import { CALLS_MAX, connectWorld, exposeWorld } from '../../src/cognition/serve-world.ts';
import type { World, WorldResponse } from '../../src/contract/world.ts';
import { fakeWorld, libraryFiles } from './fake-world.ts';
import { sparkFiles, sparkIncident } from './spark-story.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

function pair(world: World): { near: World; port: MessageChannel['port1']; stop: () => void } {
  const { port1, port2 } = new MessageChannel();
  const stop = exposeWorld(port2, world);
  closing.push(() => port1.close());
  return { near: connectWorld(port1), port: port1, stop };
}

const LS = { op: 'ls' as const, path: '/', why_needed: 'test' };
const ENTRIES: WorldResponse = { ok: true, op: 'ls' as const, entries: [] };

describe('cognition in a worker with an empty environment', () => {
  it('gives the same findings and the same draft as in process, over the port alone', async () => {
    const files = { ...libraryFiles(), ...sparkFiles() };
    const world = fakeWorld(files);
    const worker = new Worker(new URL('./worker/boot.mjs', import.meta.url), {
      env: {},
      execArgv: [],
    });
    const { port1, port2 } = new MessageChannel();
    const stop = exposeWorld(port1, world);
    closing.push(
      stop,
      () => port1.close(),
      () => void worker.terminate(),
    );
    worker.postMessage({ incident: sparkIncident(), port: port2 }, [port2]);
    const [message] = (await Promise.race([
      once(worker, 'message'),
      once(worker, 'error').then(([error]) => Promise.reject(error as Error)),
    ])) as [{ findings: never; planned: never; env: object }];
    const { investigate, plan } = skillCognition();
    const here = fakeWorld(files);
    const findings = await investigate(here, sparkIncident());
    expect(message.findings).toEqual(findings);
    expect(message.planned).toEqual(await plan(here, sparkIncident(), findings));
    expect(message.env).toEqual({});
    expect(world.commands()).toEqual(here.commands());
  });
});

describe('the World across a port', () => {
  it('answers calls in any order to the one who asked', async () => {
    const { near } = pair({
      call: async (request) => {
        const n = request.op === 'ls' ? Number(request.path) : 0;
        await new Promise((resolve) => setTimeout(resolve, 20 - n));
        return { ok: true, op: 'explain', text: String(n) };
      },
    });
    const answers = await Promise.all([1, 9, 5].map((n) => near.call({ ...LS, path: String(n) })));
    expect(answers.map((a) => (a.ok && a.op === 'explain' ? a.text : ''))).toEqual(['1', '9', '5']);
  });

  it('carries an abort to the serving side, and the asker does not wait for it', async () => {
    const seen: AbortSignal[] = [];
    const { near } = pair({
      call: (_, signal) => {
        if (signal !== undefined) seen.push(signal);
        return new Promise(() => {});
      },
    });
    const controller = new AbortController();
    const asked = near.call(LS, controller.signal);
    await expect.poll(() => seen.length).toBe(1);
    controller.abort(new Error('stopped by maria'));
    await expect(asked).rejects.toThrow('stopped by maria');
    await expect.poll(() => seen[0]?.aborted).toBe(true);
  });

  it('refuses a malformed request without asking the World, and stays open', async () => {
    let calls = 0;
    const { near } = pair({
      call: () => {
        calls++;
        return Promise.resolve(ENTRIES);
      },
    });
    const bad = await near.call({ op: 'write', path: '/etc', why_needed: 'x' } as never);
    expect(bad).toMatchObject({ ok: false, refusal: { code: 'request-malformed' } });
    expect(calls).toBe(0);
    expect(await near.call(LS)).toEqual(ENTRIES);
  });

  it('ignores messages that are no requests at all', async () => {
    const { near, port } = pair({ call: () => Promise.resolve(ENTRIES) });
    for (const junk of [
      null,
      7,
      'x',
      {},
      { t: 'call' },
      { t: 'abort', id: 99 },
      { t: 'call', id: -1, request: LS },
    ])
      port.postMessage(junk);
    expect(await near.call(LS)).toEqual(ENTRIES);
  });

  it('turns a fault into an error without a stack, and a malformed answer into a fault', async () => {
    const failing = pair({ call: () => Promise.reject(new Error('store closed')) });
    await expect(failing.near.call(LS)).rejects.toThrow('the World failed: store closed');
    const odd = pair({ call: () => Promise.resolve({ ok: true, op: 'run' } as never) });
    await expect(odd.near.call(LS)).rejects.toThrow('not well formed');
  });

  it('bounds the calls that run at the same time', async () => {
    const { near } = pair({ call: () => new Promise(() => {}) });
    for (let i = 0; i < CALLS_MAX; i++) near.call(LS).catch(() => undefined);
    expect(await near.call(LS)).toMatchObject({ ok: false, refusal: { code: 'too-many-reads' } });
  });

  it('fails open calls and later ones when the port closes', async () => {
    const { near, port } = pair({ call: () => new Promise(() => {}) });
    const asked = near.call(LS);
    port.close();
    await expect(asked).rejects.toThrow('closed');
    await expect(near.call(LS)).rejects.toThrow('closed');
  });
});
