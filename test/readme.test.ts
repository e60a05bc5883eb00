import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { EXAMPLE_CONFIG } from '../src/cli/example-config.ts';
import { loadConfig } from '../src/config.ts';
import { INCIDENT_STATES } from '../src/contract/incident.ts';
import { SCENARIOS } from '../src/lab/scenarios/index.ts';
import { run } from '../src/cli/program.ts';
import { aegis, inProcess } from './cli/run-aegis.ts';

// A README that is wrong is worse than none: every command, snippet, path and word of it is held against the product.

const ROOT = join(import.meta.dirname, '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const CHANGELOG = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8');
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string;
  scripts: Record<string, string>;
};

/** Fenced blocks by their language, with the words after it. */
const blocks = [...README.matchAll(/^```(\w+)( \w+)?\n([^]*?)^```$/gm)].map(([, language, more, text]) => ({
  language,
  more: more?.trim(),
  text: text ?? '',
}));
const commands = blocks
  .filter((b) => b.language === 'sh')
  .flatMap((b) =>
    b.text
      .split('\n')
      .map((line) => line.replace(/ +#.*$/, '').trim())
      .filter((line) => line !== ''),
  );
const snippets = blocks.filter((b) => b.language === 'yaml' && b.more === undefined).map((b) => b.text);

let dir = '';
let help = '';
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aegis-readme-'));
  help = (await aegis(['help'])).out;
});
afterAll(() => rmSync(dir, { recursive: true }));

/** Words of a shell line, as a shell would hand them over. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, bare]) => single ?? double ?? bare ?? '',
  );
}

describe('commands of the README', () => {
  it('are there to be tested', () => expect(commands.length).toBeGreaterThan(12));

  it.each(commands.filter((line) => line.startsWith('npm ')))('%s is a script of package.json', (line) => {
    const [, verb, ...rest] = wordsOf(line);
    if (verb === 'ci') return;
    const script = verb === 'run' ? rest.find((word) => !word.startsWith('-')) : verb;
    expect(PACKAGE.scripts).toHaveProperty(script ?? '');
    const scenario = rest[rest.indexOf('lab') + 1];
    if (rest.includes('lab')) expect(SCENARIOS.map((s) => s.name)).toContain(scenario);
  });

  it.each(commands.filter((line) => line.startsWith('aegis ')))('%s is understood', async (line) => {
    const [, verb = '', ...rest] = wordsOf(line);
    expect(help).toMatch(new RegExp(`^  ${verb} `, 'm'));
    const line_of_words = ['start', 'doctor', 'init'].includes(verb)
      ? [verb, '--help']
      : ['--config', join(dir, 'none.yaml'), verb, ...rest];
    const ran = await inProcess(() => run(line_of_words));
    // Without a configuration it must get as far as asking for one: 1, never 2 (bad usage).
    expect([ran.code === 2, ran.err.includes('unknown')]).toEqual([false, false]);
  });

  it('every npm script that the text names exists', () => {
    for (const [, script] of README.matchAll(/`npm (?:run )?(?:--silent )?([a-z:]+)/g))
      if (script !== 'ci') expect(PACKAGE.scripts).toHaveProperty([script ?? '']);
  });
});

describe('snippets of the README', () => {
  it('are there to be tested', () => expect(snippets.length).toBeGreaterThanOrEqual(7));

  it.each(snippets.map((text, n) => [n + 1, text] as const))(
    'number %i loads in place of its part of the example',
    (_n, text) => {
      const file = join(dir, 'aegis.yaml');
      const merged = {
        ...(parse(EXAMPLE_CONFIG) as Record<string, unknown>),
        ...(parse(text) as Record<string, unknown>),
      };
      writeFileSync(file, stringify(merged, { aliasDuplicateObjects: false }));
      expect(() => loadConfig(file, {})).not.toThrow();
    },
  );

  it('load together as one configuration', () => {
    const file = join(dir, 'together.yaml');
    const merged = snippets.reduce((all, text) => Object.assign(all, parse(text)), { v: 1 });
    writeFileSync(file, stringify(merged, { aliasDuplicateObjects: false }));
    expect(loadConfig(file, {}).settings.teams['data']?.environments['prod']?.mounts).toHaveLength(4);
  });
});

describe('what the README points at', () => {
  it('exists: folders, files, anchors of the rooms', () => {
    const paths = [
      ...README.matchAll(
        /`((?:src|test|skills|policies|migrations|\.ci|docs)\/[\w./-]*|manifest\.yml|LICENSE)`/g,
      ),
    ].map(([, path]) => path ?? '');
    expect(paths.length).toBeGreaterThan(15);
    for (const path of paths) expect(existsSync(join(ROOT, path)), path).toBe(true);
  });

  it('names every room of src', () => {
    for (const entry of readdirSync(join(ROOT, 'src'), { withFileTypes: true }))
      if (entry.isDirectory()) expect(README).toContain(`\`src/${entry.name}/\``);
  });

  it('shows the picture that is there', () =>
    expect(existsSync(join(ROOT, 'docs', 'thread.png'))).toBe(true));
});

describe('CHANGELOG', () => {
  it('has the version of package.json, and the verbs that there are', () => {
    expect(CHANGELOG).toContain(`## ${PACKAGE.version}\n`);
    const listed = /\*\*Command line\*\*: `([^`]+)`/.exec(CHANGELOG)?.[1]?.split(' ') ?? [];
    const real = [...help.matchAll(/^ {2}([a-z]+) /gm)]
      .map(([, verb]) => verb)
      .filter((verb) => verb !== 'help');
    expect(new Set(listed)).toEqual(new Set(real));
  });

  it('says nothing of states that the machine does not know', () => {
    for (const [word] of `${README}${CHANGELOG}`.matchAll(
      /\b(?:IDLE|TRIAGE|DIAGNOSING|PLANNING|EXECUTING|VERIFYING|[A-Z]+_[A-Z]+ING)\b/g,
    ))
      expect(INCIDENT_STATES as readonly string[]).toContain(word);
  });
});
