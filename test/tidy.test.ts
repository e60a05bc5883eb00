import { describe, expect, it } from 'vitest';
import { commentFindings, nameFindings, registryFindings, textFindings } from './tidy/repository.ts';
import { cycleFindings, heavyFindings, roomFindings, vendorFindings } from './tidy/rooms.ts';
import { environmentFindings, lengthFindings, parserDoorFindings, purityFindings } from './tidy/shape.ts';
import type { Finding, SourceFile } from './tidy/source.ts';
import { filesBelow, parseSource, sourcesBelow, textOf } from './tidy/source.ts';

// The house rules of DESIGN section 3, on the syntax tree. A failure lists what is wrong and what to do.

const src = sourcesBelow('src');
const everything = filesBelow('.');

type Rule = (files: readonly SourceFile[]) => Finding[];

/** Words that these rules look for, written so that the rules do not find them here. */
const glued = (...parts: readonly string[]): string => parts.join('');

function lines(findings: readonly Finding[]): string {
  return [...new Set(findings.map((f) => `${f.where}: ${f.say}`))].join('\n');
}

describe('the house is tidy', () => {
  it('rooms import only what their door allows', () => expect(lines(roomFindings(src))).toBe(''));
  it('a vendor stays in its room', () => expect(lines(vendorFindings(src))).toBe(''));
  it('nothing heavy is loaded at start', () => expect(lines(heavyFindings(src))).toBe(''));
  it('no file imports itself through others', () => expect(lines(cycleFindings(src))).toBe(''));
  it('files and functions stay short', () => expect(lines(lengthFindings(src))).toBe(''));
  it('pure files use no clock, randomness, environment or I/O', () =>
    expect(lines(purityFindings(src))).toBe(''));
  it('the environment is read in one place', () => expect(lines(environmentFindings(src))).toBe(''));
  it('text from outside is parsed behind one door, patterns run on re2js', () =>
    expect(lines(parserDoorFindings(src.filter((f) => !f.path.startsWith('src/lab/'))))).toBe(''));
  it('names say what is inside', () => expect(lines(nameFindings(everything))).toBe(''));
  it('every plug-in is registered', () => expect(lines(registryFindings(src))).toBe(''));
  it('nothing is left for later', () =>
    expect(lines(commentFindings([...src, ...sourcesBelow('test')]))).toBe(''));
  it('no text depends on the machine it was written on', () => {
    const findings = everything.flatMap((path) => {
      const text = textOf(path);
      return text === null ? [] : textFindings(path, text);
    });
    expect(lines(findings)).toBe('');
  });
  it('sees the whole product', () => {
    expect(src.length).toBeGreaterThan(200);
    expect(src.flatMap((f) => f.imports).filter((i) => i.kind === 'dynamic').length).toBeGreaterThan(10);
  });
});

describe('each rule bites', () => {
  const many = (n: number, line: string): string => Array.from({ length: n }, () => line).join('\n');

  /** Rule, what the sample does, the sample by path, and a part of the message. */
  const samples: readonly [string, Rule, Readonly<Record<string, string>>, string][] = [
    [
      'cognition reaching the gateway',
      roomFindings,
      { 'src/cognition/a.ts': `import type { Gateway } from '../gateway/gateway.ts';` },
      'cognition may import contract',
    ],
    [
      'cognition reaching the gateway lazily',
      roomFindings,
      { 'src/cognition/a.ts': `const g = await import('../gateway/gateway.ts');` },
      'cognition may import contract',
    ],
    [
      'a type import written in place',
      roomFindings,
      { 'src/risk/a.ts': `type S = import('../store/store.ts').Store;` },
      'risk may import contract',
    ],
    [
      'an import that cannot be read',
      roomFindings,
      { 'src/risk/a.ts': `const name = '../store/store.ts'; await import(name);` },
      'plain string',
    ],
    [
      'a re-export',
      roomFindings,
      { 'src/contract/a.ts': `export { openStore } from '../store/open-store.ts';` },
      'may import nothing else',
    ],
    [
      'vfs beyond the read door',
      roomFindings,
      { 'src/vfs/a.ts': `import { execute } from '../gateway/gateway.ts';` },
      'gateway/read.ts',
    ],
    [
      'triggers beyond intake',
      roomFindings,
      { 'src/triggers/a.ts': `import { step } from '../harness/machine.ts';` },
      'harness/intake.ts',
    ],
    [
      'slack taking values from the store',
      roomFindings,
      { 'src/slack/a.ts': `import { x } from '../store/store.ts';` },
      'slack may import',
    ],
    [
      'evolution opening the store',
      roomFindings,
      { 'src/evolution/a.ts': `import { openStore } from '../store/open-store.ts';` },
      'evolution may import',
    ],
    [
      'the lab knowing the product',
      roomFindings,
      { 'src/lab/a.ts': `import type { Vfs } from '../vfs/vfs.ts';` },
      'lab may import contract',
    ],
    [
      'the product knowing the lab',
      roomFindings,
      { 'src/main.ts': `import { PEOPLE } from './lab/people.ts';` },
      'the product never knows it',
    ],
    [
      'cli loading the lab at start',
      roomFindings,
      { 'src/cli/a.ts': `import { PEOPLE } from '../lab/people.ts';` },
      'await import()',
    ],
    [
      'a room reading the configuration',
      roomFindings,
      { 'src/vfs/a.ts': `import { loadConfig } from '../config.ts';` },
      'composition root',
    ],
    [
      'config knowing a room',
      roomFindings,
      { 'src/config.ts': `import { openStore } from './store/open-store.ts';` },
      'only main.ts knows everyone',
    ],
    [
      'a product file that imports a test',
      roomFindings,
      { 'src/vfs/a.ts': `import { x } from '../../test/fake.ts';` },
      'outside src',
    ],
    ['a file outside every room', roomFindings, { 'src/extra.ts': `export const a = 1;` }, 'in no room'],
    ['a room nobody knows', roomFindings, { 'src/plugins/a.ts': `export const a = 1;` }, 'in no room'],
    [
      'SQL outside the store',
      vendorFindings,
      { 'src/gateway/a.ts': `import Database from 'better-sqlite3';` },
      'named operation',
    ],
    [
      'xstate outside the machine',
      vendorFindings,
      { 'src/harness/runner.ts': `import { createActor } from 'xstate';` },
      'harness/machine.ts',
    ],
    [
      'a lazily loaded vendor',
      vendorFindings,
      { 'src/vfs/a.ts': `await import('node-vault');` },
      'leased by the gateway',
    ],
    [
      'a sub-path of a vendor',
      vendorFindings,
      { 'src/vfs/a.ts': `import { Client } from '@modelcontextprotocol/sdk/client/index.js';` },
      'MCP is spoken',
    ],
    [
      'Slack values in the lab',
      vendorFindings,
      { 'src/lab/a.ts': `import { WebClient } from '@slack/web-api';` },
      'Slack is spoken',
    ],
    [
      'Slack loaded by cli at start',
      vendorFindings,
      { 'src/cli/a.ts': `import { WebClient } from '@slack/web-api';` },
      'Slack is spoken',
    ],
    [
      'Bolt behind two files',
      heavyFindings,
      { 'src/main.ts': `import './slack/app.ts';`, 'src/slack/app.ts': `import { App } from '@slack/bolt';` },
      'src/main.ts -> src/slack/app.ts',
    ],
    [
      'a cycle of three',
      cycleFindings,
      {
        'src/a.ts': `import './b.ts';`,
        'src/b.ts': `import './c.ts';`,
        'src/c.ts': `export * from './a.ts';`,
      },
      'src/a.ts -> src/b.ts -> src/c.ts -> src/a.ts',
    ],
    [
      'a cycle hidden by an inline type',
      cycleFindings,
      {
        'src/a.ts': `import { type B } from './b.ts'; export type A = B;`,
        'src/b.ts': `import { type A } from './a.ts'; export type B = A;`,
      },
      'import cycle',
    ],
    ['a long file', lengthFindings, { 'src/vfs/a.ts': many(401, 'export {};') }, 'has 401 lines'],
    [
      'a long function',
      lengthFindings,
      { 'src/vfs/a.ts': `export function long() {\n${many(69, '  void 0;')}\n}` },
      'long has 71 lines',
    ],
    [
      'a long arrow function in an object',
      lengthFindings,
      { 'src/vfs/a.ts': `export const a = { run: () => {\n${many(69, '  void 0;')}\n} };` },
      'run has 71 lines',
    ],
    [
      'a clock in a gate',
      purityFindings,
      { 'src/harness/gates/a.ts': `export const now = () => Date.now();` },
      'uses Date.now',
    ],
    [
      'a clock by brackets',
      purityFindings,
      { 'src/harness/gates/a.ts': `export const now = () => Date['now']();` },
      'uses Date.now',
    ],
    [
      'a new Date without time',
      purityFindings,
      { 'src/risk/a.ts': `export const now = () => new Date();` },
      'uses new Date()',
    ],
    [
      'Date called as a function',
      purityFindings,
      { 'src/risk/a.ts': `export const now = () => Date();` },
      'uses Date()',
    ],
    [
      'randomness',
      purityFindings,
      { 'src/slack/cards/a.ts': `export const r = Math.random();` },
      'uses Math.random',
    ],
    [
      'random bytes',
      purityFindings,
      {
        'src/contract/a.ts': `import { createHash, randomBytes } from 'node:crypto'; createHash(randomBytes);`,
      },
      'uses randomBytes of node:crypto',
    ],
    [
      'the global crypto',
      purityFindings,
      { 'src/contract/a.ts': `export const id = crypto.randomUUID();` },
      'uses crypto',
    ],
    [
      'a file system',
      purityFindings,
      { 'src/evolution/a.ts': `import { readFileSync } from 'node:fs'; readFileSync('x');` },
      'readFileSync of node:fs',
    ],
    ['a timer', purityFindings, { 'src/vfs/pushdown.ts': `setTimeout(() => {}, 1);` }, 'uses setTimeout'],
    [
      'a clock behind an import',
      purityFindings,
      {
        'src/risk/a.ts': `import { now } from '../contract2/b.ts'; now();`,
        'src/contract2/b.ts': `export const now = () => Date.now();`,
      },
      'src/risk/a.ts is one that imports this',
    ],
    [
      'the environment in a room',
      environmentFindings,
      { 'src/gateway/a.ts': `export const t = process.env['TOKEN'];` },
      'only config.ts does',
    ],
    [
      'the environment by import',
      environmentFindings,
      { 'src/gateway/a.ts': `import { env } from 'node:process'; export const t = env['TOKEN'];` },
      'node:process',
    ],
    [
      'a second YAML parser',
      parserDoorFindings,
      { 'src/vfs/a.ts': `import { parse } from 'yaml'; parse('a');` },
      'parseYamlText',
    ],
    [
      'a pattern on V8',
      parserDoorFindings,
      { 'src/vfs/a.ts': `export const p = (s: string) => new RegExp(s);` },
      're2js',
    ],
    [
      'a gate nobody registered',
      registryFindings,
      {
        'src/harness/gates/index.ts': `export const GATES = [];`,
        'src/harness/gates/new.ts': `export const newGate = 1;`,
      },
      'add its line there',
    ],
    [
      'a driver used by others and not registered',
      registryFindings,
      {
        'src/gateway/drivers/index.ts': ``,
        'src/gateway/drivers/new.ts': `export const NEW: Driver = { tools: [] };`,
        'src/gateway/x.ts': `import '../gateway/drivers/new.ts';`,
      },
      'no driver of',
    ],
    [
      'a note for later',
      commentFindings,
      { 'src/vfs/a.ts': `// ${glued('TO', 'DO')}: the rest\nexport {};` },
      'do it now',
    ],
  ];

  it.each(samples)('%s', (_what, rule, sample, message) => {
    const files = Object.entries(sample).map(([path, text]) => parseSource(path, text));
    expect(lines(rule(files))).toContain(message);
  });

  it.each([
    ['src/vfs/utils.ts', 'does not say'],
    ['src/gateway/helpers/a.ts', 'does not say'],
    ['src/gateway/lease-manager.ts', 'does not say'],
    ['test/vfs/common.test.ts', 'does not say'],
    ['src/vfs/index.ts', 'only a plug-in registry'],
    ['src/vfs/readBudget.ts', 'kebab-case'],
  ])('a file named %s', (path, message) => expect(lines(nameFindings([path]))).toContain(message));

  it.each([
    ['docs/a.md', `see ../${glued('sha', 'red')}/DESIGN.md`, 'one machine only'],
    ['test/a.ts', `const dir = '/${glued('wo', 'rk')}/main';`, 'one machine only'],
    ['.ci/run', `cd /${glued('ro', 'ot')}/x`, 'one machine only'],
    [
      'package-lock.json',
      `  "${glued('reso', 'lved')}": "https://npm.corp.example/zod.tgz",`,
      'private package registry',
    ],
    ['policies/a.cedar', `// ${glued('FIX', 'ME')}`, 'a note for later'],
  ])('text in %s', (path, text, message) => expect(lines(textFindings(path, text))).toContain(message));
});

describe('no rule bites where it should not', () => {
  const fine: Readonly<Record<string, string>> = {
    'src/slack/app.ts': `import type { Store } from '../store/store.ts'; import { App } from '@slack/bolt'; export type { Store }; export { App };`,
    'src/risk/late.ts': `export const at = (ms: number) => new Date(ms).toISOString(); export interface Row { readonly process: string; setTimeout(): void }`,
    'src/contract/hash.ts': `import { createHash } from 'node:crypto'; export const h = createHash('sha256');`,
    'src/gateway/lazy.ts': `export const vault = () => import('node-vault');`,
    'src/cli/verb.ts': `import type { Range } from '../lab/range.ts'; export const run = () => import('../lab/range.ts'); export type R = Range;`,
    'src/vfs/yaml-text.ts': `import { stringify } from 'yaml'; export { stringify };`,
  };
  const files = Object.entries(fine).map(([path, text]) => parseSource(path, text));
  it.each([
    roomFindings,
    vendorFindings,
    heavyFindings,
    cycleFindings,
    purityFindings,
    environmentFindings,
    parserDoorFindings,
    registryFindings,
    lengthFindings,
  ])('%o', (rule: Rule) => expect(lines(rule(files))).toBe(''));
});
