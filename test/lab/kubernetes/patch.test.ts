import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonPatch, mergePatch } from '../../../src/lab/kubernetes/patch.ts';
import { decodeKubernetesProtobuf } from '../../../src/lab/kubernetes/protobuf.ts';
import { fieldMatcher, labelMatcher } from '../../../src/lab/kubernetes/selectors.ts';
import { kindNamed } from '../../../src/lab/kubernetes/kinds.ts';
import { ApiError } from '../../../src/lab/kubernetes/status.ts';
import { strategicMerge } from '../../../src/lab/kubernetes/strategic-merge.ts';
import { humanDuration } from '../../../src/lab/kubernetes/table.ts';
import { trackManager } from '../../../src/lab/world/managed-fields.ts';
import type { KubeObject } from '../../../src/lab/world/kube-object.ts';

describe('merge patch (RFC 7386)', () => {
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j patched by %j is %j', (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result);
  });
});

describe('JSON patch (RFC 6902)', () => {
  it('adds, replaces, removes, moves, copies and tests', () => {
    const document = { list: [1, 3], 'a/b': { '~': 1 } };
    const patch = [
      { op: 'add', path: '/list/1', value: 2 },
      { op: 'add', path: '/list/-', value: 4 },
      { op: 'test', path: '/a~1b/~0', value: 1 },
      { op: 'move', from: '/a~1b', path: '/moved' },
      { op: 'copy', from: '/list/0', path: '/first' },
      { op: 'remove', path: '/list/0' },
    ];
    expect(jsonPatch(document, patch)).toEqual({ list: [2, 3, 4], moved: { '~': 1 }, first: 1 });
    expect(document).toEqual({ list: [1, 3], 'a/b': { '~': 1 } });
  });

  it.each([
    [{ op: 'test', path: '/a', value: 2 }],
    [{ op: 'replace', path: '/none', value: 2 }],
    [{ op: 'remove', path: '/none' }],
    [{ op: 'add', path: '/a/b/c', value: 2 }],
    [{ op: 'add', path: '/list/7', value: 2 }],
    [{ op: 'add', path: '/__proto__', value: {} }],
    [{ op: 'explode', path: '/a' }],
    [{ op: 'add', path: 'a', value: 2 }],
  ])('rejects %j as the real server does', (operation) => {
    expect(() => jsonPatch({ a: 1, list: [] }, [operation])).toThrow(ApiError);
  });
});

describe('strategic merge patch', () => {
  const pod = {
    containers: [
      { name: 'a', image: 'a:1', env: [{ name: 'X', value: '1' }] },
      { name: 'b', image: 'b:1' },
    ],
  };
  it('merges keyed lists item by item', () => {
    expect(
      strategicMerge(pod, {
        containers: [
          { name: 'b', image: 'b:2' },
          { name: 'c', image: 'c:1' },
        ],
      }),
    ).toEqual({
      containers: [pod.containers[0], { name: 'b', image: 'b:2' }, { name: 'c', image: 'c:1' }],
    });
  });
  it('knows the directives delete, replace, retainKeys and setElementOrder', () => {
    expect(strategicMerge(pod, { containers: [{ name: 'a', $patch: 'delete' }] })).toEqual({
      containers: [pod.containers[1]],
    });
    expect(strategicMerge(pod, { containers: [{ $patch: 'replace' }, { name: 'z' }] })).toEqual({
      containers: [{ name: 'z' }],
    });
    expect(strategicMerge({ s: { a: 1, b: 2 } }, { s: { $retainKeys: ['b'], b: 3 } })).toEqual({
      s: { b: 3 },
    });
    const ordered = strategicMerge(pod, { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] });
    expect((ordered as typeof pod).containers.map(({ name }) => name)).toEqual(['b', 'a']);
    expect(() => strategicMerge({}, { $patch: 'smash' })).toThrow(ApiError);
  });
});

describe('selectors', () => {
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', labels: { app: 'api', tier: 'web' } },
  } as KubeObject;
  it.each([
    ['app=api', true],
    ['app==api,tier!=db', true],
    ['app in (api, web),tier', true],
    ['app notin (api)', false],
    ['!app', false],
    ['missing!=x', true],
    ['missing', false],
  ])('label selector %s gives %s', (text, expected) => {
    expect(labelMatcher(text)(object)).toBe(expected);
  });
  it('refuses what it cannot parse instead of matching everything', () => {
    for (const text of ['a=b=c', 'a in', '=x', 'a>1']) expect(() => labelMatcher(text)).toThrow(ApiError);
    expect(() => fieldMatcher(kindNamed('Pod'), 'metadata.labels=x')).toThrow('field label not supported');
  });
});

describe('managedFields', () => {
  it('after any two writes every field has exactly the owner who set it last', () => {
    const value = fc.dictionary(
      fc.constantFrom('a', 'b', 'c'),
      fc.oneof(
        fc.integer(),
        fc.dictionary(fc.constantFrom('x', 'y'), fc.integer(), { noNullPrototype: true }),
      ),
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(value, value, (first, second) => {
        const make = (spec: Record<string, unknown>): KubeObject => ({
          apiVersion: 'v1',
          kind: 'K',
          metadata: { name: 'n' },
          spec,
        });
        const before = make(first);
        before.metadata.managedFields = trackManager(undefined, before, { manager: 'one' }, 0);
        const entries = trackManager(before, make(second), { manager: 'two' }, 1);
        for (const [key, wanted] of Object.entries(second)) {
          const owners = entries.filter(({ fieldsV1 }) => {
            const spec = fieldsV1['f:spec'] as Record<string, unknown> | undefined;
            return spec?.[`f:${key}`] !== undefined;
          });
          const unchanged = JSON.stringify(first[key]) === JSON.stringify(wanted);
          if (typeof wanted === 'number')
            expect(owners.map(({ manager }) => manager)).toEqual([unchanged ? 'one' : 'two']);
        }
      }),
    );
  });
});

describe('small print', () => {
  it('writes ages as kubectl does', () => {
    const seconds = [0, 119, 120, 187, 600, 10_799, 10_800, 28_800, 172_800, 180_000, 691_200, 64_000_000];
    expect(seconds.map((second) => humanDuration(second * 1_000))).toEqual([
      '0s',
      '119s',
      '2m',
      '3m7s',
      '10m',
      '179m',
      '3h',
      '8h',
      '2d',
      '2d2h',
      '8d',
      '2y10d',
    ]);
  });
  it('refuses broken protobuf without crashing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodeKubernetesProtobuf(Buffer.concat([Buffer.from('k8s\0'), Buffer.from(bytes)]));
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
        }
      }),
    );
  });
});
