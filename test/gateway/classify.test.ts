import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Guardrails } from '../../src/contract/guardrails.ts';
import { parseYamlText } from '../../src/contract/parse.ts';
import { parseTarget } from '../../src/contract/tool.ts';
import { isRefusal } from '../../src/contract/verdict.ts';
import { classifyFields, factorProblem, forbiddenClass } from '../../src/gateway/pipeline/classify.ts';
import { fieldQuantity, kubernetesQuantity, sparkMemoryBytes } from '../../src/contract/quantity.ts';
import { JOB, POLICIES_DIR } from './stage.ts';

const parsed = parseYamlText(readFileSync(join(POLICIES_DIR, 'guardrails.yaml'), 'utf8'));
const guardrails = Guardrails.parse(parsed.ok ? parsed.value : null);
const target = parseTarget(JOB);
const tool = { name: 'job.update_spec', base_class: 'write' } as const;
const classify = (path: string, after: unknown) =>
  classifyFields(guardrails, tool, target, [{ path, after }]);

describe('the class of an action', () => {
  it('is write for a listed path inside its bounds', () => {
    expect(classify('/spec/driver/memory', '2g')).toEqual({ action_class: 'write', reasons: [] });
  });

  it.each([
    '/spec/image',
    '/spec/driver/serviceAccount',
    '/spec/executor/env/0/value',
    '/spec/volumes/0/hostPath',
    '/spec/sparkConf/spark.jars',
    '/spec/mainClass',
    '/metadata/labels/x',
  ])('is privileged for %s, and forbidden', (path) => {
    const found = classify(path, 'x');
    expect(found).toMatchObject({ action_class: 'privileged' });
    if (!isRefusal(found)) expect(forbiddenClass(guardrails, found)?.code).toBe('class-forbidden');
  });

  it('is privileged for a path that nobody listed, and for a parent of a privileged one', () => {
    expect(classify('/spec/batchScheduler', 'x')).toMatchObject({ action_class: 'privileged' });
    expect(classify('/spec/driver', {})).toMatchObject({ action_class: 'privileged' });
    expect(classify('/spec', {})).toMatchObject({ action_class: 'privileged' });
  });

  it('one privileged field among good ones raises the whole action', () => {
    const fields = [
      { path: '/spec/driver/memory', after: '2g' },
      { path: '/spec/image', after: 'evil' },
    ];
    expect(classifyFields(guardrails, tool, target, fields)).toMatchObject({ action_class: 'privileged' });
  });

  it.each(['17g', '100m', '17408m', '1t', 'lots', '', null, '-2g', 'NaN', '0x10', '2 g'])(
    'refuses driver memory %j as out of bounds',
    (value) => {
      const found = classify('/spec/driver/memory', value);
      expect(isRefusal(found) && found.code).toBe('value-out-of-bounds');
    },
  );

  it('reads Spark’s "m" as MiB and Kubernetes’ "m" as one thousandth', () => {
    expect(sparkMemoryBytes('512m')).toBe(512 * 2 ** 20);
    expect(kubernetesQuantity('512m')).toBe(0.512);
    expect(fieldQuantity('sparkapplication', '/spec/driver/memory', '2g')).toBe(2 ** 31);
    expect(fieldQuantity('deployment', '/spec/replicas', 3)).toBe(3);
  });

  it('never lets a value outside the bounds through (property)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200_000 }), fc.constantFrom('m', 'g', 'k', ''), (n, unit) => {
        const bytes = sparkMemoryBytes(`${n}${unit}`) as number;
        const found = classify('/spec/driver/memory', `${n}${unit}`);
        expect(isRefusal(found)).toBe(bytes < 512 * 2 ** 20 || bytes > 16 * 2 ** 30);
      }),
    );
  });
});

describe('the class of a change to a Deployment', () => {
  const deployment = parseTarget('mcp://k8s/prod-1/spark-jobs/deployment/settlement-api');
  const of = (name: string, path: string, after: unknown) =>
    classifyFields(guardrails, { name, base_class: 'write' }, deployment, [{ path, after }]);
  const CONTAINER = '/spec/template/spec/containers/app';

  it('is write for what a tool is made for, and only for that tool', () => {
    expect(of('k8s.scale', '/spec/replicas', 3)).toMatchObject({ action_class: 'write' });
    expect(of('k8s.patch', '/spec/replicas', 3)).toMatchObject({ action_class: 'privileged' });
    expect(of('k8s.patch', `${CONTAINER}/resources/limits/memory`, '1Gi')).toMatchObject({
      action_class: 'write',
    });
    expect(of('k8s.scale', `${CONTAINER}/resources/limits/memory`, '1Gi')).toMatchObject({
      action_class: 'privileged',
    });
  });

  it.each([0, -1, '0', '0m', -0, '-3'])('is destroy for %j replicas, whatever the bounds say', (replicas) => {
    expect(of('k8s.scale', '/spec/replicas', replicas)).toMatchObject({ action_class: 'destroy' });
  });

  it('does not take replicas away, nor a map in the place of a number', () => {
    for (const value of [null, {}, [], true, '', 'many'])
      expect(['value-out-of-bounds', 'privileged']).toContain(
        ((found) => (isRefusal(found) ? found.code : found.action_class))(
          of('k8s.scale', '/spec/replicas', value),
        ),
      );
  });

  it('lets an entry for a field vouch for a scalar there, never for a map above a privileged path', () => {
    const open: Guardrails = {
      ...guardrails,
      touch: [{ tool: 'k8s.patch', kind: 'deployment', path: '/spec/template/spec' }],
    };
    for (const after of [{ containers: [] }, [], null])
      expect(
        classifyFields(open, { name: 'k8s.patch', base_class: 'write' }, deployment, [
          { path: '/spec/template/spec', after },
        ]),
      ).toMatchObject({ action_class: 'privileged' });
  });

  it('gives every path of the template that no entry names the class privileged (property)', () => {
    const word = fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,12}$/);
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), fc.string(), (words, after) => {
        const found = of('k8s.rollout_restart', `/spec/template/${words.join('/')}`, after);
        expect(found).toMatchObject({ action_class: 'privileged' });
      }),
    );
  });
});

describe('the factor between old and new', () => {
  const factor = (before: unknown, after: unknown) =>
    factorProblem(guardrails, tool.name, target, [{ path: '/spec/driver/memory', before, after }]);

  it('allows at most a doubling and a halving', () => {
    expect(factor('1g', '2g')).toBeNull();
    expect(factor('2g', '1g')).toBeNull();
    expect(factor('1g', '2049m')?.code).toBe('value-out-of-bounds');
    expect(factor('4g', '1g')?.code).toBe('value-out-of-bounds');
  });

  it('refuses what it cannot compare', () => {
    expect(factor('lots', '2g')?.code).toBe('value-out-of-bounds');
    expect(factor('0g', '2g')?.code).toBe('value-out-of-bounds');
  });
});
